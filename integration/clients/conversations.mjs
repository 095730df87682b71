// What conversations.py does, with OpenAI's client for Node.

import { check, load, runConversations } from './report.mjs';

const { default: OpenAI } = await load('openai');

const TURNS = 4;
const apiKey = process.env.LLM_BALANCER_KEY;
const clients = process.env.LLM_BALANCER_URLS.split(',').map(
  (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 60_000 }),
);

async function turn(client, input, previous_response_id, streams) {
  if (!streams) return client.responses.create({ model: 'gpt', input, previous_response_id });
  let last;
  for await (const event of await client.responses.create({ model: 'gpt', input, previous_response_id, stream: true })) last = event;
  check(last.type === 'response.completed', last);
  return last.response;
}

async function conversation(number) {
  let previous = null;
  for (let place = 0; place < TURNS; place++) {
    const client = clients[(number + place) % clients.length];
    const response = await turn(client, `turn ${place} of ${number}`, previous, (number + place) % 2 === 0);
    check(response.previous_response_id === previous, response);
    previous = response.id;
  }
  if (number % 3 === 0) await lookBack(clients[number % clients.length], previous, `turn ${TURNS - 1} of ${number}`);
  if (number % 3 === 1) await cancel(clients[number % clients.length]);
}

async function lookBack(client, id, text) {
  check((await client.responses.retrieve(id)).id === id, id);
  let first;
  for await (const event of await client.responses.retrieve(id, { stream: true })) first ??= event;
  check(first.response.id === id, first);
  const items = await client.responses.inputItems.list(id, { limit: 1, order: 'asc' });
  check(items.data[0].content[0].text === text, items);
  await client.responses.delete(id);
  // No deployment knows it now. One that is asked may refuse, and the SDK asks again, as it does by
  // default.
  const error = await client.responses.retrieve(id, {}, { maxRetries: 2 }).catch((error) => error);
  check(error instanceof OpenAI.NotFoundError && error.message.includes(id), error);
}

async function cancel(client) {
  const made = await client.responses.create({ model: 'gpt', input: 'a long task', background: true });
  const cancelled = await client.responses.cancel(made.id);
  check(cancelled.id === made.id && cancelled.status === 'cancelled', cancelled);
}

await runConversations(conversation);
