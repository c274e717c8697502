import { boolean, group, integer, MAX_COUNT, type Readers } from '../base/checks.js';

/** Knobs of speed that change no result, but for the last digits. */
export interface PerfOptions {
  /** Splits the attention of one long sequence over several blocks of threads. Default: the executor's. */
  multiBlockMode?: boolean | undefined;
  /** Sums the attention of prompts in fp32. Default: false. */
  contextFmhaFp32Accumulation?: boolean | undefined;
  /** Runs steps of output tokens as CUDA graphs. Default: false. */
  cudaGraph?: boolean | undefined;
  /** Graphs that are kept. Default: 0. */
  cudaGraphCache?: number | undefined;
  /** Loads weights by GPUDirect Storage. Default: false. */
  gpuDirectStorage?: boolean | undefined;
  /** Prepares the next step while one runs. Default: false. */
  trtOverlap?: boolean | undefined;
}

export const perf = group({
  multiBlockMode: boolean(),
  contextFmhaFp32Accumulation: boolean(),
  cudaGraph: boolean(),
  cudaGraphCache: integer(0, MAX_COUNT),
  gpuDirectStorage: boolean(),
  trtOverlap: boolean(),
} satisfies Readers<PerfOptions>);
