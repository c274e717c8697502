import {
  boolean,
  callback,
  check,
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
  /** Beams of a request at most, for `beamWidth`; up to the engine's. Default: the engine's. */
  maxBeamWidth?: number | undefined;
  /** The cache of keys and values. Default: as its options say. */
  kvCache?: KvCacheOptions | undefined;
  /** Which requests a step takes. Default: the executor's choice. */
  scheduler?: SchedulerOptions | undefined;
  /** Computes a long prompt over several steps. Default: true, before TensorRT-LLM 0.16 false. */
  chunkedContext?: boolean | undefined;
  /** GPUs that share each layer. It is fixed in the engine; another number here is refused. Default: the engine's. */
  tensorParallel?: number | undefined;
  /** How an engine of several ranks runs. Default: the executor's choice. */
  parallel?: ParallelOptions | undefined;
  /** How tokens are decoded: speculation, trees of draft tokens. Default: what the engine was built for. */
  decoding?: DecodingOptions | undefined;
  /** What holds outputs to a `guided` of their requests; the engine needs its tokenizer. Default: none, and such requests are refused. */
  guidedDecoding?: 'xgrammar' | 'llguidance' | undefined;
  /** Keeps the logits of output tokens, for `topLogprobs` and `returnGenerationLogits`. Default: the executor's: true on the CPU. */
  gatherGenerationLogits?: boolean | undefined;
  /** Divides the log-probabilities of a beam by its length. Default: true. */
  normalizeLogprobs?: boolean | undefined;
  /** Tensors of the engine that requests may ask for (`additionalOutputs`). Default: none. */
  additionalOutputs?: readonly AdditionalOutput[] | undefined;
  /** The cache of LoRA adapters. Default: as its options say. */
  peftCache?: PeftCacheOptions | undefined;
  /** How much of the weights stays on the GPU, 0 to 1; the rest comes from the host at each step. Default: 1. */
  gpuWeightsFraction?: number | undefined;
  /** Knobs of speed. Default: as its options say. */
  perf?: PerfOptions | undefined;
  /** Milliseconds between looks of the ranks for new messages, in orchestrator mode; 0: all the time, which takes a core for each. Default: 1. */
  receivePollPeriodMs?: number | undefined;
  /** Milliseconds that a request in the batch may stay without a step before it is ended. Default: 180000. */
  maxSequenceIdleMs?: number | undefined;
  /** Refuses to load where not one sequence of an attention window's size fits the KV cache; else the window shrinks. Default: false. */
  failFastOnAttentionWindow?: boolean | undefined;
  /**
   * Milliseconds that the executor gets to load; then the load is given up, and fails with `ERR_LOAD_TIMEOUT`. Workers of an
   * engine for several GPUs may wait for each other for good. Default: none.
   */
  loadTimeoutMs?: number | undefined;
  /** Gives the load up when it aborts; load then rejects with `signal.reason`. Default: none. */
  signal?: AbortSignal | undefined;
  /** Told how much of the load is done, 0 to 1; what it throws gives the load up. Default: none. */
  onProgress?: ((done: number) => void) | undefined;
  /** Gets the lines the executor logs, from the load to the close. Default: none. */
  logger?: Logger | undefined;
}

/** A tensor of the engine that requests may ask for. */
export interface AdditionalOutput {
  /** As the engine calls it. */
  name: string;
  /** Gathers it for the tokens of the prompt too. Default: false. */
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

/** What goes to the executor as it is read. */
const configChecks = {
  threads: integer(1, 1024),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  maxSeqLen: integer(2, MAX_COUNT),
  maxQueue: integer(1, MAX_COUNT),
  maxBeamWidth: integer(1, MAX_COUNT),
  kvCache,
  scheduler,
  chunkedContext: boolean(),
  tensorParallel: integer(1, 1024),
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
};

const checks = {
  ...configChecks,
  executor: check(`one of ${EXECUTORS.map((name) => `'${name}'`).join(', ')}, or { library }`, isExecutor),
  isolation: oneOf(['none', 'process']),
  loadTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
  onProgress: callback<NonNullable<LoadOptions['onProgress']>>(),
  logger: check('an object with the methods error, warn, info and debug', isLogger),
  guidedDecoding: guidedBackend,
} satisfies Readers<LoadOptions>;

/** The options that the executor is set up by, as the addon takes them. */
export type ConfigOptions = ReadOf<typeof configChecks>;

export const isLoadOption = (name: string): boolean => Object.hasOwn(checks, name);

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, what it must be and what it is. */
export function readLoadOptions(options: unknown): ReadOf<typeof checks> {
  return readOptions(options, checks, 'LLM.load()');
}
