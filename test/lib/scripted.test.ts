import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM, LLMError, type Result } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

// The scripted executor misbehaves as told; each request's text is known beforehand.
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const textOf = (lastToken: number, tokens: number): string =>
  Array.from({ length: tokens }, (_, i) => LETTERS[(lastToken + i) % 26]).join('');

async function withScript(
  script: Parameters<typeof scriptedEngine>[0],
  run: (llm: LLM) => Promise<void>,
): Promise<void> {
  const llm = await LLM.load(await scriptedEngine(script), { executor: { library: SCRIPTED_LIBRARY } });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
}

const startAll = (llm: LLM, count: number, maxTokens: (i: number) => number): Promise<Result>[] =>
  Array.from({ length: count }, (_, i) => llm.generate({ tokens: [i % 200] }, { maxTokens: maxTokens(i) }));

describe('an executor in a shared library', () => {
  test('runs behind the same API, 256 streams at once', () =>
    withScript({ tokens_per_step: 3 }, async (llm) => {
      assert.equal(llm.info.executor, 'scripted');
      const results = await Promise.all(startAll(llm, 256, (i) => 1 + (i % 50)));
      for (const [i, { text, usage }] of results.entries()) {
        assert.equal(text, textOf(i % 200, 1 + (i % 50)));
        assert.equal(usage.completionTokens, 1 + (i % 50));
      }
    }));

  test('wakes a loop that was busy once, with all that came', () =>
    withScript({ step_ms: 1 }, async (llm) => {
      const generations = Array.from({ length: 64 }, (_, i) => llm.stream({ tokens: [i] }, { maxTokens: 100 }));
      await generations[0]?.[Symbol.asyncIterator]().next();
      const before = llm.stats();
      while (llm.stats().steps < before.steps + 60); // the event loop does not turn
      assert.ok(llm.stats().wakeups - before.wakeups <= 1);
      for (const [i, { result }] of generations.entries()) assert.equal((await result).text, textOf(i, 100));
    }));

  test('may send late rows, doubled finals and rows of nobody: every request ends once with its own text', () =>
    withScript({ late_rows: true, doubled_finals: true, unknown_rows: true, tokens_per_step: 2 }, async (llm) => {
      const results = await Promise.all(startAll(llm, 500, (i) => 1 + (i % 23)));
      for (const [i, { text, outputs }] of results.entries()) {
        assert.equal(text, textOf(i % 200, 1 + (i % 23)));
        assert.equal(outputs[0]?.tokens.length, 1 + (i % 23));
      }
      assert.ok(llm.stats().unknownRows > 500);
    }));

  test('may fail some requests: those reject with what they had, the others are whole', () =>
    withScript({ fail_every: 3 }, async (llm) => {
      const settled = await Promise.allSettled(startAll(llm, 60, () => 10));
      for (const [i, each] of settled.entries()) {
        if (each.status === 'fulfilled') assert.equal(each.value.text, textOf(i, 10));
        else {
          assert.ok(failsWith('ERR_OUT_OF_MEMORY', /scripted failure/)(each.reason));
          assert.equal((each.reason as LLMError).partial?.text, textOf(i, 1));
        }
        assert.equal(each.status === 'rejected', i % 3 === 2);
      }
    }));

  test('that hears no cancel keeps no reader waiting, and what it still sends is counted', () =>
    withScript({ deaf: true, step_ms: 1 }, async (llm) => {
      const generation = llm.stream({ tokens: [0] }, { maxTokens: 50 });
      for await (const _ of generation) generation.abort();
      assert.equal((await generation.result).finishReason, 'cancelled');
      while (llm.stats().activeRequests > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      assert.ok(llm.stats().discardedTokens > 0);
    }));

  test('a stop string inside a row of several tokens ends the text, the tokens and the request there', () =>
    withScript({ tokens_per_step: 10 }, async (llm) => {
      const { text, stopReason, outputs } = await llm.generate(
        { tokens: [0] },
        { maxTokens: 100, stop: ['lmn', 'zz'] },
      );
      assert.deepEqual({ text, stopReason }, { text: 'abcdefghijk', stopReason: 'lmn' });
      assert.equal(outputs[0]?.tokens.length, 14);
    }));
});

describe('a throw in a table function', () => {
  for (const throwIn of ['create', 'describe']) {
    test(`${throwIn} rejects the load`, async () => {
      const engine = await scriptedEngine({ throw_in: throwIn });
      const loading = LLM.load(engine, { executor: { library: SCRIPTED_LIBRARY } });
      await assert.rejects(loading, failsWith('ERR_INTERNAL', new RegExp(`scripted throw in ${throwIn}`)));
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
    withScript({ throw_in: 'wait', throw_at_call: 4, step_ms: 5 }, async (llm) => {
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

  test('is no worse than one in the pump itself, which ends every request with its code', () =>
    withScript({ endless_logits: true, step_ms: 5 }, async (llm) => {
      const settled = await Promise.allSettled(startAll(llm, 20, () => 1000));
      for (const each of settled) {
        assert.ok(each.status === 'rejected' && LLMError.is(each.reason));
        assert.match(each.reason.code, /^ERR_(OUT_OF_MEMORY|EXECUTOR_FAILED)$/);
      }
    }));

  test('stats throws it, typed', () =>
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
