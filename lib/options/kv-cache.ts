import { createHash } from 'node:crypto';
import {
  boolean,
  boundedText,
  enumerator,
  group,
  integer,
  integers,
  invalidOption,
  listOf,
  MAX_COUNT,
  positiveFraction,
  type Readers,
  readAs,
  record,
  text,
} from '../base/checks.js';

/** The cache of keys and values that all sequences share. */
export interface KvCacheOptions {
  /**
   * Maximum number of tokens in the cache, over all sequences. Default: on the CPU `maxBatchSize` times `maxSeqLen`, or what
   * fits in half of the free memory if that is less; on TensorRT-LLM what `freeMemoryFraction` gives.
   */
  maxTokens?: number | undefined;
  /** Maximum size in bytes of device memory. Default: no separate limit. */
  maxBytes?: number | undefined;
  /**
   * Fraction of the memory that is free once the weights are loaded; above 0, at most 1, on TensorRT-LLM below 1. On the CPU
   * the limits of a container (control groups of version 1 and 2) and `ulimit` count. Default: the executor's: 0.5 on the
   * CPU, 0.9 on TensorRT-LLM.
   */
  freeMemoryFraction?: number | undefined;
  /**
   * Keep the KV blocks of prompts and outputs for later prompts that start with the same tokens, until their memory is needed.
   * Default: true on the CPU and through CUDA, the executor's on TensorRT-LLM.
   */
  blockReuse?: boolean | undefined;
  /** Also reuse a block of which only the first tokens match. Default: true on the CPU and through CUDA, the executor's on TensorRT-LLM. */
  partialReuse?: boolean | undefined;
  /**
   * Reuse a partly matching block by copying it; otherwise only one that no sequence is using is reused, and no longer kept for
   * others. Default: true on the CPU and through CUDA, the executor's on TensorRT-LLM.
   */
  copyOnPartialReuse?: boolean | undefined;
  /**
   * Host memory, in bytes, that kept blocks move to when the GPU's are needed; a prompt that matches them gets them back. It is pinned
   * at load. Through CUDA and on TensorRT-LLM. Default: 0.
   */
  hostBytes?: number | undefined;
  /**
   * Copy offloaded blocks back to the device before they are used. Through CUDA, where false is refused, and on TensorRT-LLM.
   * Default: the executor's, which is true through CUDA.
   */
  onboardBlocks?: boolean | undefined;
  /**
   * Lowest priority of a block that is offloaded, 0 to 100; the others are dropped. Default: 30 through CUDA, the executor's on
   * TensorRT-LLM.
   */
  offloadMinPriority?: number | undefined;
  /**
   * Attention window of each layer, in tokens; a list shorter than the number of layers repeats. Only on TensorRT-LLM: the CPU and
   * CUDA executors have the engine's own windows. Default: the whole context.
   */
  maxAttentionWindows?: ArrayLike<number> | undefined;
  /** Number of tokens at the start that stay inside every attention window. Only on TensorRT-LLM. Default: 0. */
  sinkTokens?: number | undefined;
  /** Use unified memory, which device and host share, for the blocks. Only on TensorRT-LLM. Default: false. */
  uvm?: boolean | undefined;
  /**
   * What keys and values are stored as. `'int8'`, with a scale for each token and head, takes half as much memory as 16 bits;
   * on the CPU and through CUDA. Default: `'auto'`: 32 bits for float32 models on the CPU, 16 bits for all others, what the engine was
   * built with on TensorRT-LLM.
   */
  dtype?: 'auto' | 'int8' | undefined;
  /**
   * Number of events that `llm.kvCacheEvents()` and `llm.takeKvCacheEvents()` can be behind; of more, the oldest are dropped. 0
   * collects none. On the CPU and through CUDA, on TensorRT-LLM since 0.15 unless it has an orchestrator. Default: 0.
   */
  eventBufferSize?: number | undefined;
}

/** In the order of ExecutorKvDtype. */
export const KV_DTYPES = ['auto', 'int8'] as const;

const PRIORITY = integer(0, 100);
const BYTES = integer(0, Number.MAX_SAFE_INTEGER);

export const kvCache = group({
  maxTokens: integer(1, MAX_COUNT),
  maxBytes: integer(1, Number.MAX_SAFE_INTEGER),
  freeMemoryFraction: positiveFraction(),
  blockReuse: boolean(),
  partialReuse: boolean(),
  copyOnPartialReuse: boolean(),
  hostBytes: BYTES,
  onboardBlocks: boolean(),
  offloadMinPriority: PRIORITY,
  maxAttentionWindows: integers(1, MAX_COUNT),
  sinkTokens: integer(0, MAX_COUNT),
  uvm: boolean(),
  dtype: enumerator(KV_DTYPES),
  eventBufferSize: integer(0, MAX_COUNT),
} satisfies Readers<KvCacheOptions>);

/** A range of the prompt, with the priority of its blocks in the cache. */
export interface RetentionRange {
  /** First token, counted from 0. */
  start: number;
  /** Token after the last one. Default: the end of the prompt. */
  end?: number | undefined;
  /** 0 to 100; blocks with a low priority are evicted first. */
  priority: number;
  /** How long the priority applies, in ms; after that the default priority does. Default: until the blocks are evicted. */
  durationMs?: number | undefined;
}

/** How long the blocks of a request stay in the KV cache for other requests to use. */
export interface KvRetentionOptions {
  /** Priorities by position in the prompt; ranges must not overlap. Default: none. */
  ranges?: readonly RetentionRange[] | undefined;
  /** Priority of the output's blocks, 0 to 100. Default: the executor's. */
  decodePriority?: number | undefined;
  /** How long `decodePriority` applies, in ms. Default: until the blocks are evicted. */
  decodeDurationMs?: number | undefined;
  /**
   * Where blocks are offloaded: to host memory, or to files, written with GPUDirect Storage or with POSIX calls. Default:
   * `'dram'`.
   */
  transferMode?: 'dram' | 'gds' | 'posix' | undefined;
  /** Directory for those files. Default: none. */
  directory?: string | undefined;
}

const DURATION_MS = integer(1, Number.MAX_SAFE_INTEGER);

const range = record(
  { start: integer(0, MAX_COUNT), priority: PRIORITY },
  { end: integer(1, MAX_COUNT), durationMs: DURATION_MS },
);
const orderedRange: typeof range = {
  ...range,
  read: (given, name) => {
    const read = range.read(given, name);
    const { start, end } = read;
    if (end === undefined || end > start) return read;
    throw invalidOption(`${name}.end`, `is ${end}; expected more than its start, ${start}.`);
  },
};
const ranges = listOf(orderedRange, 'ranges');
const disjointRanges: typeof ranges = {
  ...ranges,
  read: (given, name) => {
    const read = ranges.read(given, name);
    const sorted = [...read].sort((a, b) => a.start - b.start);
    sorted.forEach(({ end }, i) => {
      const next = sorted[i + 1];
      if (!next || (end !== undefined && end <= next.start)) return;
      throw invalidOption(name, `has two ranges with token ${next.start}; expected ranges that do not overlap.`);
    });
    return read;
  },
};

export const kvRetention = group({
  ranges: disjointRanges,
  decodePriority: PRIORITY,
  decodeDurationMs: DURATION_MS,
  transferMode: enumerator(['dram', 'gds', 'posix']),
  directory: text(),
} satisfies Readers<KvRetentionOptions>);

const MAX_SALT_LENGTH = 65_536; // in UTF-16 code units

/** Any text as the 64 bits that the executor takes: the first 8 bytes of its SHA-256, the first of them the highest. */
export const cacheSalt = readAs(text(), (given, name) => {
  const salt = boundedText(given, MAX_SALT_LENGTH, name);
  return createHash('sha256').update(salt).digest().readBigUInt64BE();
});
