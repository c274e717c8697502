// Quantized weights and embeddings that are split over ranks on GPUs. Skipped where there is none.
import { describe, test } from 'node:test';
import { answer, assertSameLogits, engines, placesOf, prompt, skip, withEngine } from '../tools/gpu-ranks.js';
import { TINY_LLAMAS, type TinyLlamaSpec } from '../tools/tiny-llama.js';

// Of the greatest |logit|: weights are the same, activations are rounded at other places.
const TOLERANCE = 0.01;

/** Of two ranks, each matrix still has groups of 128 inputs; fp8_rowwise quantizes the layer in the middle. */
const LARGER: TinyLlamaSpec = {
  ...TINY_LLAMAS.untied,
  seed: 21,
  hiddenSize: 256,
  intermediateSize: 512,
  layers: 3,
  heads: 8,
  headDim: 32,
};

describe('weights that are split over ranks on GPUs', { skip }, () => {
  const QUANTIZED = { int8_wo: [2, 4], int4_wo: [2, 4], int4_awq: [2], fp8_rowwise: [2, 4] } as const;
  for (const [quantization, sizes] of Object.entries(QUANTIZED)) {
    // What is rounded when it is loaded has other scales in each part than as a whole, on the CPU too.
    test(`in ${quantization} give the logits of the CPU with the same ranks`, async () => {
      const split = await engines(LARGER, sizes, { quantization: quantization as keyof typeof QUANTIZED });
      for (const [i, dir] of split.entries()) {
        const expected = await withEngine(dir, { executor: 'cpu', threads: 4 }, (llm) => answer(llm, prompt(70)));
        for (const place of placesOf(sizes[i] ?? 0)) {
          const found = await withEngine(dir, place, (llm) => answer(llm, prompt(70)));
          assertSameLogits(found, expected, 2 * TOLERANCE, `${sizes[i]} ranks on ${JSON.stringify(place.parallel)}`);
        }
      }
    });
  }

  for (const name of ['untied', 'gqa'] as const) {
    test(`with a part of the embedding on each rank give the logits of one rank: ${name}`, async () => {
      const [whole = ''] = await engines(TINY_LLAMAS[name], [1]);
      const split = await engines(TINY_LLAMAS[name], [2, 4], { parallelEmbedding: true });
      const expected = await withEngine(whole, { executor: 'cuda' }, (llm) => answer(llm, prompt(70)));
      for (const [i, dir] of split.entries()) {
        for (const place of placesOf(2 ** (i + 1))) {
          const found = await withEngine(dir, place, (llm) => answer(llm, prompt(70)));
          assertSameLogits(found, expected, TOLERANCE, `${2 ** (i + 1)} ranks on ${JSON.stringify(place.parallel)}`);
        }
      }
    });
  }
});
