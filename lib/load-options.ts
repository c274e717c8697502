import { type Checks, callback, integer, MAX_COUNT, oneOf, readOptions, signal } from './checks.js';
import { LLMError } from './errors.js';

export type ExecutorName = 'auto' | 'cpu' | 'cuda' | 'tensorrt-llm';

export interface LoadOptions {
  /** What runs the model. This version has `'cpu'`; `'auto'` takes it. Default: `'auto'`. */
  executor?: ExecutorName;
  /** CPU threads that compute. Default: all cores this process may use. */
  threads?: number;
  /** Sequences in one step at most. Default: the engine's `max_batch_size`. */
  maxBatchSize?: number;
  /** Tokens in one step at most, prompts and output together. Default: the engine's `max_num_tokens`. */
  maxNumTokens?: number;
  /** Tokens of a request at most, prompt and output. Default, and most: the engine's `max_seq_len`. */
  maxSeqLen?: number;
  /** Requests that wait for a place at most; one more is refused with `ERR_QUEUE_FULL`. Default: no limit. */
  maxQueue?: number;
  /** Tokens all requests together may hold in the KV cache. Default: what memory allows. */
  kvCacheTokens?: number;
  /** Must be the engine's, where it is given. Default: the engine's. */
  tensorParallel?: number;
  /** Gives the load up when it aborts; load then rejects with `signal.reason`. Default: none. */
  signal?: AbortSignal;
  /** Told how much of the load is done, 0 to 1. Default: none. */
  onProgress?: (done: number) => void;
}

const checks: Checks<LoadOptions> = {
  executor: oneOf(['auto', 'cpu', 'cuda', 'tensorrt-llm']),
  threads: integer(1, 1024),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  maxSeqLen: integer(2, MAX_COUNT),
  maxQueue: integer(1, MAX_COUNT),
  kvCacheTokens: integer(1, MAX_COUNT),
  tensorParallel: integer(1, 1024),
  signal: signal(),
  onProgress: callback(),
};

/**
 * @throws {LLMError} `ERR_INVALID_OPTION` naming the option, what it must be and what it is;
 *   `ERR_EXECUTOR_UNAVAILABLE` for an executor this version does not have.
 */
export function readLoadOptions(options: unknown): LoadOptions {
  const given = readOptions<LoadOptions>(options, checks, 'LLM.load()');
  if (given.executor === 'cuda' || given.executor === 'tensorrt-llm') {
    throw new LLMError(
      'ERR_EXECUTOR_UNAVAILABLE',
      `This version has no executor '${given.executor}' yet; use executor: 'cpu', or leave it out.`,
    );
  }
  return given;
}
