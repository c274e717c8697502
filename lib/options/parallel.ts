import { boolean, enumerator, group, integer, integers, MAX_COUNT, type Readers, text } from '../base/checks.js';

/** How an engine of several ranks runs. */
export interface ParallelOptions {
  /**
   * `'orchestrator'`: this process starts one for each rank; `'leader'`: `mpirun` has started them, and this is one.
   * Default: the executor's choice.
   */
  mode?: 'leader' | 'orchestrator' | undefined;
  /** GPUs, by rank. Default: 0, 1 and so on. */
  deviceIds?: ArrayLike<number> | undefined;
  /** MPI ranks that take part. Default: all. */
  participantIds?: ArrayLike<number> | undefined;
  /** Machines. Default: 1. */
  nodes?: number | undefined;
  /** Path of TensorRT-LLM's `executorWorker`, which an orchestrator starts. Default: the one beside the library. */
  workerPath?: string | undefined;
  /** An orchestrator starts the processes; false: they are there, started by `mpirun`. Default: true. */
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
