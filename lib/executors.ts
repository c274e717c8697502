import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addonDirectory } from './addon/addon.js';
import { LLMError } from './base/errors.js';
import type { Weights } from './engine/directory/directory.js';
import type { ExecutorName, LoadOptions } from './options/load.js';
import { checkBuiltLibrary } from './tensorrt-llm/built-library.js';

/** What an executor runs; `'auto'` and a library of the user's own take what there is. */
export const WEIGHTS: Readonly<Record<ExecutorName, Weights | undefined>> = {
  auto: undefined,
  cpu: 'checkpoint',
  cuda: 'checkpoint',
  'tensorrt-llm': 'tensorrt',
};

/**
 * The shared library of an executor that is not linked into the addon: it lies beside it.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` where it does not, or TensorRT-LLM is not the one it was built for; and what
 *   loadAddon throws.
 */
export function executorLibrary(name: 'cuda' | 'tensorrt-llm'): string {
  const dir = addonDirectory();
  const library = join(dir, `libexecutor_${name.replace('-', '_')}.so`);
  if (existsSync(library)) {
    if (name === 'tensorrt-llm') checkBuiltLibrary(dir);
    return library;
  }
  const fix =
    name === 'tensorrt-llm'
      ? 'It is built on the machine that has TensorRT-LLM: npx node-tensorrt-llm setup (npx node-tensorrt-llm doctor tells what that lacks)'
      : "This version comes without it. Use executor: 'cpu', or leave it out.";
  throw new LLMError('ERR_EXECUTOR_UNAVAILABLE', `The executor '${name}' needs ${library}, which is not there. ${fix}`);
}

/**
 * The shared library to open; undefined for the CPU executor.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` for one this version comes without.
 */
export function libraryOf(executor: LoadOptions['executor'] = 'auto'): string | undefined {
  if (typeof executor === 'object') {
    const { library } = executor;
    return resolve(library);
  }
  return executor === 'auto' || executor === 'cpu' ? undefined : executorLibrary(executor);
}

/**
 * The program that runs an executor for `isolation: 'process'`: it lies beside the addon. Where it does not, the load says so.
 * @throws {LLMError} what loadAddon throws.
 */
export const hostProgram = (): string => join(addonDirectory(), 'node_tensorrt_llm_host');
