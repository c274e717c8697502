import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unavailable } from './unavailable.js';

/** CUDA's headers, which those of TensorRT-LLM include. */
export interface CudaHeaders {
  /** The first holds cuda_fp16.h, the others what that includes. */
  includeDirs: readonly string[];
  /** As "12.9"; undefined if no header has it. */
  version: string | undefined;
}

const HEADER = 'cuda_fp16.h';
// NVIDIA's wheels: of CUDA 13 and newer all headers lie together, before each package had its own.
const WHEELS = ['nvidia/cu13/include', 'nvidia/cuda_runtime/include'];
const SIBLINGS = ['../../cuda_nvcc/include', '../../cuda_cccl/include', 'cccl'];

/** Where CUDA's toolkit may be installed. */
export const cudaToolkits = (): string[] =>
  [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda'].filter((dir) => dir !== undefined);

/**
 * @param packageDirs places of Python packages.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` naming what was searched.
 */
export function findCudaHeaders(packageDirs: readonly string[]): CudaHeaders {
  const toolkits = cudaToolkits();
  const dirs = [
    ...toolkits.flatMap((dir) => [join(dir, 'include'), join(dir, 'targets/x86_64-linux/include')]),
    ...packageDirs.flatMap((dir) => WHEELS.map((name) => join(dir, name))),
    '/usr/include',
  ];
  const found = dirs.find((dir) => existsSync(join(dir, HEADER)));
  if (found === undefined) {
    throw unavailable(
      `CUDA's header ${HEADER} was not found in ${toolkits.join(', ')}, the packages of python3, or /usr/include. Set CUDA_HOME to an installed toolkit, or install ` +
        'the headers: python3 -m pip install nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-cccl (for CUDA 12: nvidia-cuda-runtime-cu12 nvidia-cuda-nvcc-cu12 nvidia-cuda-cccl-cu12)',
    );
  }
  const siblings = SIBLINGS.map((name) => join(found, name)).filter((dir) => existsSync(dir));
  return { includeDirs: [found, ...siblings], version: versionIn(found) };
}

/** From cuda.h, which has 1000 * major + 10 * minor. */
function versionIn(includeDir: string): string | undefined {
  try {
    const header = readFileSync(join(includeDir, 'cuda.h'), 'utf8');
    const number = Number(/#define CUDA_VERSION (\d+)/.exec(header)?.[1]);
    return Number.isNaN(number) ? undefined : `${Math.floor(number / 1000)}.${(number % 1000) / 10}`;
  } catch {
    return undefined;
  }
}
