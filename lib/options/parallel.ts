import { boolean, enumerator, group, integer, integers, MAX_COUNT, type Readers, text } from '../base/checks.js';

/** How an engine with several ranks runs. */
export interface ParallelOptions {
  /**
   * `'orchestrator'`: this process starts a worker process for each rank; `'leader'`: `mpirun` started the processes, and
   * this is one of them. Default: the executor's choice.
   */
  mode?: 'leader' | 'orchestrator' | undefined;
  /** GPU of each rank, as CUDA counts them after `CUDA_VISIBLE_DEVICES`. Default: 0, 1 and so on. */
  deviceIds?: ArrayLike<number> | undefined;
  /** MPI ranks that take part. Default: all. */
  participantIds?: ArrayLike<number> | undefined;
  /** Number of machines. Default: 1. */
  nodes?: number | undefined;
  /** Path of TensorRT-LLM's `executorWorker`, which an orchestrator starts. Default: the one beside the library. */
  workerPath?: string | undefined;
  /** Whether an orchestrator starts the worker processes; false if `mpirun` has started them. Default: true. */
  spawnProcesses?: boolean | undefined;
}

export const parallel = group({
  mode: enumerator(['leader', 'orchestrator']),
  deviceIds: integers(0, MAX_COUNT),
  participantIds: integers(0, MAX_COUNT),
  nodes: integer(1, MAX_COUNT),
  workerPath: text(),
  spawnProcesses: boolean(),
} satisfies Readers<ParallelOptions>);
