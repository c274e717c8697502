/** Sizes that a profile sets; lengths are in tokens. */
export interface ProfileSizes {
  readonly tpSize: number;
  readonly maxBatchSize: number;
  readonly maxInputLen: number;
  readonly maxSeqLen: number;
  readonly maxNumTokens: number;
}

export const PROFILES = {
  /** As the model card of Llama-3.1-Nemotron-70B-Instruct deploys it: 3,072 tokens in, 1,024 out, one request, two GPUs of 80 GB. */
  'nemotron-card': { tpSize: 2, maxBatchSize: 1, maxInputLen: 3072, maxSeqLen: 4096, maxNumTokens: 4096 },
  /** The most that the model takes: 131,072 tokens, of which 4,096 are for the output: 10.7 GB of KV cache on each of four GPUs. */
  'nemotron-128k': { tpSize: 4, maxBatchSize: 1, maxInputLen: 126_976, maxSeqLen: 131_072, maxNumTokens: 8192 },
} as const satisfies Record<string, ProfileSizes>;
