import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Chunk, LLM } from 'node-tensorrt-llm';
import { lettersOf, withScript } from '../tools/scripted.js';

const SCRIPT = { capabilities: (1 << 12) | (1 << 13) | (1 << 27), tokens_per_step: 2, step_ms: 1 };
const LENGTH = { maxTokens: 9, ignoreEos: true };

const executors: readonly [name: string, run: (body: (llm: LLM) => Promise<void>) => Promise<void>][] = [
  ['the scripted executor, whose beams change until they have ended', (body) => withScript(SCRIPT, body)],
];

for (const [name, run] of executors) {
  describe(`beam search on ${name}`, () => {
    test('gives the n best of beamWidth, whole and best first', () =>
      run(async (llm) => {
        const { outputs } = await llm.generate({ tokens: [1] }, { ...LENGTH, beamWidth: 3, n: 2 });
        assert.deepEqual(
          outputs.map(({ index, text, finishReason }) => ({ index, text, finishReason })),
          [0, 1].map((beam) => ({ index: beam, text: lettersOf(1 + beam, 9), finishReason: 'length' })),
        );
      }));

    test('gives one output where n is left out', () =>
      run(async (llm) => {
        const { outputs, usage } = await llm.generate({ tokens: [1] }, { ...LENGTH, beamWidth: 3 });
        assert.equal(outputs.length, 1);
        assert.equal(usage.completionTokens, 9);
      }));

    test('streams each output in one chunk, when it has ended', () =>
      run(async (llm) => {
        const chunks: Chunk[] = [];
        for await (const chunk of llm.stream({ tokens: [1] }, { ...LENGTH, beamWidth: 2, n: 2 })) chunks.push(chunk);
        assert.deepEqual(
          chunks.map(({ index, text, finishReason }) => [index, text, finishReason]),
          [0, 1].map((beam) => [beam, lettersOf(1 + beam, 9), 'length']),
        );
      }));

    test('looks for stop strings in what has ended', () =>
      run(async (llm) => {
        const stop = lettersOf(4, 2);
        const { text, stopReason } = await llm.generate({ tokens: [1] }, { ...LENGTH, beamWidth: 2, stop });
        assert.deepEqual([text, stopReason], [lettersOf(1, 3), stop]);
      }));
  });
}

test('an aborted beam search has no text yet, and a queue that it has left is no reason to fail', () =>
  withScript({ ...SCRIPT, step_ms: 10 }, async (llm) => {
    const generation = llm.stream(
      { tokens: [1] },
      { ...LENGTH, maxTokens: 1000, beamWidth: 2, queueTimeoutMs: 60_000 },
    );
    while (llm.stats().steps < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    generation.abort();
    const { text, finishReason } = await generation.result;
    assert.deepEqual([text, finishReason], ['', 'cancelled']);
  }));
