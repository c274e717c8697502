import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { addonDirectory, hostProgram } from './addon/addon.js';
import { LLMError, messageOf } from './base/errors.js';
import { pathOf } from './base/paths.js';
import type { Weights } from './engine/directory/directory.js';
import { askCuda, type CudaMachine, cudaProblem } from './machine/cuda.js';
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
  const library = libraryPath(name);
  if (existsSync(library)) {
    if (name === 'tensorrt-llm') checkBuiltLibrary(addonDirectory());
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

/** Where the library of an executor that is not linked in is looked for. */
export const libraryPath = (name: 'cuda' | 'tensorrt-llm'): string =>
  join(addonDirectory(), `libexecutor_${name.replace('-', '_')}.so`);

/**
 * The shared library to open; undefined for the CPU executor.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` for one that this version does not include.
 */
export function libraryOf(executor: LoadOptions['executor'] = 'auto'): string | undefined {
  if (typeof executor === 'object') {
    const { library } = executor;
    return pathOf('executor.library', library);
  }
  return executor === 'auto' || executor === 'cpu' ? undefined : executorLibrary(executor);
}

/** What `executor: 'auto'` takes. */
export interface Choice {
  executor: 'cpu' | 'cuda' | 'tensorrt-llm';
  /** For people: "GPU 0 is NVIDIA H200 (compute capability 9.0)". */
  reason: string;
  /** Whether the machine has NVIDIA's driver, but 'cuda' cannot run: most likely not what its owner expects. */
  isDowngrade?: boolean;
  /** What the CUDA library said, where it was asked. */
  machine?: CudaMachine;
}

/**
 * What `executor: 'auto'` takes: TensorRT-LLM for its engines; for a checkpoint the first GPU if it is usable, else the CPU.
 * Whether the model fits into the GPU's memory plays no part: a service that is suddenly many times slower is worse than an error.
 * @param lacksOnCuda what of the model the CUDA executor does not compute.
 * @param namesGpu whether an option names a GPU; then there is no falling back.
 * @throws {LLMError} what loadAddon throws; the signal's reason.
 */
export async function chooseExecutor(
  weights: Weights,
  options: { namesGpu?: boolean; lacksOnCuda?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Choice> {
  if (weights === 'tensorrt') return { executor: 'tensorrt-llm', reason: 'the directory holds rankN.engine' };
  const { namesGpu = false, lacksOnCuda, signal } = options;
  if (namesGpu) return { executor: 'cuda', reason: 'parallel.deviceIds names a GPU' };
  const library = libraryPath('cuda');
  if (!existsSync(library)) return { executor: 'cpu', reason: `${library} does not exist` };
  try {
    const machine = await askCuda(hostProgram(), library, signal);
    const problem = cudaProblem(machine) ?? (lacksOnCuda && `the CUDA executor does not compute ${lacksOnCuda} yet`);
    if (problem === undefined) {
      const { name, computeCapability } = machine.devices[0] ?? {};
      return { executor: 'cuda', reason: `GPU 0 is ${name} (compute capability ${computeCapability})`, machine };
    }
    return { executor: 'cpu', reason: problem, isDowngrade: machine.driver.cuda !== null };
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    return { executor: 'cpu', reason: messageOf(error), isDowngrade: true };
  }
}
