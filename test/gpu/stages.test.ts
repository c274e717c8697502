// Engines whose layers are split over GPUs (ppSize), with several ranks in a stage too. Skipped where there is none.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { assertGreedy } from '../tools/gpu.js';
import { answer, assertSameLogits, engines, placesOf, prompt, skip, withEngine } from '../tools/gpu-ranks.js';
import { TINY_LLAMAS } from '../tools/tiny-llama.js';

// Of the greatest |logit|: weights are the same, activations are rounded to float16 at other places.
const TOLERANCE = 0.01;

describe('an engine of several stages on GPUs', { skip }, () => {
  const SPLITS = [
    { name: 'gqa', tpSize: 1, ppSize: 2 },
    { name: 'mqa', tpSize: 1, ppSize: 3 },
    { name: 'untied', tpSize: 2, ppSize: 2 },
    { name: 'smollm3-window', tpSize: 1, ppSize: 3 },
  ] as const;
  for (const { name, tpSize, ppSize } of SPLITS) {
    const ranks = tpSize * ppSize;
    test(`has the logits of one rank: ${name} in ${ppSize} stages of ${tpSize}`, async () => {
      const [whole = ''] = await engines(TINY_LLAMAS[name], [1]);
      const [staged = ''] = await engines(TINY_LLAMAS[name], [tpSize], { ppSize });
      for (const length of [1, 70]) {
        const expected = await withEngine(whole, { executor: 'cuda' }, (llm) => answer(llm, prompt(length)));
        for (const place of placesOf(ranks)) {
          const found = await withEngine(staged, place, (llm) => answer(llm, prompt(length)));
          const where = `${ranks} ranks on ${JSON.stringify(place.parallel)}, a prompt of ${length}`;
          assertSameLogits(found, expected, TOLERANCE, where);
        }
      }
    });
  }

  test('gives a batch with forks and long prompts the likeliest tokens by the CPU', async () => {
    const [staged = ''] = await engines(TINY_LLAMAS.untied, [2], { ppSize: 2, parallelEmbedding: true });
    const cpu = await LLM.load(staged, { executor: 'cpu', threads: 2 });
    for (const place of placesOf(4)) {
      await withEngine(staged, { ...place, maxNumTokens: 300 }, async (llm) => {
        assert.match(llm.info.device, /^4 ranks, /);
        const lengths = Array.from({ length: 24 }, (_, i) => 1 + ((i * 53) % 400));
        const options = { maxTokens: 30, temperature: 0, ignoreEos: true };
        const texts = await Promise.all(
          lengths.map((length, i) => llm.generate({ tokens: prompt(length, i) }, { ...options, n: 1 + (i % 2) })),
        );
        for (const [i, { outputs }] of texts.entries()) {
          for (const { tokens } of outputs) await assertGreedy(cpu, prompt(lengths[i] ?? 0, i), tokens);
        }
      });
    }
    await cpu.close();
  });
});
