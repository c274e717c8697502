import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';

const load = async (script: Parameters<typeof scriptedEngine>[0], options: LoadOptions = {}) =>
  LLM.load(await scriptedEngine(script), { executor: { library: SCRIPTED_LIBRARY }, ...options });

test('/health?deep=true and /health_generate compute a token, once for all who ask at a time, and need no key', async () => {
  const llm = await load({});
  try {
    const handler = createHandler(llm, { apiKeys: ['secret'] });
    const ask = (path: string) => handler(new Request(`http://localhost${path}`));
    const responses = await Promise.all([ask('/health?deep=true'), ask('/health_generate')]);
    for (const response of responses) {
      assert.equal(response.status, 200);
      assert.deepEqual(await response.json(), { status: 'ok' });
    }
    assert.equal(llm.stats().completedRequests, 1);
    assert.equal((await ask('/health')).status, 200);
    assert.equal(llm.stats().completedRequests, 1, '/health alone computes nothing');
  } finally {
    await llm.close();
  }
});

test('a model whose requests fail is answered with 503, its name and code', async () => {
  const [good, bad] = await Promise.all([load({}), load({ fail_every: 1, tokens_per_step: 0 })]);
  try {
    const response = await createHandler({ good, bad })(new Request('http://localhost/health?deep=true'));
    assert.equal(response.status, 503);
    assert.deepEqual(await response.json(), {
      status: 'failing',
      failed: [{ model: 'bad', code: 'ERR_OUT_OF_MEMORY' }],
    });
  } finally {
    await Promise.all([good.close(), bad.close()]);
  }
});

test('health() fails where no token comes in time', async () => {
  const llm = await load({ step_ms: 1, tokens_per_step: 0 });
  try {
    await assert.rejects(llm.health({ timeoutMs: 1 }), failsWith('ERR_UNRESPONSIVE', /within 1 ms/));
  } finally {
    await llm.close();
  }
});

test('health() passes where the queue is full and steps go on', async () => {
  const llm = await load({ step_ms: 1 }, { maxBatchSize: 1, maxQueueSize: 1 });
  const endless = () => llm.stream({ tokens: [1] }, { maxTokens: 1_000_000 });
  const generations = [endless()];
  try {
    await generations[0]?.[Symbol.asyncIterator]().next(); // it runs, and the next one waits
    generations.push(endless());
    await assert.rejects(llm.generate({ tokens: [1] }), failsWith('ERR_QUEUE_FULL', /./));
    await llm.health();
  } finally {
    for (const generation of generations) generation.abort();
    await llm.close();
  }
});
