// Vercel's AI SDK with the providers that its documentation uses for gateways.

import { KEY, URL_ROOT, base, check, load, run, who } from './report.mjs';

const { generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { createAnthropic } = await load('@ai-sdk/anthropic');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');

const options = () => ({ baseURL: base(), apiKey: KEY });

const schema = jsonSchema({
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
});
// Each request is made once: trying again is the balancer's work.
const once = { maxRetries: 0 };

async function text(model, mark) {
  const { text, usage } = await generateText({ model, prompt: mark, ...once });
  check(usage.totalTokens === 12, usage);
  return [who(text)];
}

async function stream(model, mark) {
  const { textStream, usage } = streamText({ model, prompt: mark, ...once });
  let said = '';
  for await (const piece of textStream) said += piece;
  check((await usage).totalTokens === 12, await usage);
  return [who(said)];
}

// The whole round: the call, the tool, and the answer to its result.
async function tools(model, mark) {
  let asked;
  const weather = tool({ description: 'the weather', inputSchema: schema, execute: ({ city }) => ((asked = city), 'sunny') });
  const result = streamText({ model, prompt: mark, tools: { weather }, stopWhen: stepCountIs(2), ...once });
  const said = await result.text;
  return [asked, who(said)];
}

async function object(model, mark) {
  const { object } = await generateObject({ model, prompt: mark, schema, ...once });
  check(object.days === 7, object);
  return [object.city];
}

const ways = (model) => ({
  text: (mark) => text(model(), mark),
  stream: (mark) => stream(model(), mark),
  tools: (mark) => tools(model(), mark),
  object: (mark) => object(model(), mark),
});

await run({
  responses: ways(() => createOpenAI(options())('gpt')),
  chat: ways(() => createOpenAI(options()).chat('gpt')),
  compatible: ways(() => createOpenAICompatible({ ...options(), name: 'gateway', includeUsage: true, supportsStructuredOutputs: true })('gpt')),
  // Wants the address with /v1.
  messages: ways(() => createAnthropic({ baseURL: `${URL_ROOT}/v1`, apiKey: KEY })('claude')),
});
