import { type ChatTemplateLimits, chatTemplateLimits } from '../base/chat-template-limits.js';
import {
  boolean,
  callback,
  check,
  enumerator,
  fraction,
  integer,
  listOf,
  MAX_COUNT,
  oneOf,
  type Readers,
  type ReadOf,
  readOptions,
  record,
  signal,
  text,
} from '../base/checks.js';
import { guidedBackend } from './guided.js';
import { type KvCacheOptions, kvCache } from './kv-cache.js';
import { type PeftCacheOptions, peftCache } from './lora.js';
import { type ParallelOptions, parallel } from './parallel.js';
import { type PerfOptions, perf } from './perf.js';
import { type SchedulerOptions, scheduler } from './scheduler.js';
import { type DecodingOptions, decoding } from './speculative.js';

/**
 * Name of an executor. `'auto'` uses `'tensorrt-llm'` for an engine built by trtllm-build (rankN.engine); for a checkpoint
 * `'cuda'` if the first GPU is usable, else `'cpu'`.
 */
export type ExecutorName = 'auto' | 'cpu' | 'cuda' | 'tensorrt-llm';

/** An executor of your own: a shared library that exports the table of `native/executor/executor.h`. */
export interface ExecutorLibrary {
  /** Path of the shared library. */
  library: string;
}

/** Receives log lines; `console` and pino and winston loggers fit. */
export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/** How to load an engine. */
export interface LoadOptions {
  /**
   * Which executor runs the model. `'auto'` uses `'tensorrt-llm'` if the directory holds rankN.engine files, else `'cuda'` if
   * the first GPU is usable, else `'cpu'`; `llm.info` and `logger` say which and why. Default: `'auto'`.
   */
  executor?: ExecutorName | ExecutorLibrary | undefined;
  /**
   * Where the executor runs: in this process, or in a process of its own, so that its crash does not take this one down.
   * After a crash the requests that were running fail with `ERR_EXECUTOR_FAILED`, the executor restarts, and later requests
   * run. Default: `'none'`.
   */
  isolation?: 'none' | 'process' | undefined;
  /**
   * Names of environment variables that the process of `isolation: 'process'` gets too. Default: those that executors and the
   * libraries below them read, and no other.
   */
  isolationEnv?: readonly string[] | undefined;
  /**
   * Where the weights come from. `'auto'` reads those of the engine directory. `'dummy'` makes random ones, the same at every
   * load, for sizing and benchmarks: the directory needs only its config.json, and a tokenizer where text is used. On the CPU
   * and CUDA executors. Default: `'auto'`.
   */
  loadFormat?: 'auto' | 'dummy' | undefined;
  /**
   * Give a sequence the same logits, bit for bit, whatever runs beside it and however its prompt is split over steps. The CPU executor
   * always does; on CUDA it is slower. TensorRT-LLM refuses it. Default: false.
   */
  batchInvariant?: boolean | undefined;
  /** Number of CPU threads, 1 to 1024. Default: one per core this process may use, by its affinity and its container's CPU quota. */
  threads?: number | undefined;
  /**
   * Maximum number of sequences in a step; a request has one per output. Default: the engine's `max_batch_size`, at most 256
   * on the CPU.
   */
  maxBatchSize?: number | undefined;
  /**
   * Maximum number of tokens in a step, over all sequences, prompt and output. A longer prompt is computed over several
   * steps. Default: the engine's `max_num_tokens`, at most 512 on the CPU.
   */
  maxNumTokens?: number | undefined;
  /** Maximum length of a sequence in tokens, prompt and output; from 2 to the engine's. Default: the engine's `max_seq_len`. */
  maxSeqLen?: number | undefined;
  /** Maximum number of requests waiting to run; any more fail with `ERR_QUEUE_FULL`, before their text is encoded. Default: no limit. */
  maxQueueSize?: number | undefined;
  /**
   * Maximum `beamWidth` of a request; at most the engine's. On the CPU and CUDA executors, for any engine, at most `maxBatchSize`
   * and 256. Default: the highest.
   */
  maxBeamWidth?: number | undefined;
  /** The KV cache. Default: see its options. */
  kvCache?: KvCacheOptions | undefined;
  /** Which requests run in a step. Default: the executor's choice. */
  scheduler?: SchedulerOptions | undefined;
  /** Compute a long prompt over several steps. Default: true, but false before TensorRT-LLM 0.16. */
  chunkedContext?: boolean | undefined;
  /**
   * Number of GPUs that share each layer. It is fixed when the engine is built; any other number is an error. Default: the
   * engine's.
   */
  tensorParallelSize?: number | undefined;
  /** How an engine with several ranks runs. Default: the executor's choice. */
  parallel?: ParallelOptions | undefined;
  /** How tokens are decoded: speculative decoding and its draft trees. Default: what the engine was built for. */
  decoding?: DecodingOptions | undefined;
  /**
   * Backend that enforces `guided`; the engine needs a tokenizer. Default: on the CPU and CUDA executors `'llguidance'` where its library is
   * there; else none, and requests with `guided` fail.
   */
  guidedDecoding?: 'xgrammar' | 'llguidance' | undefined;
  /** What the chat template may use for one request; beyond it the request fails with `ERR_CHAT_TEMPLATE`. Default: see its options. */
  chatTemplateLimits?: ChatTemplateLimits | undefined;
  /**
   * Keep the logits of output tokens, for `topLogprobs` and `returnGenerationLogits`. Default: the executor's: true on the
   * CPU.
   */
  gatherGenerationLogits?: boolean | undefined;
  /** Divide the log-probability of a beam by its length. Default: true. */
  normalizeLogprobs?: boolean | undefined;
  /** Engine tensors that requests may ask for (`additionalOutputs`). Default: none. */
  additionalOutputs?: readonly AdditionalOutput[] | undefined;
  /** The cache of LoRA adapters. Default: see its options. */
  peftCache?: PeftCacheOptions | undefined;
  /** Fraction of the weights kept on the GPU, 0 to 1; the rest is copied from host memory at each step. Default: 1. */
  gpuWeightsFraction?: number | undefined;
  /** Performance settings. Default: see its options. */
  perf?: PerfOptions | undefined;
  /** How often ranks poll for messages in orchestrator mode, in ms; 0 busy-waits, one core per rank. Default: 1. */
  receivePollPeriodMs?: number | undefined;
  /** How long a running request may go without a step before it is ended, in ms. Default: 180000. */
  maxSequenceIdleMs?: number | undefined;
  /** Fail to load if the KV cache cannot hold one full attention window; otherwise the window is reduced. Default: false. */
  failFastOnAttentionWindow?: boolean | undefined;
  /** Keep statistics of each request that runs or waits, for `llm.stats().requests`. Default: false. */
  requestStats?: boolean | undefined;
  /**
   * How long the load may take, in ms from the call; after that it fails with `ERR_LOAD_TIMEOUT`. The workers of a multi-GPU engine can
   * wait for each other forever. Default: none.
   */
  loadTimeoutMs?: number | undefined;
  /** Cancels the load when it aborts; the load then rejects with `signal.reason`. Default: none. */
  signal?: AbortSignal | undefined;
  /** Called with the fraction of the load that is done, 0 to 1; if it throws, the load is cancelled. Default: none. */
  onProgress?: ((done: number) => void) | undefined;
  /** Receives the executor's log lines, on the event loop, until the LLM is closed. Default: none. */
  logger?: Logger | undefined;
}

/** An engine tensor that requests may ask for. */
export interface AdditionalOutput {
  /** The tensor's name in the engine. */
  name: string;
  /** Also return it for the prompt's tokens. Default: false. */
  context?: boolean | undefined;
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

/** By their numbers in native/executor/config.h. */
const LOAD_FORMATS = ['auto', 'dummy'] as const;
export const DUMMY = LOAD_FORMATS.indexOf('dummy');

/** Options that go to the executor as they are read. */
const configChecks = {
  loadFormat: enumerator(LOAD_FORMATS),
  batchInvariant: boolean(),
  threads: integer(1, 1024),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  maxSeqLen: integer(2, MAX_COUNT),
  maxQueueSize: integer(1, MAX_COUNT),
  maxBeamWidth: integer(1, MAX_COUNT),
  kvCache,
  scheduler,
  chunkedContext: boolean(),
  tensorParallelSize: integer(1, 1024),
  parallel,
  decoding,
  gatherGenerationLogits: boolean(),
  normalizeLogprobs: boolean(),
  additionalOutputs: listOf(record({ name: text() }, { context: boolean() }), '{ name, context }'),
  peftCache,
  gpuWeightsFraction: fraction(),
  perf,
  receivePollPeriodMs: integer(0, MAX_COUNT),
  maxSequenceIdleMs: integer(1, MAX_COUNT),
  failFastOnAttentionWindow: boolean(),
  requestStats: boolean(),
};

const checks = {
  ...configChecks,
  executor: check(`one of ${EXECUTORS.map((name) => `'${name}'`).join(', ')}, or { library }`, isExecutor),
  isolation: oneOf(['none', 'process']),
  isolationEnv: listOf(text(), 'names'),
  loadTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
  onProgress: callback<NonNullable<LoadOptions['onProgress']>>(),
  logger: check('an object with the methods error, warn, info and debug', isLogger),
  guidedDecoding: guidedBackend,
  chatTemplateLimits,
} satisfies Readers<LoadOptions>;

/** The executor's options, as the addon takes them. */
export type ConfigOptions = ReadOf<typeof configChecks>;

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, its value and what is expected. */
export function readLoadOptions(options: unknown): ReadOf<typeof checks> {
  return readOptions(options, checks, 'LLM.load()');
}
