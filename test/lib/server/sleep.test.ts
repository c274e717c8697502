import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../../tools/engines.js';

let llm: LLM;
let other: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  other = await LLM.load(await tinyEngine());
});
after(() => Promise.all([llm.close(), other.close()]));

const ask = (handler: Handler, path: string, init: RequestInit = {}) =>
  handler(new Request(`http://localhost${path}`, init));
const post = (handler: Handler, path: string, body?: object) =>
  ask(handler, path, { method: 'POST', ...(body && { body: JSON.stringify(body) }) });
const complete = (handler: Handler, model: string) =>
  post(handler, '/v1/completions', { model, prompt: 'Once', max_tokens: 2 });

test('POST /sleep puts a model to sleep until POST /wake_up, and health, readiness and requests say so', async () => {
  const handler = createHandler({ tiny: llm }, { sleepRoutes: true });
  assert.deepEqual(await (await ask(handler, '/is_sleeping')).json(), { is_sleeping: false });
  assert.equal((await post(handler, '/sleep?level=1')).status, 200);
  assert.deepEqual(await (await ask(handler, '/is_sleeping')).json(), { is_sleeping: true });
  for (const path of ['/health', '/health?deep=true']) {
    const health = await ask(handler, path);
    assert.deepEqual([health.status, await health.json()], [200, { status: 'asleep' }], path);
  }
  for (const [path, status] of Object.entries({
    '/ready': 503,
    '/v2/health/live': 200,
    '/v2/health/ready': 400,
    '/v2/models/tiny/ready': 400,
  })) {
    assert.equal((await ask(handler, path)).status, status, path);
  }
  const refused = await complete(handler, 'tiny');
  assert.equal(refused.status, 503);
  const { error } = (await refused.json()) as { error: { message: string; code: string } };
  assert.deepEqual([error.code, error.message.includes('/wake_up')], ['ERR_ASLEEP', true]);
  assert.equal((await post(handler, '/wake_up')).status, 200);
  assert.equal((await complete(handler, 'tiny')).status, 200);
  assert.deepEqual(await (await ask(handler, '/ready')).json(), { status: 'ok' });
});

test('of several models ?model= names the one that sleeps, and the server is ready for the others', async () => {
  const handler = createHandler({ tiny: llm, other }, { sleepRoutes: true });
  assert.equal((await post(handler, '/sleep')).status, 400);
  assert.equal((await post(handler, '/sleep?model=other')).status, 200);
  assert.deepEqual([llm.isAsleep, other.isAsleep], [false, true]);
  assert.equal((await ask(handler, '/ready')).status, 200);
  const index = (await (await post(handler, '/v2/repository/index')).json()) as { name: string; reason: string }[];
  assert.deepEqual(
    index.map(({ name, reason }) => [name, reason]),
    [
      ['tiny', ''],
      ['other', 'asleep'],
    ],
  );
  assert.equal((await complete(handler, 'tiny')).status, 200);
  assert.equal((await complete(handler, 'other')).status, 503);
  assert.equal((await post(handler, '/wake_up?model=other')).status, 200);
  assert.equal((await complete(handler, 'other')).status, 200);
});

test('the routes ask for the key and the method, and are not there unless sleepRoutes turns them on', async () => {
  const keyed = createHandler(llm, { apiKeys: ['secret'], sleepRoutes: true });
  assert.equal((await post(keyed, '/sleep')).status, 401);
  const wrong = await ask(createHandler(llm, { sleepRoutes: true }), '/sleep');
  assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'POST']);
  assert.equal((await post(createHandler(llm), '/sleep')).status, 404);
  assert.equal(llm.isAsleep, false);
});
