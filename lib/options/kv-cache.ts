import { createHash } from 'node:crypto';
import {
  boolean,
  enumerator,
  group,
  integer,
  integers,
  listOf,
  MAX_COUNT,
  positiveFraction,
  type Readers,
  readAs,
  record,
  text,
} from '../base/checks.js';
import { LLMError } from '../base/errors.js';

/** The cache of keys and values that all sequences share. */
export interface KvCacheOptions {
  /**
   * Tokens that all sequences together may hold. Default: on the CPU `maxBatchSize` times `maxSeqLen`, or what half of the
   * free memory holds if that is less; on TensorRT-LLM what `freeMemoryFraction` holds.
   */
  maxTokens?: number | undefined;
  /** Bytes of device memory at most. Default: no limit of its own. */
  maxBytes?: number | undefined;
  /** How much of the memory that is free once the weights are loaded, above 0 to 1, on TensorRT-LLM below 1. Default: the executor's: 0.5 on the CPU, 0.9 on TensorRT-LLM. */
  freeMemoryFraction?: number | undefined;
  /** Uses the blocks of one prompt for another that begins with the same tokens. Default: the executor's: false on the CPU. */
  blockReuse?: boolean | undefined;
  /** Uses a block of which only the first tokens are the same. Default: the executor's. */
  partialReuse?: boolean | undefined;
  /** Copies such a block where another sequence uses it. Default: the executor's. */
  copyOnPartialReuse?: boolean | undefined;
  /** Bytes of host memory that blocks may be moved out to. Default: 0. */
  hostBytes?: number | undefined;
  /** Brings blocks back to the device before they are used again. Default: the executor's. */
  onboardBlocks?: boolean | undefined;
  /** Only blocks of a priority above this, 0 to 100, are moved out; others are dropped. Default: the executor's. */
  offloadMinPriority?: number | undefined;
  /** Tokens that each layer looks back on, in the order of the layers, repeated. Default: the whole context. */
  maxAttentionWindows?: ArrayLike<number> | undefined;
  /** Tokens at the start that stay in sight of a window. Default: 0. */
  sinkTokens?: number | undefined;
  /** Lets device and host share the memory of blocks. Default: false. */
  uvm?: boolean | undefined;
}

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
} satisfies Readers<KvCacheOptions>);

/** Tokens of a prompt whose blocks stay in the cache by a priority. */
export interface RetentionRange {
  /** The first token, counted from 0. */
  start: number;
  /** The token behind the last one. Default: the end of the prompt. */
  end?: number | undefined;
  /** 0 to 100; blocks of a low one go first. */
  priority: number;
  /** Milliseconds that the priority holds; then it is the default one. Default: until the blocks go. */
  durationMs?: number | undefined;
}

/** How long the blocks of a request stay in the KV cache for others to use. */
export interface KvRetentionOptions {
  /** By tokens of the prompt; ranges do not overlap. Default: none. */
  ranges?: readonly RetentionRange[] | undefined;
  /** Priority of the output's blocks, 0 to 100. Default: the executor's. */
  decodePriority?: number | undefined;
  /** Milliseconds that it holds. Default: until the blocks go. */
  decodeDurationMs?: number | undefined;
  /** How blocks are moved out: to host memory, or to files by GPUDirect Storage or by POSIX calls. Default: `'dram'`. */
  transferMode?: 'dram' | 'gds' | 'posix' | undefined;
  /** Where the files of the last two are. Default: none. */
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
    const { start, end } = given;
    if (end === undefined || end > start) return range.read(given, name);
    throw new LLMError('ERR_INVALID_OPTION', `${name}.end is ${end}; expected above its start, ${start}.`);
  },
};

export const kvRetention = group({
  ranges: listOf(orderedRange, 'ranges'),
  decodePriority: PRIORITY,
  decodeDurationMs: DURATION_MS,
  transferMode: enumerator(['dram', 'gds', 'posix']),
  directory: text(),
} satisfies Readers<KvRetentionOptions>);

/** Any text as the 64 bits that the executor takes: the first 8 bytes of its SHA-256, the first of them the highest. */
export const cacheSalt = readAs(text(), (salt) => createHash('sha256').update(salt).digest().readBigUInt64BE());
