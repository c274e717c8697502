import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { failsInEveryThird, startAll, withScript } from '../../tools/scripted.js';
import { type Fate, fateOf } from './fate.js';

describe('a throw in the table function', () => {
  for (const throwIn of ['create', 'describe']) {
    test(`${throwIn} rejects the load`, async () => {
      const engine = await scriptedEngine({ throw_in: throwIn });
      const loading = LLM.load(engine, { executor: { library: SCRIPTED_LIBRARY } });
      await assert.rejects(loading, failsWith('ERR_INTERNAL', `scripted throw in ${throwIn}`));
    });
  }

  test('submit rejects that request alone', () =>
    withScript({ throw_in: 'submit', throw_at_call: 2 }, async (llm) => {
      const [first, second, third] = await Promise.allSettled(startAll(llm, 3, () => 5));
      assert.equal(first?.status, 'fulfilled');
      assert.equal(third?.status, 'fulfilled');
      assert.ok(second?.status === 'rejected' && failsWith('ERR_INTERNAL', /in submit/)(second.reason));
    }));

  test('wait rejects every request that runs, and all that come after', () =>
    withScript({ throw_in: 'wait', throw_at_requests: 20, throw_at_call: 4, step_ms: 5 }, async (llm) => {
      const settled = await Promise.allSettled(startAll(llm, 20, () => 1000));
      for (const each of settled) {
        assert.ok(each.status === 'rejected' && failsWith('ERR_INTERNAL', /in wait/)(each.reason));
      }
      await assert.rejects(llm.generate({ tokens: [1] }), failsWith('ERR_EXECUTOR_FAILED', /in wait/));
    }));

  test('cancel ends the request for its reader all the same', () =>
    withScript({ throw_in: 'cancel', step_ms: 1 }, async (llm) => {
      const generation = llm.stream({ tokens: [0] }, { maxTokens: 20 });
      for await (const _ of generation) break;
      assert.equal((await generation.result).finishReason, 'cancelled');
    }));

  test('stats is thrown by stats(), typed', () =>
    withScript({ throw_in: 'stats' }, async (llm) => {
      assert.throws(() => llm.stats(), failsWith('ERR_INTERNAL', /in stats/));
    }));

  test('shutdown does not keep close from ending', () =>
    withScript({ throw_in: 'shutdown', step_ms: 1 }, async (llm) => {
      const running = llm.generate({ tokens: [0] }, { maxTokens: 100_000 });
      await llm.close();
      await assert.rejects(running, failsWith('ERR_CLOSED', /closed/));
    }));
});

// Where memory is refused, a sanitizer ends the process; only without one does new throw.
const sanitized = /lib[at]san/.test(process.env.LD_PRELOAD ?? '');
test('logits for which the pump has no memory end their request alone', { skip: sanitized }, () =>
  withScript({ endless_logits_every: 3, step_ms: 5 }, async (llm) => {
    await failsInEveryThird(llm);
    await failsInEveryThird(llm);
  }),
);

describe('in a worker as in the main thread, a throw in the table function', () => {
  const well: Fate = { load: 'well', first: 'well', second: 'well', left: 'well', stats: 'well', close: 'well' };
  const fates: [string, number, Fate | { load: string }][] = [
    ['create', 1, { load: 'ERR_INTERNAL' }],
    ['describe', 1, { load: 'ERR_INTERNAL' }],
    ['submit', 1, { ...well, first: 'ERR_INTERNAL' }],
    // The pump waits from the load on; request `first` takes five steps.
    ['wait', 3, { ...well, first: 'ERR_INTERNAL', second: 'ERR_EXECUTOR_FAILED', left: 'ERR_EXECUTOR_FAILED' }],
    ['cancel', 1, well],
    ['stats', 1, { ...well, stats: 'ERR_INTERNAL' }],
    ['shutdown', 1, well],
  ];
  for (const [throwIn, atCall, expected] of fates) {
    test(`${throwIn} touches what it must, and nothing else`, async () => {
      const engine = await scriptedEngine({ throw_in: throwIn, throw_at_call: atCall });
      assert.deepEqual(await fateOf(engine), expected);
      const worker = new Worker(new URL('fate.js', import.meta.url), { workerData: engine });
      const exited = once(worker, 'exit'); // it can come together with the message
      const [fateInWorker] = await once(worker, 'message');
      assert.deepEqual(fateInWorker, expected);
      await exited;
    });
  }
});
