import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Chunk, LLM } from 'node-tensorrt-llm';
import { lettersOf } from './scripted.js';

const LENGTH = { maxTokens: 9, ignoreEos: true };

/** Beam search on an executor that answers with letters, those of beam i from the i-th on. */
export function testBeamSearch(name: string, run: (body: (llm: LLM) => Promise<void>) => Promise<void>): void {
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
