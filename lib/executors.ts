import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addonDirectory } from './addon/addon.js';
import { LLMError } from './base/errors.js';
import type { Weights } from './engine/directory/directory.js';
import type { ExecutorName, LoadOptions } from './options/load.js';
import { checkBuiltLibrary } from './tensorrt-llm/built-library.js';

/** The weights that each executor runs; `'auto'` and a library of the user's own run what the directory has. */
export const WEIGHTS: Readonly<Record<ExecutorName, Weights | undefined>> = {
  auto: undefined,
  cpu: 'checkpoint',
  cuda: 'checkpoint',
  'tensorrt-llm': 'tensorrt',
};

/**
 * The shared library, beside the addon, of an executor that is not linked into it.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` if it is not there, or was built for another TensorRT-LLM; and what loadAddon
 *   throws.
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
      ? 'Build it on the machine that has TensorRT-LLM: npx node-tensorrt-llm setup (npx node-tensorrt-llm doctor lists what is missing)'
      : "Reinstall the package, or build it in a clone: npm run build:cuda. Or use executor: 'cpu'.";
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `The executor '${name}' needs ${library}, which does not exist. ${fix}`,
  );
}

/**
 * The shared library to open; undefined for the CPU executor.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` for one that this version does not include.
 */
export function libraryOf(executor: LoadOptions['executor'] = 'auto'): string | undefined {
  if (typeof executor === 'object') {
    const { library } = executor;
    return resolve(library);
  }
  return executor === 'auto' || executor === 'cpu' ? undefined : executorLibrary(executor);
}

/**
 * The program that runs an executor for `isolation: 'process'`: it is beside the addon. If it is missing, the load says so.
 * @throws {LLMError} what loadAddon throws.
 */
export const hostProgram = (): string => join(addonDirectory(), 'node_tensorrt_llm_host');
