// Anthropic's own client for Node, as its documentation uses it.

import { KEY, URL_ROOT, check, load, run, who } from './report.mjs';

const { default: Anthropic } = await load('@anthropic-ai/sdk');

// Each request is made once: trying again is the balancer's work.
const client = (options = {}) => new Anthropic({ baseURL: URL_ROOT, apiKey: KEY, maxRetries: 0, timeout: 20_000, ...options });
const asks = (mark, members = {}) => ({ model: 'claude', max_tokens: 1024, messages: [{ role: 'user', content: mark }], ...members });

const input_schema = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city', 'days'] };
const tool = { name: 'weather', input_schema };

const messages = {
  async message(mark) {
    const { data, response } = await client().messages.create(asks(mark)).withResponse();
    const served = response.headers.get('x-litellm-model-id');
    check(data.content[0].text === `hi from ${served}` && data.usage.input_tokens === 5 && data.usage.output_tokens === 7, data);
    return [served];
  },
  async messages_at_once(mark) {
    const one = client();
    const answers = await Promise.all(Array.from({ length: 16 }, () => one.messages.create(asks(mark))));
    return answers.map((answer) => who(answer.content[0].text));
  },
  async stream(mark) {
    const events = [];
    for await (const event of await client().messages.create(asks(mark, { stream: true }))) events.push(event);
    check(events[0].message.usage.input_tokens === 5 && events.at(-2).usage.output_tokens === 7, events);
    return [who(events.map((event) => event.delta?.text ?? '').join(''))];
  },
  async stream_helper(mark) {
    const final = await client().messages.stream(asks(mark)).finalMessage();
    check(final.usage.input_tokens === 5 && final.usage.output_tokens === 7, final);
    return [who(final.content[0].text)];
  },
  async stream_left_early(mark) {
    for await (const event of await client().messages.create(asks(mark, { stream: true }))) {
      if (event.type === 'content_block_delta') return [who(event.delta.text)];
    }
  },
  async betas(mark) {
    const answer = await client().beta.messages.create(asks(mark, { betas: ['context-1m-2025-08-07'] }));
    return [who(answer.content[0].text)];
  },
  async count_tokens(mark) {
    const { data, response } = await client().messages.countTokens({ model: 'claude', messages: [{ role: 'user', content: mark }] }).withResponse();
    check(data.input_tokens === 5, data);
    return [response.headers.get('x-litellm-model-id')];
  },
  async key_as_bearer(mark) {
    const answer = await client({ apiKey: null, authToken: KEY }).messages.create(asks(mark));
    return [who(answer.content[0].text)];
  },
  async tools(mark) {
    const called = await client().messages.stream(asks(mark, { tools: [tool] })).finalMessage();
    const call = called.content.find((block) => block.type === 'tool_use');
    check(called.stop_reason === 'tool_use' && call.input.days === 7, called);
    const result = { type: 'tool_result', tool_use_id: call.id, content: 'sunny' };
    const history = [{ role: 'user', content: mark }, { role: 'assistant', content: called.content }, { role: 'user', content: [result] }];
    const final = await client().messages.create(asks(mark, { tools: [tool], messages: history }));
    check(final.content[0].text.endsWith(' after sunny'), final);
    return [call.input.city, who(final.content[0].text)];
  },
  async models() {
    const ids = async (parameters) => {
      const all = [];
      for await (const model of client().models.list(parameters)) all.push(model.id);
      return all;
    };
    const listed = await ids();
    check(listed.includes('claude') && listed.length > 3, listed);
    for (const parameters of [{ limit: 1 }, { limit: 2 }, { limit: listed.length }]) {
      const paged = await ids(parameters);
      check(paged.join() === listed.join(), paged);
    }
    const backwards = await ids({ limit: 1, before_id: listed.at(-1) });
    check(backwards.join() === listed.slice(0, -1).reverse().join(), backwards);
    const one = await client().models.retrieve('claude');
    check(one.id === 'claude' && one.type === 'model' && one.display_name === 'claude' && one.lifecycle === 'active', one);
    return [];
  },
};

/** What an error looks like to the program that catches it. */
async function raised(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    check(error.error.type === 'error', error.error);
    return { raised: error.constructor.name, status: error.status, retry_after: error.headers?.get('retry-after') ?? null, message: error.message };
  }
  throw new Error('nothing was raised');
}

const asked = (model, mark, { stream = false, ...options } = {}) => raised(() => client(options).messages.create(asks(mark, { model, stream })));

const errors = {
  unknown_model: (mark) => asked('no-such-model', mark),
  unknown_model_retrieved: () => raised(() => client().models.retrieve('no-such-model')),
  model_of_openais_api_alone: (mark) => asked('gpt', mark),
  wrong_key: (mark) => asked('claude', mark, { apiKey: 'sk-wrong' }),
  provider_bad_request: (mark) => asked('refusing', mark),
  provider_limited: (mark) => asked('limited', mark),
  streamed_error: (mark) => asked('limited', mark, { stream: true }),
  provider_overloaded: (mark) => asked('overloaded', mark),
};

await run({ messages, errors });
