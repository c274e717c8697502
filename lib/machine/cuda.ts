import { messageOf } from '../base/errors.js';
import { fixOf } from '../base/file-errors.js';
import { runProgram } from './programs.js';
import { unavailable } from './unavailable.js';

/** What the library of the executor 'cuda' finds on this machine: the JSON of native/embedded/cuda/machine.h. */
export interface CudaMachine {
  driver: {
    version: string | null;
    /** The newest CUDA that it runs, as "13.0"; null where there is no driver. */
    cuda: string | null;
    problem: string | null;
  };
  /** In CUDA's order, which CUDA_VISIBLE_DEVICES rules. */
  devices: readonly CudaDevice[];
  cublasLt: { path: string | null; version: string | null; problem: string | null };
  /** What the library was compiled for: `'90a'`, `'90-virtual'`. */
  architectures: readonly string[];
}

export interface CudaDevice {
  /** A part of a GPU says which: `'NVIDIA H200 MIG 1g.18gb'`. */
  name: string;
  uuid: string;
  /** As "9.0". */
  computeCapability: string;
  memoryBytes: number;
  /** Null where NVIDIA's management library does not say. */
  freeBytes: number | null;
  isMig: boolean;
  /** Why the library cannot run on it. */
  problem: string | null;
  /** Devices whose memory its kernels can read; `nvlink` is null where NVIDIA's management library does not say. */
  peers: readonly { device: number; nvlink: boolean | null }[];
}

// A driver that is not kept loaded takes seconds to start, on a machine of many GPUs longer.
const LIMIT_MS = 60_000;

/**
 * Has the library look at this machine, in a process of its own: drivers may crash, hang, and keep memory.
 * @param host the program of `isolation: 'process'`, which can do that too.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` with what the loader says, or how the process ended; the signal's reason.
 */
export async function askCuda(host: string, library: string, signal?: AbortSignal): Promise<CudaMachine> {
  const limit = AbortSignal.timeout(LIMIT_MS);
  let failure: unknown;
  const ran = await runProgram(host, ['--machine', library], {
    timeoutMs: LIMIT_MS,
    onFailure: (error) => {
      failure = error;
    },
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }).catch((thrown: unknown) => {
    signal?.throwIfAborted();
    throw limit.aborted ? unavailable(`NVIDIA's driver did not answer ${library} within ${LIMIT_MS} ms`) : thrown;
  });
  if (!ran)
    throw unavailable(
      `${host}, which asks NVIDIA's driver, cannot be started: ${messageOf(failure)}. ${fixOf(failure, 'Reinstall the package.')}`,
    );
  if (ran.status !== 0 && ran.status !== null) throw unavailable(ran.output.trim());
  try {
    return JSON.parse(ran.stdout) as CudaMachine;
  } catch {
    const ended = ran.signal ? `was ended by ${ran.signal}` : `ended with status ${ran.status}`;
    throw unavailable(
      `The process that asked NVIDIA's driver for ${library} ${ended}: ${ran.output.trim().slice(-1000)}`,
    );
  }
}

/** Why the executor 'cuda' cannot run on the GPU that it takes by default; undefined where it can. */
export const cudaProblem = ({ driver, devices, cublasLt }: CudaMachine): string | undefined =>
  driver.problem ?? devices[0]?.problem ?? cublasLt.problem ?? undefined;
