import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { createHandler, type Handler, type HandlerOptions, type ServedRequest } from 'node-tensorrt-llm/server';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine(), { maxBatchSize: 1, maxQueueSize: 1 });
});
after(() => llm.close());

const ask = (handler: Handler, path: string, init: RequestInit = {}) =>
  handler(new Request(`http://localhost${path}`, init));
const post = (handler: Handler, path: string, body: unknown, init: RequestInit = {}) =>
  ask(handler, path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...init });
const handlerOf = (options?: HandlerOptions) => createHandler(llm, options);

interface Failure {
  error: { message: string; type: string; param: string | null; code: string | null };
}
const failureOf = async (response: Response) => ((await response.json()) as Failure).error;

test('one LLM has the name of its directory, and a request need not name it', async () => {
  const { data } = (await (await ask(handlerOf(), '/v1/models')).json()) as { data: { id: string }[] };
  assert.equal(data[0]?.id, 'engine');
  const response = await post(handlerOf(), '/v1/completions', { prompt: 'Once', max_tokens: 1 });
  assert.equal(((await response.json()) as { model: string }).model, 'engine');
});

test('a request to several models must name one', async () => {
  const other = await scripted({});
  try {
    const handler = createHandler({ tiny: llm, scripted: other });
    const unnamed = await post(handler, '/v1/completions', { prompt: 'Once' });
    assert.equal(unnamed.status, 400);
    assert.equal((await failureOf(unnamed)).param, 'model');
    for (const [model, of] of [
      ['tiny', llm],
      ['scripted', other],
    ] as const) {
      const response = await post(handler, '/v1/completions', { model, prompt: 'Once', max_tokens: 3 });
      const { choices } = (await response.json()) as { choices: { text: string }[] };
      assert.equal(choices[0]?.text, (await of.generate('Once', { maxTokens: 3 })).text);
    }
  } finally {
    await other.close();
  }
});

test('a request without one of the keys is answered 401, health and readiness are not', async () => {
  const handler = handlerOf({ apiKeys: ['first', 'second'] });
  const withKey = (authorization: string) => ask(handler, '/v1/models', { headers: { authorization } });
  assert.equal((await ask(handler, '/v1/models')).status, 401);
  assert.equal((await withKey('Bearer ')).status, 401);
  assert.equal((await withKey('Bearer firs')).status, 401);
  assert.equal((await withKey('Bearer first')).status, 200);
  assert.equal((await withKey('bearer second')).status, 200);
  assert.equal((await post(handler, '/v1/completions', 'not even JSON')).status, 401);
  for (const path of ['/health', '/ready', '/v1/health/live', '/v1/health/ready']) {
    assert.equal((await ask(handler, path)).status, 200, path);
  }
});

test('isReady turns only readiness to 503', async () => {
  const handler = handlerOf({ isReady: () => false });
  assert.equal((await ask(handler, '/ready')).status, 503);
  assert.equal((await ask(handler, '/health')).status, 200);
});

test('a body above maxBodyBytes is answered 413, whether or not it tells its size', async () => {
  const handler = handlerOf({ maxBodyBytes: 100 });
  const body = JSON.stringify({ prompt: 'x'.repeat(100) });
  const declared = await post(handler, '/v1/completions', body, { headers: { 'content-length': '150' } });
  assert.equal(declared.status, 413);
  const pieces = async function* () {
    for (const piece of body) yield Buffer.from(piece);
  };
  const init = { body: ReadableStream.from(pieces()), duplex: 'half' } as RequestInit;
  assert.equal((await post(handler, '/v1/completions', '', init)).status, 413);
});

test('a body has at most 1 MiB unless maxBodyBytes says more', async () => {
  const body = JSON.stringify({ prompt: 'x'.repeat(2 ** 20), max_tokens: 0 });
  assert.equal((await post(handlerOf({}), '/v1/completions', body)).status, 413);
  assert.equal((await post(handlerOf({ maxBodyBytes: 2 ** 21 }), '/v1/completions', body)).status, 400);
});

test('a body that is not a JSON object is answered with 400', async () => {
  for (const body of ['', '{', '[]', 'null', '"text"']) {
    const response = await post(handlerOf(), '/v1/chat/completions', body);
    assert.equal(response.status, 400, body);
    assert.equal((await failureOf(response)).type, 'invalid_request_error');
  }
});

test('with allowedHosts another host or origin is answered 403', async () => {
  const handler = handlerOf({ allowedHosts: ['localhost', '[::1]'] });
  const status = async (headers: Record<string, string>) => (await ask(handler, '/v1/models', { headers })).status;
  assert.equal(await status({ host: 'localhost:8000' }), 200);
  assert.equal(await status({ host: '[::1]:8000' }), 200);
  assert.equal(await status({ host: 'evil.example' }), 403);
  assert.equal(await status({ host: 'localhost', origin: 'https://evil.example' }), 403);
  assert.equal(await status({ host: 'localhost', origin: 'http://localhost:3000' }), 200);
});

test('no answer allows another origin to read it', async () => {
  const response = await ask(handlerOf(), '/v1/models', { headers: { origin: 'https://elsewhere.example' } });
  assert.deepEqual(
    [...response.headers.keys()].filter((name) => name.startsWith('access-control')),
    [],
  );
});

test('an unknown path is answered 404, a wrong method 405 with the right one; a trailing slash is none', async () => {
  const handler = handlerOf();
  assert.equal((await ask(handler, '/v1/rerank')).status, 404);
  const wrong = await ask(handler, '/v1/chat/completions');
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'POST');
  assert.equal((await post(handler, '/v1/models', {})).status, 405);
  assert.equal((await ask(handler, '/v1/models/')).status, 200);
  assert.equal((await ask(handler, '/v1/models', { method: 'HEAD' })).status, 200);
});

test('a full queue is answered 429 with Retry-After', async () => {
  const client = new AbortController();
  const running = [llm.stream('Once', { ignoreEos: true }), llm.stream('Once', { ignoreEos: true })];
  while (llm.stats().queuedRequests === 0) await new Promise(setImmediate);
  try {
    const response = await post(handlerOf(), '/v1/completions', { prompt: 'Once' }, { signal: client.signal });
    assert.equal(response.status, 429);
    assert.match(response.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
    const { type, code } = await failureOf(response);
    assert.deepEqual([type, code], ['rate_limit_error', 'ERR_QUEUE_FULL']);
  } finally {
    for (const generation of running) generation.abort();
    await Promise.all(running.map(({ result }) => result));
  }
});

const scripted = async (script: Parameters<typeof scriptedEngine>[0]): Promise<LLM> =>
  LLM.load(await scriptedEngine(script), { executor: { library: SCRIPTED_LIBRARY } });

test('queueTimeoutMs ends the wait of a request with 429, timeoutMs its answer with finish reason length', async () => {
  const handler = handlerOf({ queueTimeoutMs: 1 });
  const running = llm.stream('Once', { ignoreEos: true });
  await running[Symbol.asyncIterator]().next();
  const late = await post(handler, '/v1/completions', { prompt: 'Once' });
  assert.equal(late.status, 429);
  assert.equal((await failureOf(late)).code, 'ERR_QUEUE_TIMEOUT');
  running.abort();
  await running.result;
  const body = { prompt: 'Once', ignore_eos: true, max_tokens: 8000 };
  const cut = await post(handlerOf({ timeoutMs: 20 }), '/v1/completions', body);
  const { choices, usage } = (await cut.json()) as {
    choices: { finish_reason: string }[];
    usage: { completion_tokens: number };
  };
  assert.equal(choices[0]?.finish_reason, 'length');
  assert.ok(usage.completion_tokens < 8000);
});

test('a failure in a stream is its last event, and onRequestEnd gets the details', async () => {
  const ended: ServedRequest[] = [];
  const failing = await scripted({ fail_every: 1 });
  try {
    const handler = createHandler(failing, { onRequestEnd: (request) => ended.push(request) });
    const response = await post(handler, '/v1/completions', { prompt: 'Once', max_tokens: 50, stream: true });
    assert.equal(response.status, 200);
    const last = (await response.text()).trimEnd().split('\n\n').at(-1) ?? '';
    assert.equal((JSON.parse(last.replace('data: ', '')) as Failure).error.type, 'server_error');
    assert.ok(LLMError.is(ended[0]?.error));
  } finally {
    await failing.close();
  }
});

test('an engine that fails is answered 500 without its details, and not to be tried again', async () => {
  const failing = await scripted({ throw_in: 'wait', throw_at_requests: 1 });
  try {
    const response = await post(createHandler(failing), '/v1/completions', { prompt: 'Once', max_tokens: 50 });
    assert.equal(response.status, 500);
    assert.equal(response.headers.get('x-should-retry'), 'false');
    assert.deepEqual(await failureOf(response), {
      message: 'The server failed to answer this request.',
      type: 'server_error',
      param: null,
      code: 'ERR_INTERNAL',
    });
  } finally {
    await failing.close();
  }
});

test('a closed LLM is answered 503', async () => {
  const closed = await LLM.load(await tinyEngine());
  await closed.close();
  const response = await post(createHandler(closed), '/v1/completions', { prompt: 'Once' });
  assert.equal(response.status, 503);
});

test('onRequestEnd gets one call for each request, with its tokens', async () => {
  const ended: ServedRequest[] = [];
  const handler = handlerOf({ onRequestEnd: (request) => ended.push(request) });
  const streamed = await post(handler, '/v1/completions', { prompt: 'Once', max_tokens: 4, stream: true });
  assert.equal(ended.length, 0);
  await streamed.text();
  await ask(handler, '/nowhere');
  assert.deepEqual(
    ended.map(({ method, path, status, model, usage }) => [method, path, status, model, usage?.completionTokens]),
    [
      ['POST', '/v1/completions', 200, 'engine', 4],
      ['GET', '/nowhere', 404, undefined, undefined],
    ],
  );
});

test('an option of createHandler that is null counts as left out', async () => {
  const names = ['apiKeys', 'maxBodyBytes', 'timeoutMs', 'queueTimeoutMs', 'allowedHosts', 'isReady', 'onRequestEnd'];
  for (const options of [null, Object.fromEntries(names.map((name) => [name, null]))]) {
    const handler = handlerOf(options as HandlerOptions);
    assert.equal((await post(handler, '/v1/completions', { prompt: 'Once', max_tokens: 1 })).status, 200);
    assert.equal((await ask(handler, '/ready')).status, 200);
  }
});

test('createHandler refuses what is no LLM and no option', () => {
  assert.throws(() => createHandler({}), failsWith('ERR_INVALID_INPUT', 'no model'));
  assert.throws(() => createHandler({ a: {} as LLM }), failsWith('ERR_INVALID_INPUT', '"a"'));
  assert.throws(() => handlerOf({ apiKey: 'x' } as HandlerOptions), failsWith('ERR_INVALID_OPTION', 'apiKey'));
  assert.throws(() => handlerOf({ apiKeys: [''] }), failsWith('ERR_INVALID_OPTION', 'apiKeys'));
});
