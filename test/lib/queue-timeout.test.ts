import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM, type LLMError } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

const LONG = { maxTokens: 4000, temperature: 0, ignoreEos: true };

/** Runs with one place in the batch; `setTimeout` fires by `tick` alone. */
async function withOnePlace(
  t: { mock: { timers: { enable(options: { apis: ['setTimeout'] }): void; reset(): void } } },
  run: (llm: LLM) => Promise<void>,
): Promise<void> {
  const llm = await LLM.load(await tinyEngine(), { maxBatchSize: 1 });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  try {
    await run(llm);
  } finally {
    t.mock.timers.reset();
    await llm.close();
  }
}

describe('queueTimeoutMs', () => {
  test('ends a request that waits for a place, and not before', (t) =>
    withOnePlace(t, async (llm) => {
      const running = llm.stream({ tokens: [1] }, LONG);
      await running[Symbol.asyncIterator]().next();
      const waiting = llm.stream({ tokens: [2] }, { ...LONG, queueTimeoutMs: 1000 });
      let ended = false;
      const rejected = assert
        .rejects(waiting.result, (error) => {
          assert.equal((error as LLMError).requestId, waiting.id);
          return failsWith('ERR_QUEUE_TIMEOUT', /1000 ms/)(error);
        })
        .finally(() => {
          ended = true;
        });
      t.mock.timers.tick(999);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(ended, false);
      t.mock.timers.tick(1);
      await rejected;
      running.abort();
    }));

  test('is of no matter to a request that has begun', (t) =>
    withOnePlace(t, async (llm) => {
      const generation = llm.stream({ tokens: [1] }, { ...LONG, maxTokens: 100, queueTimeoutMs: 1000 });
      const reader = generation[Symbol.asyncIterator]();
      await reader.next();
      t.mock.timers.tick(5000);
      while (!(await reader.next()).done);
      assert.equal((await generation.result).finishReason, 'length');
    }));

  test('gives the place to the next in line', (t) =>
    withOnePlace(t, async (llm) => {
      const running = llm.stream({ tokens: [1] }, LONG);
      await running[Symbol.asyncIterator]().next();
      const gone = llm.generate({ tokens: [2] }, { ...LONG, queueTimeoutMs: 1000 });
      const next = llm.generate({ tokens: [3] }, { ...LONG, maxTokens: 5 });
      t.mock.timers.tick(1000);
      await assert.rejects(gone, failsWith('ERR_QUEUE_TIMEOUT'));
      running.abort();
      assert.equal((await next).usage.completionTokens, 5);
    }));
});
