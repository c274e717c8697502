// Engines of several ranks on GPUs: where their ranks are placed, and how near their logits are to others.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { hostProgram } from '#lib/addon/addon.js';
import { type ConvertOptions, convert } from '#lib/engine/convert/convert.js';
import { libraryPath } from '#lib/executors.js';
import { askCuda } from '#lib/machine/cuda.js';
import { temporaryDirectory } from './engines.js';
import { withoutGpu } from './gpu.js';
import { type TinyLlamaSpec, writeTinyLlama } from './tiny-llama.js';

export const skip = await withoutGpu();
export const gpus = skip ? 0 : (await askCuda(hostProgram(), libraryPath('cuda'))).devices.length;

/** Ways to place so many ranks: on a GPU each or, where there are too few, in turn on those there are; and on one. */
export function placesOf(ranks: number): LoadOptions[] {
  const on = (deviceIds: number[]): LoadOptions => ({ executor: 'cuda', parallel: { deviceIds } });
  const shared = on(Array<number>(ranks).fill(0));
  if (gpus >= ranks) return [{ executor: 'cuda' }, shared];
  return gpus > 1 ? [on(Array.from({ length: ranks }, (_, rank) => rank % gpus)), shared] : [shared];
}

/** Converts a model once for each number of ranks. */
export async function engines(
  spec: TinyLlamaSpec,
  sizes: readonly number[],
  options: ConvertOptions = {},
): Promise<string[]> {
  const dir = await temporaryDirectory();
  const source = join(dir, 'source');
  await writeTinyLlama(source, spec);
  return Promise.all(
    sizes.map((tpSize) => convert(source, join(dir, String(tpSize)), { dtype: 'float16', tpSize, ...options })),
  );
}

export async function withEngine<T>(dir: string, options: LoadOptions, use: (llm: LLM) => Promise<T>): Promise<T> {
  const llm = await LLM.load(dir, options);
  try {
    return await use(llm);
  } finally {
    await llm.close();
  }
}

export const prompt = (length: number, seed = 5): number[] => Array.from({ length }, (_, i) => (i * 37 + seed) % 150);

export interface Answer {
  tokens: readonly number[];
  prefill: Float32Array;
  decode: Float32Array;
}

/** The likeliest tokens, with all logits. */
export async function answer(llm: LLM, tokens: readonly number[]): Promise<Answer> {
  const { outputs, contextLogits } = await llm.generate(
    { tokens: [...tokens] },
    { maxTokens: 24, temperature: 0, ignoreEos: true, returnContextLogits: true, returnGenerationLogits: true },
  );
  const [output] = outputs;
  assert(output?.generationLogits && contextLogits);
  return { tokens: Array.from(output.tokens), decode: output.generationLogits.data, prefill: contextLogits.data };
}

/** Asserts that logits differ by less than `tolerance` times the greatest, up to where the two go on from different tokens. */
export function assertSameLogits(found: Answer, expected: Answer, tolerance: number, where: string): void {
  const largest = expected.prefill.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const assertNear = (values: Float32Array, right: Float32Array, what: string): void => {
    const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - (right[i] ?? Number.NaN))), 0);
    assert(error < tolerance * largest, `${where}: ${what} differ by ${error} of ${largest}`);
  };
  assertNear(found.prefill, expected.prefill, `${found.prefill.length} logits of the prompt`);
  const other = found.tokens.findIndex((token, step) => token !== expected.tokens[step]);
  const rows = other < 0 ? found.tokens.length : other + 1;
  const columns = found.decode.length / found.tokens.length;
  assertNear(found.decode.subarray(0, rows * columns), expected.decode, `${rows} new tokens' logits`);
}
