import { resolve } from 'node:path';
import { type Checks, callback, check, integer, MAX_COUNT, oneOf, readOptions, signal } from './checks.js';
import { executorLibrary } from './native.js';

/** What can run an engine; `'auto'` takes `'tensorrt-llm'` for an engine of trtllm-build (rankN.engine), else `'cpu'`. */
export type ExecutorName = 'auto' | 'cpu' | 'cuda' | 'tensorrt-llm';

/** An executor of your own: a shared library that exports the table of `native/executor/executor.h`. */
export interface ExecutorLibrary {
  /** Path of the shared library. */
  library: string;
}

/** What takes log lines; `console` is one, and so are pino's and winston's loggers. */
export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/** How an engine is loaded. */
export interface LoadOptions {
  /** What runs the model; `'auto'` takes `'tensorrt-llm'` where the directory holds rankN.engine files, else `'cpu'`. Default: `'auto'`. */
  executor?: ExecutorName | ExecutorLibrary | undefined;
  /**
   * Where the executor runs: in this process, or in one of its own, whose crash this one outlives. Then the requests that ran
   * fail with `ERR_EXECUTOR_FAILED`, the executor is started again, and the next requests run. Default: `'none'`.
   */
  isolation?: 'none' | 'process' | undefined;
  /** CPU threads that compute, 1 to 1024. Default: one for each core this process may use. */
  threads?: number | undefined;
  /** Sequences in one step at most. Default: the engine's `max_batch_size`, on the CPU 256 at most. */
  maxBatchSize?: number | undefined;
  /** Tokens in one step at most, of all sequences, prompts and output. Default: the engine's `max_num_tokens`, on the CPU 512 at most. */
  maxNumTokens?: number | undefined;
  /** Tokens of a sequence at most, prompt and output; 2 to the engine's. Default: the engine's `max_seq_len`. */
  maxSeqLen?: number | undefined;
  /** Requests that wait for a place at most; one more is refused with `ERR_QUEUE_FULL`. Default: no limit. */
  maxQueue?: number | undefined;
  /**
   * Tokens that all sequences together may hold in the KV cache. Default: `maxBatchSize` times `maxSeqLen`, or what half of
   * the free memory holds if that is less.
   */
  kvCacheTokens?: number | undefined;
  /** GPUs that share each layer. It is fixed in the engine; another number here is refused. Default: the engine's. */
  tensorParallel?: number | undefined;
  /** Gives the load up when it aborts; load then rejects with `signal.reason`. Default: none. */
  signal?: AbortSignal | undefined;
  /** Told how much of the load is done, 0 to 1; what it throws gives the load up. Default: none. */
  onProgress?: ((done: number) => void) | undefined;
  /** Gets the lines the executor logs, from the load to the close. Default: none. */
  logger?: Logger | undefined;
}

const EXECUTORS: readonly ExecutorName[] = ['auto', 'cpu', 'cuda', 'tensorrt-llm'];

function isExecutor(value: unknown): value is ExecutorName | ExecutorLibrary {
  if (typeof value === 'object' && value !== null) {
    const { library } = value as Partial<ExecutorLibrary>;
    return typeof library === 'string';
  }
  return EXECUTORS.some((name) => name === value);
}

function isLogger(value: unknown): value is Logger {
  if (typeof value !== 'object' || value === null) return false;
  const methods = value as Readonly<Record<string, unknown>>;
  return ['error', 'warn', 'info', 'debug'].every((name) => typeof methods[name] === 'function');
}

const checks: Checks<LoadOptions> = {
  executor: check(`one of ${EXECUTORS.map((name) => `'${name}'`).join(', ')}, or { library }`, isExecutor),
  isolation: oneOf(['none', 'process']),
  threads: integer(1, 1024),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  maxSeqLen: integer(2, MAX_COUNT),
  maxQueue: integer(1, MAX_COUNT),
  kvCacheTokens: integer(1, MAX_COUNT),
  tensorParallel: integer(1, 1024),
  signal: signal(),
  onProgress: callback(),
  logger: check('an object with the methods error, warn, info and debug', isLogger),
};

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, what it must be and what it is. */
export function readLoadOptions(options: unknown): LoadOptions {
  return readOptions<LoadOptions>(options, checks, 'LLM.load()');
}

/**
 * The shared library to open; undefined for the CPU executor.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` for one this version comes without.
 */
export function libraryOf(executor: LoadOptions['executor'] = 'auto'): string | undefined {
  if (typeof executor === 'object') {
    const { library } = executor;
    return resolve(library);
  }
  return executor === 'auto' || executor === 'cpu' ? undefined : executorLibrary(executor);
}
