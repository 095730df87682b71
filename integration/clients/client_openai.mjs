// OpenAI's own client for Node, as its documentation uses it.

import { BYTES, KEY, URL_ROOT, base, check, load, run, who } from './report.mjs';

const { default: OpenAI, AzureOpenAI, toFile } = await load('openai');

// Each request is made once: trying again is the balancer's work.
const client = (options = {}) => new OpenAI({ baseURL: base(), apiKey: KEY, maxRetries: 0, timeout: 20_000, ...options });
const says = (mark) => [{ role: 'user', content: mark }];

const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city', 'days'] };
const tool = { type: 'function', function: { name: 'weather', parameters } };

async function all(events) {
  const seen = [];
  for await (const event of events) seen.push(event);
  return seen;
}

const chat = {
  async chat(mark) {
    const { data, response } = await client().chat.completions.create({ model: 'gpt', messages: says(mark), temperature: 0.5 }).withResponse();
    const served = response.headers.get('x-litellm-model-id');
    check(data.choices[0].message.content === `hi from ${served}` && data.usage.total_tokens === 12, data);
    return [served];
  },
  async chats_at_once(mark) {
    const one = client();
    const answers = await Promise.all(Array.from({ length: 16 }, () => one.chat.completions.create({ model: 'gpt', messages: says(mark) })));
    return answers.map((answer) => who(answer.choices[0].message.content));
  },
  async stream(mark) {
    const chunks = await all(await client().chat.completions.create({ model: 'gpt', messages: says(mark), stream: true, stream_options: { include_usage: true } }));
    const words = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? ''));
    check(words.filter(Boolean).length === 3, words);
    check(chunks.at(-1).usage.total_tokens === 12, chunks.at(-1));
    return [who(words.join(''))];
  },
  async stream_helper(mark) {
    const answer = await client().chat.completions.stream({ model: 'gpt', messages: says(mark) }).finalContent();
    return [who(answer)];
  },
  async stream_left_early(mark) {
    for await (const chunk of await client().chat.completions.create({ model: 'gpt', messages: says(mark), stream: true })) {
      return [who(chunk.choices[0].delta.content)];
    }
  },
  async fallbacks_of_a_request(mark) {
    const { data, response } = await client().chat.completions.create({ model: 'failing', messages: says(mark), fallbacks: ['gpt'] }).withResponse();
    check(response.headers.get('x-litellm-attempted-fallbacks') === '1', [...response.headers]);
    return ['failing', who(data.choices[0].message.content)];
  },
  async models() {
    const listed = (await all(client().models.list())).map((model) => model.id);
    check(listed.includes('gpt') && (await client().models.retrieve('gpt')).id === 'gpt', listed);
    return [];
  },
  async azure(mark) {
    const azure = new AzureOpenAI({ endpoint: URL_ROOT, apiKey: KEY, apiVersion: '2024-06-01', maxRetries: 0 });
    return [who((await azure.chat.completions.create({ model: 'gpt', messages: says(mark) })).choices[0].message.content)];
  },
};

const tools = {
  async tools(mark) {
    const first = await client().chat.completions.create({ model: 'gpt', messages: says(mark), tools: [tool] });
    const [call] = first.choices[0].message.tool_calls;
    const { city, days } = JSON.parse(call.function.arguments);
    check(call.function.name === 'weather' && days === 7, call);
    const told = [...says(mark), first.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }];
    const second = await client().chat.completions.create({ model: 'gpt', messages: told, tools: [tool] });
    check(second.choices[0].message.content.endsWith(' after sunny'), second);
    return [city, who(second.choices[0].message.content)];
  },
  async tools_run_by_the_client(mark) {
    let asked;
    const weather = { ...tool.function, parse: JSON.parse, function: (given) => ((asked = given.city), 'sunny') };
    const runner = client().chat.completions.runTools({ model: 'gpt', messages: says(mark), tools: [{ type: 'function', function: weather }], stream: true });
    const said = await runner.finalContent();
    return [asked, who(said)];
  },
  async tools_of_responses(mark) {
    const events = await all(await client().responses.create({ model: 'gpt', input: mark, tools: [{ type: 'function', name: 'weather', parameters, strict: false }], stream: true }));
    const deltas = events.filter((event) => event.type === 'response.function_call_arguments.delta').map((event) => event.delta);
    check(deltas.length > 1 && deltas.join('') === events.at(-1).response.output[0].arguments, events);
    return [JSON.parse(deltas.join('')).city];
  },
};

const media = {
  async embeddings(mark) {
    const answer = await client().embeddings.create({ model: 'gpt', input: [mark, 'two'] });
    check(JSON.stringify(answer.data.map((item) => item.embedding)) === '[[0.25,-0.5,1],[0.25,-0.5,2]]', answer);
    return [answer.served_by];
  },
  async image_generation(mark) {
    const answer = await client().images.generate({ model: 'gpt', prompt: mark });
    check(answer.data[0].revised_prompt === mark, answer);
    return [who(answer.data[0].url)];
  },
  async image_edit(mark) {
    const answer = await client().images.edit({ model: 'gpt', image: await toFile(BYTES, 'cat.png', { type: 'image/png' }), prompt: mark });
    return [who(answer.data[0].url)];
  },
  async transcription(mark) {
    return [who((await client().audio.transcriptions.create({ model: 'gpt', file: await toFile(BYTES, 'a.mp3'), prompt: mark })).text)];
  },
  async transcription_streamed(mark) {
    const events = await all(await client().audio.transcriptions.create({ model: 'gpt', file: await toFile(BYTES, 'a.mp3'), prompt: mark, stream: true }));
    check(events.length === 4 && events.at(-1).type === 'transcript.text.done', events);
    return [who(events.at(-1).text)];
  },
  async speech(mark) {
    const sound = Buffer.from(await (await client().audio.speech.create({ model: 'gpt', voice: 'alloy', input: mark })).arrayBuffer());
    check(sound.subarray(0, 3).toString() === 'ID3' && sound.subarray(-256).equals(BYTES), sound);
    return [sound.subarray(3, -256).toString()];
  },
  async response(mark) {
    return [who((await client().responses.create({ model: 'gpt', input: mark })).output_text)];
  },
  async response_streamed(mark) {
    const answer = await client().responses.stream({ model: 'gpt', input: mark }).finalResponse();
    return [who(answer.output_text)];
  },
};

/** Each method that has a route here, on a client of either kind; models are looked up by the way. */
async function byEveryRoute(one, mark, model = 'gpt') {
  const file = () => toFile(BYTES, 'a.mp3');
  const image = () => toFile(BYTES, 'cat.png', { type: 'image/png' });
  const listed = (await all(one.models.list())).map((known) => known.id);
  check(listed.includes('gpt') && (await one.models.retrieve('gpt')).id === 'gpt', listed);
  const chunks = await all(await one.chat.completions.create({ model, messages: says(mark), stream: true }));
  const events = await all(await one.responses.create({ model: 'gpt', input: mark, stream: true }));
  const sound = Buffer.from(await (await one.audio.speech.create({ model, voice: 'alloy', input: mark })).arrayBuffer());
  return [
    who(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')),
    who(events.at(-1).response.output[0].content[0].text),
    sound.subarray(3, -256).toString(),
    who((await one.chat.completions.create({ model, messages: says(mark) })).choices[0].message.content),
    who((await one.completions.create({ model, prompt: mark })).choices[0].text),
    (await one.embeddings.create({ model, input: mark })).served_by,
    who((await one.images.generate({ model, prompt: mark })).data[0].url),
    who((await one.images.edit({ model, image: await image(), prompt: mark })).data[0].url),
    who((await one.images.createVariation({ model: 'gpt', image: await image(), user: mark })).data[0].url),
    who((await one.audio.transcriptions.create({ model, file: await file(), prompt: mark })).text),
    who((await one.audio.translations.create({ model, file: await file(), prompt: mark })).text),
    (await one.moderations.create({ model: 'gpt', input: mark })).id.replace('modr-', ''),
    who((await one.responses.create({ model: 'gpt', input: mark })).output_text),
  ];
}

const dated = { apiKey: KEY, apiVersion: '2025-04-01-preview', maxRetries: 0, timeout: 20_000 };

const azure = {
  azure_by_endpoint: (mark) => byEveryRoute(new AzureOpenAI({ endpoint: base(), ...dated }), mark),
  azure_by_deployment: (mark) => byEveryRoute(new AzureOpenAI({ endpoint: base(), deployment: 'gpt', ...dated }), mark, 'no-such-model'),
  azure_by_base_url: (mark) => byEveryRoute(new AzureOpenAI({ baseURL: `${base()}/openai`, ...dated }), mark),
  azure_v1: (mark) => byEveryRoute(client({ baseURL: `${base()}/openai/v1/` }), mark),
};

/** What an error looks like to the program that catches it. */
async function raised(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { raised: error.constructor.name, status: error.status, retry_after: error.headers?.get('retry-after') ?? null, message: error.message };
  }
  throw new Error('nothing was raised');
}

const asked = (model, mark, { stream = false, ...options } = {}) => raised(() => client(options).chat.completions.create({ model, messages: says(mark), stream }));

const errors = {
  unknown_model: (mark) => asked('no-such-model', mark),
  unknown_model_retrieved: () => raised(() => client().models.retrieve('no-such-model')),
  wrong_key: (mark) => asked('gpt', mark, { apiKey: 'sk-wrong' }),
  provider_bad_request: (mark) => asked('refusing', mark),
  provider_not_found: (mark) => asked('missing', mark),
  provider_limited: (mark) => asked('limited', mark),
  streamed_error: (mark) => asked('limited', mark, { stream: true }),
  provider_failing: (mark) => asked('failing', mark),
  // One is served in a minute; which one depends on what came before, and the minute may turn once.
  limit_of_the_balancer: (mark) =>
    raised(async () => {
      for (let n = 0; n < 3; n++) await client().chat.completions.create({ model: 'narrow', messages: says(mark) });
    }),
  /** The client tries again by itself, as it does unless told otherwise; `later` says 429 first, and to come again in a second. */
  async own_retry_waits_as_told(mark) {
    const started = performance.now();
    const answer = await client({ maxRetries: 1 }).chat.completions.create({ model: 'later', messages: says(mark) });
    const waited = performance.now() - started;
    check(waited >= 1000 && waited < 10_000, waited);
    return ['later', who(answer.choices[0].message.content)];
  },
};

await run({ chat, tools, media, azure, errors });
