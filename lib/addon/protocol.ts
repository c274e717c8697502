import type { RequestExtras } from '../options/generate.js';
import type { ConfigOptions } from '../options/load.js';
import type { NativeTokenLists } from '../options/token-lists.js';
import type { ByteTable } from '../text/byte-table.js';
import type { OnEvents } from './events.js';

/** What the addon's load() reads. A size that is left out is the executor's to choose. */
export interface NativeLoadOptions extends ConfigOptions {
  /** The shared library of the executor; undefined for the CPU's, which is linked in. */
  library: string | undefined;
  /** The program that runs the executor in a process of its own; undefined for this one. */
  hostProgram: string | undefined;
  engineDir: string;
  vocabulary: ByteTable | undefined;
  guided?: NativeGuidedConfig | undefined;
}

/** What holds outputs to their guides needs the vocabulary. */
export interface NativeGuidedConfig {
  /** An ExecutorGuidedBackend. */
  backend: number;
  /** Names of tokens as tokenizer.json has them, by id. */
  vocabulary: readonly string[];
  /** The text of tokenizer.json. */
  tokenizerJson: string;
  stopTokens: Int32Array;
}

/** What submit() reads. What is undefined is left to the executor, which then does nothing of that kind. */
export interface NativeRequest {
  maxTokens: number;
  minTokens: number | undefined;
  endIds: Int32Array;
  stop: readonly string[];
  stopTokens: NativeTokenLists | undefined;
  badTokens: NativeTokenLists | undefined;
  skipSpecialTokens: boolean;
  temperature: number | undefined;
  topK: number | undefined;
  topP: number | undefined;
  minP: number | undefined;
  seed: number | undefined;
  repetitionPenalty: number | undefined;
  presencePenalty: number | undefined;
  frequencyPenalty: number | undefined;
  noRepeatNgram: number | undefined;
  biasTokens: Int32Array | undefined;
  biasValues: Float32Array | undefined;
  sequences: number | undefined;
  logprobs: boolean;
  topLogprobs: number;
  /** 0: none, else 1 + how many of the likeliest tokens go with each. */
  promptLogprobs: number;
  contextLogits: boolean;
  generationLogits: boolean;
  timeLimitMs: number | undefined;
  /** What few requests ask for, behind one property, since each that is looked at takes time. */
  extras: RequestExtras | undefined;
}

export interface NativeInfo {
  /** `'cpu'`, or the name an executor of your own gives itself. */
  executor: string;
  /** Of the library behind the executor. */
  executorVersion: string;
  /** What computes, for people: `'2 threads, avx512 kernels'`. */
  device: string;
  /** What the weights are stored in. */
  dataType: string;
  /** Whether the executor runs in a process of its own: `isolation: 'process'`. */
  isolated: boolean;
  capabilities: number;
  /** Tokens the model knows: the columns of its logits. */
  vocabSize: number;
  /** Sequences in one step at most. */
  maxBatchSize: number;
  /** Beams of a request at most; 1 where there is no beam search. */
  maxBeamWidth: number;
  /** Tokens in one step at most. */
  maxNumTokens: number;
  /** Tokens of a prompt at most. */
  maxInputLen: number;
  /** Tokens of a sequence at most, prompt and output. */
  maxSeqLen: number;
  tensorParallel: number;
  /** Of this process among those mpirun started for the engine, else 0. Those that only follow take no requests. */
  rank: number;
  /** Tokens one KV block holds. */
  tokensPerBlock: number;
  kvBlocks: number;
  weightBytes: number;
  /** Bytes of the KV cache when all blocks are in use. */
  kvCacheBytes: number;
}

/** A snapshot; counters run from the load. */
export interface Stats {
  /** Requests in the running batch. */
  activeRequests: number;
  /** Requests that wait for a place in it. */
  queuedRequests: number;
  completedRequests: number;
  /** Passes of the model over a batch. */
  steps: number;
  /** Milliseconds of the newest step. */
  stepMs: number;
  kvBlocks: number;
  kvBlocksUsed: number;
  /** How often a sequence gave its KV blocks back to be computed again later. */
  preemptions: number;
  /** Tokens that came after their request had ended for its reader. */
  discardedTokens: number;
  /** Rows the executor gave for requests nobody knows; other than 0 is a bug. */
  unknownRows: number;
  /** How often this environment's event loop was woken. */
  wakeups: number;
}

/** One environment's hold on a loaded executor. Every call but close() returns at once, or when the process ends. */
export interface NativeSession {
  /** Unique in the process; it works after close() too. */
  nextId(): number;
  submit(id: number, tokens: Int32Array, request: NativeRequest): void;
  cancel(id: number): void;
  /** From now on events keep the event loop alive, as for a timer. */
  ref(): void;
  /** From now on they do not. */
  unref(): void;
  info(): NativeInfo;
  /** What attach() takes, in any environment of this process. */
  shareId(): number;
  stats(): Stats;
  close(deadlineMs: number): Promise<void>;
  /** Blocks. `'process'` closes the executor for all who use it. */
  closeNow(deadlineMs: number, ending: 'thread' | 'process'): void;
}

declare const loadedBrand: unique symbol;
/** What load() and attach() give, for the one NativeSession that is made of it. */
export interface LoadedSession {
  readonly [loadedBrand]: true;
}

/** What the addon exports. */
export interface Addon {
  /** `onLog` gets an ExecutorLogLevel and a line. */
  load(
    options: NativeLoadOptions,
    onProgress: (done: number) => void,
    onLog: ((level: number, message: string) => void) | undefined,
  ): { promise: Promise<LoadedSession>; abort(): void };
  attach(shareId: number): LoadedSession;
  NativeSession: new (loaded: LoadedSession, onEvents: OnEvents) => NativeSession;
}
