import { boolean, group, integer, MAX_COUNT, type Readers } from '../base/checks.js';

/** Performance settings. They change results in the last digits at most. */
export interface PerfOptions {
  /** Split the attention of one long sequence over several thread blocks. Default: the executor's. */
  multiBlockMode?: boolean | undefined;
  /** Accumulate the attention of prompts in fp32. Default: false. */
  contextFmhaFp32Accumulation?: boolean | undefined;
  /** Run decode steps as CUDA graphs. Default: false. */
  cudaGraph?: boolean | undefined;
  /** Number of CUDA graphs to keep. Default: 0. */
  cudaGraphCache?: number | undefined;
  /** Load weights with GPUDirect Storage. Default: false. */
  gpuDirectStorage?: boolean | undefined;
  /** Prepare the next step while the current one runs. Default: false. */
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
