// Conversations of Vercel's AI SDK with its defaults: each turn refers to the items of all turns before.

import { check, load, runConversations } from './report.mjs';

const { generateText, jsonSchema, stepCountIs, streamText, tool } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');

const TURNS = 4;
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

await runConversations(conversation);
