import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LLMError } from 'node-tensorrt-llm';
import { failsWith } from '../tools/fails-with.js';
import { lettersOf, startAll, withScript } from '../tools/scripted.js';

describe('an executor in a shared library', () => {
  test('runs behind the same API, 256 streams at once', () =>
    withScript({ tokens_per_step: 3 }, async (llm) => {
      assert.equal(llm.info.executor, 'scripted');
      const results = await Promise.all(startAll(llm, 256, (i) => 1 + (i % 50)));
      for (const [i, { text, usage }] of results.entries()) {
        assert.equal(text, lettersOf(i % 200, 1 + (i % 50)));
        assert.equal(usage.completionTokens, 1 + (i % 50));
      }
    }));

  test('may send late rows and doubled finals of outputs whose request runs on: each output has its own text', () =>
    withScript({ late_rows: true, doubled_finals: true, tokens_per_step: 2 }, async (llm) => {
      const stopOf = (i: number): string => lettersOf(i + 9, 2);
      const running = Array.from({ length: 100 }, (_, i) =>
        llm.generate({ tokens: [i] }, { n: 3, maxTokens: 20, stop: stopOf(i) }),
      );
      for (const [i, { outputs }] of (await Promise.all(running)).entries()) {
        assert.equal(outputs.length, 3);
        for (const { index, text } of outputs) assert.equal(text, lettersOf(i + index, 20).split(stopOf(i))[0]);
      }
      assert.ok(llm.stats().discardedTokens > 0);
    }));

  test('may fail some requests: those reject with what they had, the others are whole', () =>
    withScript({ fail_every: 3 }, async (llm) => {
      const settled = await Promise.allSettled(startAll(llm, 60, () => 10));
      for (const [i, each] of settled.entries()) {
        if (each.status === 'fulfilled') assert.equal(each.value.text, lettersOf(i, 10));
        else {
          assert.ok(failsWith('ERR_OUT_OF_MEMORY', /scripted failure/)(each.reason));
          assert.equal((each.reason as LLMError).partial?.text, lettersOf(i, 1));
        }
        assert.equal(each.status === 'rejected', i % 3 === 2);
      }
    }));

  test('may fail a request by a row of an output that a stop string has ended already', () =>
    withScript({ fail_every: 1 }, async (llm) => {
      const failing = llm.generate({ tokens: [0] }, { n: 2, maxTokens: 10, stop: 'a' }); // output 0 begins with it
      await assert.rejects(failing, failsWith('ERR_OUT_OF_MEMORY', /scripted failure/));
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

  test('may give tensors with the tokens: each output has its own, in the order they came', () =>
    withScript({ tokens_per_step: 2, capabilities: (1 << 12) | (1 << 27) }, async (llm) => {
      const additionalOutputs = ['a', 'b'];
      const { outputs } = await llm.generate({ tokens: [0] }, { n: 2, maxTokens: 3, additionalOutputs });
      const tensor = (name: string, text: string) => {
        const data = Int32Array.from(text, (letter) => letter.charCodeAt(0));
        return { name, data, shape: [data.length], dataType: 'int32' };
      };
      assert.deepEqual(
        outputs.map((output) => output.additionalOutputs),
        [0, 1].map((i) =>
          [lettersOf(i, 2), lettersOf(i + 2, 1)].flatMap((text) => additionalOutputs.map((name) => tensor(name, text))),
        ),
      );
    }));
});
