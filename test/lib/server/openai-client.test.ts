import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type ServedRequest } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { tinyEngine } from '../../tools/engines.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

const KEY = 'secret';
const messages = [{ role: 'user' as const, content: 'hi' }];
const chat = { model: 'tiny', messages, max_tokens: 12 };

let llm: LLM;
let server: HandlerServer;
let client: OpenAI;
const ended: ServedRequest[] = [];
before(async () => {
  llm = await LLM.load(await tinyEngine());
  const onRequestEnd = (request: ServedRequest): void => void ended.push(request);
  server = await serveHandler(createHandler({ tiny: llm }, { apiKeys: ['other', KEY], onRequestEnd }));
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
});
after(async () => {
  await server.close();
  await llm.close();
});

test('chat.completions.create gives what generate() gives', async () => {
  await llm.generate({ messages }, { maxTokens: 12 }); // from now on its prompt is cached
  const { text, usage } = await llm.generate({ messages }, { maxTokens: 12 });
  const completion = await client.chat.completions.create(chat);
  assert.match(completion.id, /^chatcmpl-/);
  assert.equal(completion.object, 'chat.completion');
  assert.equal(completion.model, 'tiny');
  assert.deepEqual(completion.choices, [
    {
      index: 0,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: null,
      finish_reason: 'length',
    },
  ]);
  assert.deepEqual(completion.usage, {
    prompt_tokens: usage.promptTokens,
    completion_tokens: 12,
    total_tokens: usage.totalTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  });
});

test('a chat stream gives the role, the same text, the finish reason and, if asked for, usage in this order', async () => {
  const { text, usage } = await llm.generate({ messages }, { maxTokens: 12 });
  const stream = await client.chat.completions.create({
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: OpenAI.Chat.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(chunks[0]?.choices[0]?.delta, { role: 'assistant', content: '' });
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), text);
  assert.deepEqual(chunks.at(-2)?.choices, [{ index: 0, delta: {}, logprobs: null, finish_reason: 'length' }]);
  assert.deepEqual(chunks.at(-1)?.choices, []);
  assert.equal(chunks.at(-1)?.usage?.total_tokens, usage.totalTokens);
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
});

test('each of n streamed choices is the text of that index', async () => {
  const sampled = { temperature: 1, seed: 7, n: 3 };
  const { outputs } = await llm.generate({ messages }, { ...sampled, maxTokens: 12 });
  const texts = ['', '', ''];
  const stream = await client.chat.completions.create({ ...chat, ...sampled, stream: true });
  for await (const { choices } of stream) {
    for (const { index, delta } of choices) texts[index] += delta.content ?? '';
  }
  assert.deepEqual(
    texts,
    outputs.map(({ text }) => text),
  );
});

test('every field of sampling has the effect of its option', async () => {
  const pairs = [
    [
      { temperature: 1, seed: 3 },
      { temperature: 1, seed: 3 },
    ],
    [
      { temperature: 1, seed: 3, top_p: 0.5 },
      { temperature: 1, seed: 3, topP: 0.5 },
    ],
    [{ presence_penalty: 2 }, { presencePenalty: 2 }],
    [{ frequency_penalty: 2 }, { frequencyPenalty: 2 }],
    [{ logit_bias: { 97: 100 } }, { logitBias: { 97: 100 } }],
    [
      { logit_bias: { 97: 100 }, stop: 'aaa' },
      { logitBias: { 97: 100 }, stop: 'aaa' },
    ],
    [{ max_completion_tokens: 3 }, { maxTokens: 3 }],
    [
      { temperature: 1, seed: 3, top_k: 2 },
      { temperature: 1, seed: 3, topK: 2 },
    ],
    [
      { temperature: 1, seed: 3, min_p: 0.5 },
      { temperature: 1, seed: 3, minP: 0.5 },
    ],
    [{ repetition_penalty: 5 }, { repetitionPenalty: 5 }],
    [{ bad_words: ['e', 't'] }, { badWords: ['e', 't'] }],
  ] as const;
  const plain = (await llm.generate({ messages }, { maxTokens: 12 })).text;
  for (const [fields, options] of pairs) {
    const { text } = await llm.generate({ messages }, { maxTokens: 12, ...options });
    const { choices } = await client.chat.completions.create({ ...chat, ...fields });
    assert.equal(choices[0]?.message.content, text, JSON.stringify(fields));
    if (!('bad_words' in fields)) assert.notEqual(text, plain, `${JSON.stringify(fields)} changes nothing`);
  }
});

test('fields that are null count as left out', async () => {
  const nulls = { temperature: null, top_p: null, n: null, stop: null, seed: null, stream: null, logit_bias: null };
  const { choices } = await client.chat.completions.create({ ...chat, ...nulls, tools: null as never });
  assert.equal(choices[0]?.message.content, (await llm.generate({ messages }, { maxTokens: 12 })).text);
});

test('what vllm-router adds to each request changes nothing', async () => {
  const { text } = await llm.generate({ messages }, { maxTokens: 12 });
  const both = { no_stop_trim: false, return_hidden_states: false, ignore_eos: false, skip_special_tokens: true };
  const reasoning = { separate_reasoning: true, stream_reasoning: true, include_reasoning: true };
  const routed = { ...chat, ...both, ...reasoning, logprobs: false, continue_final_message: false };
  assert.equal((await client.chat.completions.create(routed)).choices[0]?.message.content, text);
  const completion = { model: 'tiny', prompt: 'Once', echo: false, stream: false as const, ...both };
  assert.equal((await client.completions.create(completion)).choices.length, 1);
});

test('text parts and the role developer make the prompt that strings and system make', async () => {
  const plain = [{ role: 'system' as const, content: 'Be brief.' }, ...messages];
  const parts = [
    { role: 'developer' as const, content: [{ type: 'text' as const, text: 'Be brief.' }] },
    { role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] },
  ];
  const { choices } = await client.chat.completions.create({ ...chat, messages: parts });
  assert.equal(choices[0]?.message.content, (await llm.generate({ messages: plain }, { maxTokens: 12 })).text);
});

test('logprobs of chat are those of generate(), streamed or not', async () => {
  const [output] = (await llm.generate({ messages }, { maxTokens: 12, topLogprobs: 2 })).outputs;
  const expected = output?.logprobs?.map(({ text, logprob, top }) => [text, logprob, top?.map((each) => each.text)]);
  type Entry = OpenAI.Chat.ChatCompletionTokenLogprob;
  const seen = (entries: readonly Entry[]) =>
    entries.map(({ token, logprob, top_logprobs: top }) => [token, logprob, top.map((each) => each.token)]);
  const asked = { ...chat, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(asked);
  assert.deepEqual(seen(whole.choices[0]?.logprobs?.content ?? []), expected);
  const streamed: Entry[] = [];
  for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
    streamed.push(...(choices[0]?.logprobs?.content ?? []));
  }
  assert.deepEqual(seen(streamed), expected);
});

test('leaving a stream ends its request in the engine', async () => {
  ended.length = 0;
  const before = llm.stats();
  const stream = await client.chat.completions.create({
    model: 'tiny',
    messages,
    stream: true,
    ignore_eos: true,
  } as OpenAI.Chat.ChatCompletionCreateParamsStreaming);
  for await (const _ of stream) break;
  while (llm.stats().activeRequests > 0 || ended.length === 0) await new Promise(setImmediate);
  assert.ok(llm.stats().steps - before.steps < llm.info.maxSeqLen / 2, 'it ran to its end');
  assert.equal(ended[0]?.aborted, true);
});

test('aborting a request that is not streamed ends it in the engine', async () => {
  const controller = new AbortController();
  const asked = { model: 'tiny', messages, ignore_eos: true } as OpenAI.Chat.ChatCompletionCreateParamsNonStreaming;
  const promise = client.chat.completions.create(asked, { signal: controller.signal });
  while (llm.stats().activeRequests === 0) await new Promise(setImmediate);
  const before = llm.stats();
  controller.abort();
  await assert.rejects(promise, OpenAI.APIUserAbortError);
  while (llm.stats().activeRequests > 0) await new Promise(setImmediate);
  assert.ok(llm.stats().steps - before.steps < llm.info.maxSeqLen / 2, 'it ran to its end');
});

test('errors are of the class that the client has for their status, and name the field', async () => {
  const badChat = (fields: object) => client.chat.completions.create({ ...chat, ...fields });
  const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'guess', maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(badChat({ model: 'gpt-4' }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    assert.equal(error.param, 'model');
    return true;
  });
  const long = { messages: [{ role: 'user', content: 'x'.repeat(llm.info.maxSeqLen) }] };
  for (const [fields, param, code] of [
    [{ top_p: 2 }, 'top_p', 'ERR_INVALID_OPTION'],
    [{ max_tokens: -1 }, 'max_tokens', 'ERR_INVALID_OPTION'],
    [{ temperature: '1' }, 'temperature', null],
    [{ messages: [{ role: 'user', content: 1 }] }, 'messages[0].content', null],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'messages[0].content[0].type', null],
    [{ messages: [] }, 'messages', 'ERR_INVALID_INPUT'],
    [{ top_logprobs: 2 }, 'top_logprobs', null],
    [{ reasoning_effort: 'low' }, 'reasoning_effort', 'unsupported_parameter'],
    [{ functions: [] }, 'functions', 'unsupported_parameter'],
    [{ modalities: ['audio'] }, 'modalities[0]', null],
    [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools', 'unsupported_parameter'],
    [{ tool_choice: 'required' }, 'tool_choice', llm.capabilities.guided ? null : 'unsupported_parameter'],
    [{ stop: Array(20_000).fill('x') }, 'stop', null],
    [{ temprature: 1 }, 'temprature', 'unknown_parameter'],
    [long, 'messages', 'context_length_exceeded'],
  ] as const) {
    await assert.rejects(badChat(fields), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
      assert.deepEqual([error.param, error.code], [param, code], error.message);
      if (code === 'context_length_exceeded') assert.match(error.message, /Please reduce the length/);
      return true;
    });
  }
});

test('a stream that cannot begin has the status of its failure', async () => {
  await assert.rejects(
    client.chat.completions.create({ ...chat, top_p: 2, stream: true }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'top_p',
  );
});

test('models.list and models.retrieve give the names', async () => {
  const { data } = await client.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    ['tiny'],
  );
  assert.equal((await client.models.retrieve('tiny')).object, 'model');
  await assert.rejects(client.models.retrieve('gpt-4'), OpenAI.NotFoundError);
});

test('completions.create continues texts and tokens, several at once, n each', async () => {
  const prompts = ['Once', 'Dear Sir'];
  const sampled = { temperature: 1, seed: 5, n: 2 };
  const results = await llm.generate(prompts, { ...sampled, maxTokens: 16 });
  const texts = results.flatMap(({ outputs }) => outputs.map(({ text }) => text));
  const { choices } = await client.completions.create({ model: 'tiny', prompt: prompts, ...sampled });
  assert.deepEqual(
    choices.map(({ text }) => text),
    texts,
  );
  const tokens = await Promise.all(prompts.map(async (each) => [...(await llm.tokenizer.encode(each))]));
  const streamed = ['', '', '', ''];
  const stream = await client.completions.create({ model: 'tiny', prompt: tokens, ...sampled, stream: true });
  for await (const { choices: parts } of stream) for (const { index, text } of parts) streamed[index] += text;
  assert.deepEqual(streamed, texts);
});

test('echo puts the prompt before the text, streamed too', async () => {
  const { text } = await llm.generate('Once', { maxTokens: 16 });
  const asked = { model: 'tiny', prompt: 'Once', echo: true };
  assert.equal((await client.completions.create(asked)).choices[0]?.text, `Once${text}`);
  const streamed = async (fields: object) => {
    let read = '';
    for await (const { choices } of await client.completions.create({ ...asked, ...fields, stream: true })) {
      read += choices[0]?.text;
    }
    return read;
  };
  assert.equal(await streamed({}), `Once${text}`);
  assert.equal((await client.completions.create({ ...asked, max_tokens: 0 })).choices[0]?.text, 'Once');
  assert.equal(await streamed({ max_tokens: 0 }), 'Once');
});
