import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { LLM } from 'node-tensorrt-llm';
import { hostProgram } from '#lib/addon/addon.js';
import { convert } from '#lib/engine/convert/convert.js';
import { chooseExecutor, libraryPath } from '#lib/executors.js';
import { askCuda } from '#lib/machine/cuda.js';
import { temporaryDirectory } from './engines.js';
import { PROJECT_ROOT } from './project.js';
import { TINY_LLAMAS, writeTinyLlama } from './tiny-llama.js';

/** The CUDA executor with requests that lose GPU 0 or 1: {@link TRAP}, {@link SECOND_TRAP}. `npm run build:cuda -- --tests` builds it. */
export const TRAPPING_LIBRARY = join(PROJECT_ROOT, 'build/cuda/bin/libexecutor_cuda_trapping.so');
export const TRAP = { tokens: [7, 7, 7] } as const;
export const SECOND_TRAP = { tokens: [8, 8, 8] } as const;

/** Why the tests of a GPU cannot run here; false where they can. */
export async function withoutGpu(): Promise<string | false> {
  const { executor, reason } = await chooseExecutor('checkpoint');
  if (executor !== 'cuda') return `no GPU: ${reason}`;
  return existsSync(TRAPPING_LIBRARY) ? false : `${TRAPPING_LIBRARY} is not built: npm run build:cuda -- --tests`;
}

/** Of the first GPU, whoever uses it. */
export async function freeGpuBytes(): Promise<number> {
  const { devices } = await askCuda(hostProgram(), libraryPath('cuda'));
  const bytes = devices[0]?.freeBytes;
  assert.ok(typeof bytes === 'number', "NVIDIA's management library does not say how much memory is free");
  return bytes;
}

/** Resolves when about as much is free again as there was. */
export async function hasFreeGpuBytes(bytes: number): Promise<void> {
  const FRAGMENTS = 32 * 2 ** 20; // what CUDA keeps of a process that goes on
  while ((await freeGpuBytes()) < bytes - FRAGMENTS) await setTimeout(50);
}

/** A tiny engine for which this number is the seed: each has other texts. */
export async function tinyEngineOf(seed: number): Promise<string> {
  const dir = await temporaryDirectory();
  await writeTinyLlama(join(dir, 'source'), { ...TINY_LLAMAS.text, seed });
  return convert(join(dir, 'source'), join(dir, 'engine'));
}

/** Asserts that each token is the likeliest, or nearly so, by the logits of the CPU executor with the same engine. */
export async function assertGreedy(cpu: LLM, prompt: readonly number[], tokens: ArrayLike<number>): Promise<void> {
  const all = [...prompt, ...Array.from(tokens)];
  const { contextLogits } = await cpu.generate({ tokens: all }, { maxTokens: 1, returnContextLogits: true });
  assert.ok(contextLogits);
  const { columns, data } = contextLogits;
  for (let i = 0; i < tokens.length; i++) {
    const first = (prompt.length + i - 1) * columns;
    const row = data.subarray(first, first + columns);
    const best = Math.max(...row);
    const spread = Math.sqrt(row.reduce((sum, logit) => sum + logit * logit, 0) / columns);
    const found = row[tokens[i] ?? -1] ?? Number.NaN;
    assert.ok(found >= best - 0.15 * spread, `token ${i} of ${tokens.length} has ${found}, the best ${best}`);
  }
}
