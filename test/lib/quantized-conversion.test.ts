import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConvertOptions, convert, LLM, type Quantization } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../tools/tiny-llama.js';

const SPEC: TinyLlamaSpec = {
  ...TINY_LLAMAS.untied,
  hiddenSize: 256,
  headDim: 64,
  intermediateSize: 512,
  layers: 3,
  dtype: 'float32',
  tokenizer: 'bytes',
};
const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 37) % SPEC.vocabSize);

/** Writes the model, and returns how to convert it; a short text keeps a calibration short. */
async function writeSource(dir: string): Promise<(out: string, options?: ConvertOptions) => Promise<string>> {
  const calibration = join(dir, 'text.txt');
  await writeFile(calibration, 'The ferry left the harbour an hour late.');
  await writeTinyLlama(join(dir, 'source'), SPEC);
  return (out, options = {}) =>
    convert(join(dir, 'source'), join(dir, out), {
      dtype: 'float32',
      ...(options.quantization === 'fp8' && { calibration }),
      ...options,
    });
}

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

for (const quantization of ['int4_awq', 'fp8_rowwise', 'fp8'] as const) {
  test(`${quantization} gives the logits of its dequantized weights, bit for bit, and the same on two ranks`, async () => {
    const dir = await temporaryDirectory();
    const convertSource = await writeSource(dir);
    const kept = await logitsOf(await convertSource('kept', { quantization }));
    const plain = await convert(join(dir, 'kept'), join(dir, 'dequantized'), { dtype: 'float32' });
    assert.deepEqual(kept, await logitsOf(plain));
    const split = await logitsOf(await convertSource('split', { quantization, tpSize: 2 }));
    assert(distance(split, kept) < 3e-6, String(distance(split, kept)));
  });
}

test('logits are nearer to the plain model the more bits weights have', async (t) => {
  const convertSource = await writeSource(await temporaryDirectory());
  const logits = async (quantization?: Quantization) => logitsOf(await convertSource('out', { quantization }));
  const plain = await logits();
  const losses = [];
  for (const form of ['int8_wo', 'fp8_rowwise', 'fp8', 'int4_awq'] as const) {
    losses.push(distance(await logits(form), plain));
    t.diagnostic(`${form}: ${losses.at(-1)?.toFixed(4)} of the logits`);
  }
  assert.deepEqual(
    losses.toSorted((a, b) => a - b),
    losses,
  );
});
