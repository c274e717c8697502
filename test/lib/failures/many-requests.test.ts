import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type EncodeOptions, type Generation, LLM, type LLMError } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { withScript } from '../../tools/scripted.js';

const MANY = 20_000;
/** Of a request that runs until it is ended. */
const ENDLESS = { maxTokens: 100_000 };

const start = (llm: LLM, options = {}, count = MANY): Generation[] =>
  Array.from({ length: count }, (_, i) => llm.stream({ tokens: [i % 200] }, { ...ENDLESS, ...options }));

/** How often the event loop turned until the promise was settled. */
async function turnsUntil(settled: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isSettled = false;
  settled.finally(() => {
    isSettled = true;
  });
  while (!isSettled) {
    await setImmediate();
    turns++;
  }
  return turns;
}

const outcomesOf = (generations: Generation[]): Promise<PromiseSettledResult<unknown>[]> =>
  Promise.allSettled(generations.map(({ result }) => result));

test('thousands of requests that start in one loop leave the event loop turns of its own', () =>
  withScript({ step_ms: 50 }, async (llm) => {
    const generations = start(llm);
    const inExecutor = (async () => {
      const count = (): number => llm.stats().activeRequests + llm.stats().queuedRequests;
      while (count() < MANY) await setImmediate();
    })();
    assert.ok((await turnsUntil(inExecutor)) > 2);
    for (const each of generations) each.abort();
    await outcomesOf(generations);
  }));

test('a signal that thousands of requests share leaves the event loop turns of its own when it aborts', () =>
  withScript({ step_ms: 50 }, async (llm) => {
    const controller = new AbortController();
    const outcomes = outcomesOf(start(llm, { signal: controller.signal }));
    controller.abort('enough');
    assert.ok((await turnsUntil(outcomes)) > 2);
    for (const each of await outcomes) assert.ok(each.status === 'rejected' && each.reason === 'enough');
  }));

test('close() leaves the event loop turns of its own while it ends thousands of requests', () =>
  withScript({ step_ms: 50 }, async (llm) => {
    const outcomes = outcomesOf(start(llm));
    const closed = llm.close();
    assert.ok((await turnsUntil(outcomes)) > 2);
    for (const each of await outcomes) {
      assert.ok(each.status === 'rejected' && (each.reason as LLMError).code === 'ERR_CLOSED');
    }
    await closed;
  }));

test('thousands of requests that end in one step leave the event loop turns of its own', () =>
  withScript(
    { step_ms: 200 },
    async (llm) => {
      const outcomes = outcomesOf(start(llm, { maxTokens: 1 }));
      assert.ok((await turnsUntil(outcomes)) > 2);
      assert.ok((await outcomes).every(({ status }) => status === 'fulfilled'));
    },
    { maxBatchSize: MANY },
  ));

test('the executor is told of thousands of aborted requests in few calls', async () => {
  const COUNT = 2000;
  const { logger, lines } = recordingLogger();
  await withScript(
    { step_ms: 50, tell: true },
    async (llm) => {
      const generations = start(llm, {}, COUNT);
      while (llm.stats().activeRequests + llm.stats().queuedRequests < COUNT) await setImmediate();
      for (const each of generations) each.abort();
      await outcomesOf(generations);
      while (llm.stats().completedRequests < COUNT) await setImmediate();
    },
    { logger },
  );
  const told = lines.flatMap((line) => /^debug: cancel (\d+)$/.exec(line)?.[1] ?? []);
  assert.equal(
    told.reduce((sum, count) => sum + Number(count), 0),
    COUNT,
  );
  assert.ok(told.length <= COUNT / 100, `${told.length} calls`);
});

test('a request of few tokens does not wait for a long text before it', async () => {
  const llm = await LLM.load(await tinyEngine(), { threads: 1 });
  const encode = llm.tokenizer.encode.bind(llm.tokenizer);
  const stopped: unknown[] = [];
  // Encodes long texts until they are stopped.
  llm.tokenizer.encode = (text: string, options: EncodeOptions & { signal?: AbortSignal } = {}) =>
    text.length < 10_000
      ? encode(text, options)
      : new Promise((_, reject) => {
          options.signal?.addEventListener('abort', ({ target }) => {
            stopped.push(text[0]);
            reject((target as AbortSignal).reason);
          });
        });
  const controller = new AbortController();
  const aborted = llm.generate('a '.repeat(10_000), { signal: controller.signal });
  const late = llm.generate('b '.repeat(10_000), { timeoutMs: 200 });
  assert.equal((await llm.generate({ tokens: [1, 2] }, { maxTokens: 2 })).usage.completionTokens, 2);
  assert.equal((await llm.generate('ab', { maxTokens: 2 })).usage.completionTokens, 2);
  controller.abort('unwanted');
  assert.deepEqual(stopped, ['a']);
  await assert.rejects(aborted, (reason) => reason === 'unwanted');
  assert.equal((await late).finishReason, 'timeout');
  assert.deepEqual(stopped, ['a', 'b']);
  await llm.close();
});

test('a request that finds the queue full is refused before its text is encoded', async () => {
  const llm = await LLM.load(await tinyEngine(), { threads: 1, maxBatchSize: 1, maxQueueSize: 1 });
  const running = [0, 1].map((i) => llm.stream({ tokens: [i] }, { maxTokens: 2000, ignoreEos: true }));
  const refused = llm.stream('a '.repeat(2 ** 20));
  let isSettled = false;
  refused.result.catch(() => {
    isSettled = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(isSettled);
  await assert.rejects(
    refused.result,
    failsWith('ERR_QUEUE_FULL', '2 requests would wait; expected at most maxQueueSize, 1.'),
  );
  for (const each of running) each.abort();
  await llm.close();
});

test('the executor learns of an abort while setImmediate of the program is mocked', async (t) => {
  const { logger, lines } = recordingLogger();
  await withScript(
    { step_ms: 1, tell: true },
    async (llm) => {
      const generation = llm.stream({ tokens: [1] }, ENDLESS);
      await generation[Symbol.asyncIterator]().next();
      t.mock.timers.enable({ apis: ['setImmediate'] });
      generation.abort();
      while (!lines.includes('debug: cancel 1')) await new Promise((resolve) => setTimeout(resolve, 1));
      t.mock.timers.reset();
    },
    { logger },
  );
});
