// Conversations of Vercel's AI SDK with its defaults: each turn refers to the items of all turns before.

import { check, load } from './report.mjs';

const { generateText, jsonSchema, stepCountIs, streamText, tool } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');

const TURNS = 4;
const AT_ONCE = 12;
const baseURL = `${process.env.LLM_BALANCER_URL}/v1`;
const model = createOpenAI({ baseURL, apiKey: process.env.LLM_BALANCER_KEY })('gpt');
const schema = jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] });
const weather = tool({ description: 'the weather', inputSchema: schema, execute: () => 'sunny' });
// Else the name of the model decides.
const providerOptions = { openai: { forceReasoning: true, reasoningEffort: 'low' } };

async function turn(messages, streams, usesTools) {
  const request = { model, messages, providerOptions, maxRetries: 0 };
  if (usesTools) Object.assign(request, { tools: { weather }, stopWhen: stepCountIs(2) });
  if (!streams) return (await generateText(request)).responseMessages;
  let failure;
  const result = streamText({ ...request, onError: ({ error }) => (failure = error) });
  await result.consumeStream();
  if (failure) throw failure;
  return result.responseMessages;
}

async function conversation(number) {
  const messages = [];
  for (let place = 0; place < TURNS; place++) {
    messages.push({ role: 'user', content: `turn ${place} of ${number}` });
    const added = await turn(messages, (number + place) % 2 === 0, number % 3 === 0);
    check(added?.length > 0, added);
    messages.push(...added);
  }
}

const errors = [];
const numbers = Array.from({ length: Number(process.argv[3]) }, (_, number) => number);
async function worker() {
  for (let number; (number = numbers.shift()) !== undefined; ) {
    await conversation(number).catch((error) => errors.push(String(error.stack ?? error)));
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, worker));
console.log(JSON.stringify({ errors }));
