import { hostProgram } from './addon/addon.js';
import { LLMError } from './base/errors.js';
import {
  checkCheckpointMemory,
  checkTensorRtMemory,
  type LoadSizes,
  type RankGpu,
} from './engine/build/load-memory.js';
import type { EngineDirectory } from './engine/directory/directory.js';
import { libraryPath } from './executors.js';
import { askCuda, type CudaMachine } from './machine/cuda.js';
import { findGpus } from './machine/gpus.js';
import { KV_DTYPES } from './options/kv-cache.js';
import type { ConfigOptions, LoadOptions } from './options/load.js';

const MEBIBYTE = 1 << 20;

/**
 * Checks, before a GPU is touched, that an engine has room on those its ranks are to run on, as far as their free memory is known. What
 * is wrong with a driver is left to the executor, which says so itself.
 * @param machine what `askCuda` answered, if it was asked already.
 * @throws {LLMError} `ERR_OUT_OF_MEMORY`; the signal's reason.
 */
export async function checkGpuMemory(
  executor: LoadOptions['executor'],
  directory: EngineDirectory,
  options: Pick<ConfigOptions, keyof LoadSizes | 'parallel' | 'gpuWeightsFraction'>,
  { machine, signal }: { machine?: CudaMachine | undefined; signal?: AbortSignal | undefined },
): Promise<void> {
  const ranks = Math.max(1, directory.rankFiles.length);
  if (executor === 'cuda') {
    const asked = machine ?? (await askCuda(hostProgram(), libraryPath('cuda'), signal).catch(ignoreLLMError));
    const ids = Array.from(options.parallel?.deviceIds ?? Array.from({ length: ranks }, (_, rank) => rank));
    await checkCheckpointMemory(
      directory,
      ids.flatMap((id) => cudaGpu(asked, id)),
      { ...options, kvCache: { ...options.kvCache, dtype: KV_DTYPES[options.kvCache?.dtype ?? 0] } },
    );
  } else if (executor === 'tensorrt-llm' && options.gpuWeightsFraction === undefined && !isStartedByMpirun()) {
    const ranksHere = Math.ceil(ranks / (options.parallel?.nodes ?? 1));
    await checkTensorRtMemory(directory, (await freestGpus()).slice(0, ranksHere));
  }
}

function ignoreLLMError(error: unknown): undefined {
  if (!LLMError.is(error)) throw error;
}

function cudaGpu(machine: CudaMachine | undefined, id: number): RankGpu[] {
  const device = machine?.devices[id];
  if (!device || device.freeBytes === null) return [];
  const { name, freeBytes, computeCapability } = device;
  return [{ name: `GPU ${id} (${name})`, freeBytes, computeCapability }];
}

/** Those with the most free memory first: which of them TensorRT-LLM counts as the first, CUDA_VISIBLE_DEVICES may have changed. */
async function freestGpus(): Promise<RankGpu[]> {
  const found = await findGpus();
  if (typeof found === 'string') return [];
  return found.gpus
    .map(({ index, name, memoryFreeMb, computeCapability }) => ({
      name: `GPU ${index} (${name})`,
      freeBytes: memoryFreeMb * MEBIBYTE,
      computeCapability,
    }))
    .filter(({ freeBytes }) => Number.isFinite(freeBytes)) // "[N/A]" of a GPU that is split (MIG)
    .sort((a, b) => b.freeBytes - a.freeBytes);
}

/** Then other processes may have put their ranks on the GPUs already. */
const isStartedByMpirun = (): boolean => Number(process.env.OMPI_COMM_WORLD_SIZE ?? 0) > 1;
