import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler, type ServedRequest } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../../tools/engines.js';

let llm: LLM;
let handler: Handler;
const ended: ServedRequest[] = [];
before(async () => {
  llm = await LLM.load(await tinyEngine());
  handler = createHandler({ tiny: llm }, { onRequestEnd: (request) => void ended.push(request) });
});
after(() => llm.close());

const post = async (path: string, body: object, to = handler) => {
  const response = await to(new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) }));
  return { status: response.status, body: await response.json() };
};

interface EmbeddingList {
  object: string;
  model: string;
  data: { object: string; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

test('/v1/embeddings gives what embed() gives, of texts and of tokens, and its usage', async () => {
  const tokens = [...(await llm.tokenizer.encode('hi'))];
  const { embeddings, usage } = await llm.embed(['Once', 'hi']);
  const { status, body } = await post('/v1/embeddings', { model: 'tiny', input: ['Once', tokens] });
  assert.equal(status, 200);
  const list = body as EmbeddingList;
  assert.deepEqual([list.object, list.model], ['list', 'tiny']);
  for (const [i, { object, index, embedding }] of list.data.entries()) {
    assert.deepEqual([object, index], ['embedding', i]);
    assert.deepEqual(Float32Array.from(embedding as number[]), embeddings[i]);
  }
  assert.deepEqual([list.usage.prompt_tokens, list.usage.total_tokens], [usage.promptTokens, usage.promptTokens]);
  assert.equal(ended.at(-1)?.usage?.promptTokens, usage.promptTokens);
  const one = (await post('/v1/embeddings', { input: tokens, normalize: false, pooling: 'mean' }))
    .body as EmbeddingList;
  const [mean] = (await llm.embed('hi', { normalize: false, pooling: 'mean' })).embeddings;
  assert.deepEqual(Float32Array.from(one.data[0]?.embedding as number[]), mean);
});

test("OpenAI's package decodes what it asks for as base64", async () => {
  const fetch = (url: string | URL | Request, init?: RequestInit) => handler(new Request(url, init));
  const client = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', maxRetries: 0, fetch });
  const { data } = await client.embeddings.create({ model: 'tiny', input: 'Once', dimensions: llm.info.hiddenSize });
  assert.deepEqual(Float32Array.from(data[0]?.embedding ?? []), (await llm.embed('Once')).embeddings[0]);
});

test('what /v1/embeddings does not do is refused by its field', async () => {
  const failures = [
    [{ input: 'a', dimensions: 8 }, 'dimensions', 'unsupported_parameter'],
    [{ input: [] }, 'input', null],
    [{ input: ['a', {}] }, 'input[1]', null],
    [{}, 'input', null],
    [{ input: 'a', encoding_format: 'int8' }, 'encoding_format', null],
    [{ input: 'a', messages: [] }, 'messages', 'unsupported_parameter'],
    [{ input: 'a', cache_salt: '' }, 'cache_salt', 'ERR_INVALID_OPTION'],
  ] as const;
  for (const [asked, param, code] of failures) {
    const { status, body } = await post('/v1/embeddings', asked);
    const { error } = body as { error: { param: string; code: string | null } };
    assert.deepEqual([status, error.param, error.code], [400, param, code]);
  }
});

test('more inputs than queue and batch take at once are refused, as waiting would not help', async () => {
  const small = await LLM.load(await tinyEngine(), { maxBatchSize: 1, maxQueueSize: 1 });
  const embed = (input: string[]) => post('/v1/embeddings', { input }, createHandler(small));
  assert.equal((await embed(['a', 'b'])).status, 200);
  const { status, body } = await embed(['a', 'b', 'c']);
  const { error } = body as { error: { message: string; param: string } };
  const message = 'input has 3 items; expected at most 2. Send fewer in a request.';
  assert.deepEqual([status, error.param, error.message], [400, 'input', message]);
  await small.close();
});

test('an executor without embeddings answers 400 with the capability', async () => {
  const scripted = await LLM.load(await scriptedEngine({}), { executor: { library: SCRIPTED_LIBRARY } });
  try {
    const { status, body } = await post('/v1/embeddings', { input: [[1]] }, createHandler(scripted));
    const { error } = body as { error: { message: string; code: string } };
    assert.deepEqual([status, error.code], [400, 'ERR_UNSUPPORTED']);
    assert.match(error.message, /llm\.capabilities\.embeddings/);
  } finally {
    await scripted.close();
  }
});

interface ScoreList {
  object: string;
  data: { index: number; score: number; is_greedy: boolean; tokens: string[]; token_logprobs: number[] }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

test('/v1/score gives what score() gives', async () => {
  const { scores, usage } = await llm.score('Once', [' upon', ' a time']);
  const { status, body } = await post('/v1/score', { prompt: 'Once', continuations: [' upon', ' a time'] });
  assert.equal(status, 200);
  const list = body as ScoreList;
  assert.equal(list.object, 'list');
  assert.deepEqual(
    list.data.map(({ index, score, is_greedy, tokens, token_logprobs }) => [
      index,
      score,
      is_greedy,
      tokens,
      token_logprobs,
    ]),
    scores.map(({ logprob, isGreedy, tokens }, i) => [
      i,
      logprob,
      isGreedy,
      tokens.map(({ text }) => text),
      tokens.map((token) => token.logprob),
    ]),
  );
  assert.equal(list.usage.prompt_tokens, usage.promptTokens);
  assert.equal(list.usage.completion_tokens, 0);
});

test("/v1/score says what to send in place of a cross-encoder's fields", async () => {
  const { status, body } = await post('/v1/score', { text_1: 'a', text_2: 'b' });
  const { error } = body as { error: { param: string; message: string } };
  assert.deepEqual([status, error.param], [400, 'text_1']);
  assert.match(error.message, /prompt and continuations/);
});
