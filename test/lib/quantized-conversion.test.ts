import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { convert, LLM, type Quantization } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../tools/tiny-llama.js';

const SPEC: TinyLlamaSpec = {
  ...TINY_LLAMAS.untied,
  hiddenSize: 256,
  headDim: 64,
  intermediateSize: 512,
  layers: 3,
  dtype: 'float32',
};
const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 37) % SPEC.vocabSize);

/** Logits over a prompt. */
async function logitsOf(engine: string): Promise<Float32Array> {
  const llm = await LLM.load(engine, { executor: 'cpu' });
  try {
    const { contextLogits } = await llm.generate(
      { tokens: PROMPT },
      { maxTokens: 1, temperature: 0, ignoreEos: true, returnContextLogits: true },
    );
    return contextLogits?.data ?? assert.fail('no logits');
  } finally {
    await llm.close();
  }
}

/** By the root of the mean square. */
function distance(found: Float32Array, of: Float32Array): number {
  let [error, power] = [0, 0];
  for (const [i, value] of of.entries()) {
    error += ((found[i] as number) - value) ** 2;
    power += value ** 2;
  }
  return Math.sqrt(error / power);
}

for (const quantization of ['int4_awq', 'fp8_rowwise'] as const) {
  test(`${quantization} gives the logits of its dequantized weights, bit for bit, and the same on two ranks`, async () => {
    const dir = await temporaryDirectory();
    const source = join(dir, 'source');
    await writeTinyLlama(source, SPEC);
    const dtype = 'float32';
    const kept = await logitsOf(await convert(source, join(dir, 'kept'), { quantization, dtype }));
    const dequantized = await logitsOf(await convert(join(dir, 'kept'), join(dir, 'dequantized'), { dtype }));
    assert.deepEqual(kept, dequantized);
    const split = await logitsOf(await convert(source, join(dir, 'split'), { quantization, dtype, tpSize: 2 }));
    assert(distance(split, kept) < 3e-6, String(distance(split, kept)));
  });
}

test('logits are nearer to the plain model the more bits weights have', async (t) => {
  const dir = await temporaryDirectory();
  await writeTinyLlama(join(dir, 'source'), SPEC);
  const logits = async (quantization?: Quantization) =>
    logitsOf(await convert(join(dir, 'source'), join(dir, 'out'), { quantization, dtype: 'float32' }));
  const plain = await logits();
  const losses = [];
  for (const form of ['int8_wo', 'fp8_rowwise', 'int4_awq'] as const) {
    losses.push(distance(await logits(form), plain));
    t.diagnostic(`${form}: ${losses.at(-1)?.toFixed(4)} of the logits`);
  }
  assert.deepEqual(
    losses.toSorted((a, b) => a - b),
    losses,
  );
});
