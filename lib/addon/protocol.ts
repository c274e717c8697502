import type { RequestExtras } from '../options/generate.js';
import type { ConfigOptions } from '../options/load.js';
import type { NativeLogitBias } from '../options/sampling.js';
import type { NativeTokenLists } from '../options/token-lists.js';
import type { NativeTokenizer, TokenizerAddon } from '../text/native-tokenizer.js';
import type { OnEvents } from './events.js';
import type { NativeKvEvents } from './kv-events.js';

/** What the addon's load() reads. The executor chooses the sizes that are not given. */
export interface NativeLoadOptions extends ConfigOptions {
  /** The shared library of the executor; undefined for the CPU's, which is linked in. */
  library: string | undefined;
  /** The program that runs the executor in a process of its own; undefined for this one. */
  hostProgram: string | undefined;
  /** Names of variables that it gets besides those that executors read. */
  hostVariables?: readonly string[] | undefined;
  engineDir: string;
  tokenizer: NativeTokenizer | undefined;
  guidedDecoding?: NativeGuidedConfig | undefined;
  /** That of the session which this one replaces. */
  shareId?: number | undefined;
}

/** What the backend that enforces `guided` needs. */
export interface NativeGuidedConfig {
  /** An ExecutorGuidedBackend. */
  backend: number;
  /** Load without it where it cannot be used. */
  optional?: boolean | undefined;
  /** Names of tokens as tokenizer.json has them, by id. */
  vocabulary: readonly string[];
  /** The text of tokenizer.json. */
  tokenizerJson: string;
  stopTokens: Int32Array;
}

/** Where an output begins to follow `guided`: an ExecutorReasoning. */
export interface NativeReasoning {
  begins: Int32Array;
  ends: readonly string[];
}

/** What submit() reads. Undefined means not asked for. */
export interface NativeRequest {
  maxTokens: number;
  minTokens: number | undefined;
  endIds: Int32Array;
  stop: readonly string[];
  stopTokens: NativeTokenLists | undefined;
  badTokens: NativeTokenLists | undefined;
  skipSpecialTokens: boolean;
  /** Special tokens that are text even so. */
  shownTokens: Int32Array | undefined;
  temperature: number | undefined;
  topK: number | undefined;
  topP: number | undefined;
  minP: number | undefined;
  seed: number | undefined;
  repetitionPenalty: number | undefined;
  presencePenalty: number | undefined;
  frequencyPenalty: number | undefined;
  noRepeatNgramSize: number | undefined;
  logitBias: NativeLogitBias | undefined;
  n: number | undefined;
  bestOf: number | undefined;
  logprobs: boolean;
  topLogprobs: number;
  promptLogprobs: boolean;
  topPromptLogprobs: number;
  returnContextLogits: boolean;
  returnGenerationLogits: boolean;
  timeoutMs: number | undefined;
  /** Options that few requests set, behind one property, because reading each property takes time. */
  extras: (RequestExtras & { reasoning?: NativeReasoning | undefined }) | undefined;
}

export interface NativeInfo {
  /** `'cpu'`, `'cuda'`, `'tensorrt-llm'`, or the name that an executor of your own gives itself. */
  executor: string;
  /** Version of the library behind the executor. */
  executorVersion: string;
  /** What computes, for people: `'2 threads, avx512 kernels'`. */
  device: string;
  /** Data type of the weights: `'bfloat16'`, `'float16'` or `'float32'` on the CPU. */
  dataType: string;
  /** Whether the executor runs in a process of its own: `isolation: 'process'`. */
  isolated: boolean;
  capabilities: number;
  /** Whether `guided` holds an output behind its reasoning; without, from its first token on. */
  guidedAfterReasoning: boolean;
  /** Number of tokens the model knows, and of columns in its logits. */
  vocabSize: number;
  /** Maximum number of sequences in a step. */
  maxBatchSize: number;
  /** Maximum number of beams in a request; 1 without beam search. */
  maxBeamWidth: number;
  /** Maximum number of tokens in a step. */
  maxNumTokens: number;
  /** Maximum length of a prompt in tokens. */
  maxInputLen: number;
  /** Maximum length of a sequence in tokens, prompt and output. */
  maxSeqLen: number;
  /** Number of GPUs that share each layer; 1 on the CPU. */
  tensorParallelSize: number;
  /**
   * Rank of this process among those that mpirun started for the engine, else 0. Ranks that only follow refuse requests with
   * `ERR_UNSUPPORTED`.
   */
  rank: number;
  /** Numbers in an embedding; 0 if the executor has none. */
  hiddenSize: number;
  /** Tokens per KV block. */
  tokensPerBlock: number;
  /** Number of KV blocks. */
  kvBlocks: number;
  /** Size of the weights in memory, in bytes. */
  weightBytes: number;
  /** Size of the KV cache with all blocks in use, in bytes. */
  kvCacheBytes: number;
}

/** A snapshot; counters start at load. */
export interface Stats {
  /** Requests in the running batch. */
  activeRequests: number;
  /** Requests waiting to join it. */
  queuedRequests: number;
  /** Requests that have ended, for whatever reason. */
  completedRequests: number;
  /** Requests that have joined the batch, those that have ended included. */
  startedRequests: number;
  /** Maximum number of requests in the batch. */
  maxActiveRequests: number;
  /** Passes of the model over a batch. */
  steps: number;
  /** Duration of the latest step, in ms. */
  stepMs: number;
  /** Mean wait of the requests that joined the batch in the latest step, in ms. */
  queueMs: number;
  /** Maximum number of sequences in a step; TensorRT-LLM may tune it while it runs. */
  maxBatchSize: number;
  /** Maximum number of tokens in a step; likewise. */
  maxNumTokens: number;
  /** Requests of the latest step. */
  scheduledRequests: number;
  /** Those of them whose prompts it computed, or computed again. */
  contextRequests: number;
  /** Those of them that it generated tokens for. */
  generationRequests: number;
  /** Requests that gave up their KV blocks and wait to be computed again. */
  pausedRequests: number;
  /** Tokens of prompts in the latest step. */
  contextTokens: number;
  /** Number of the latest step's micro batch, where pipeline stages have several. */
  microBatch: number;
  /** Mean number of tokens that a sequence gets from a step; above 1 with speculative decoding. */
  decodedTokensPerStep: number;
  /** Draft tokens that were verified. */
  draftTokens: number;
  /** Draft tokens that were accepted, each of which saved a sequence a step. */
  draftTokensAccepted: number;
  /** What a draft model took of the latest step, in milliseconds; part of `stepMs`. */
  draftMs: number;
  /** How often a sequence gave up its KV blocks, to be computed again later. */
  preemptions: number;
  /** Device memory that the executor uses, in bytes; 0 on the CPU. */
  deviceMemoryBytes: number;
  /** Host memory that the executor's process uses, in bytes. */
  hostMemoryBytes: number;
  /** Pinned host memory that the executor uses, in bytes; 0 if it does not count it. */
  pinnedMemoryBytes: number;
  /** Number of KV blocks. */
  kvBlocks: number;
  /** KV blocks that no request uses, those that are kept for later prompts included. */
  kvBlocksFree: number;
  /** KV blocks in use; those that are only kept for later prompts are not. */
  kvBlocksUsed: number;
  /** Tokens per KV block. */
  tokensPerBlock: number;
  /** KV blocks that requests took; one that they share because it was found whole is not taken. */
  kvBlocksAllocated: number;
  /** Those of them that were not kept for later prompts until then. */
  kvBlocksAllocatedNew: number;
  /** KV blocks of prompts that were found in the cache, whole or in part. */
  kvBlocksReused: number;
  /** KV blocks of prompts that were not. */
  kvBlocksMissed: number;
  /** `kvBlocksReused` as a fraction of the KV blocks of prompts; 0 before the first. */
  kvCacheHitRate: number;
  /** The requests that run or wait, of all threads; empty unless the engine was loaded with `requestStats`. */
  requests: RequestStats[];
  /** Tokens that came after their request had ended. */
  discardedTokens: number;
  /** Rows from the executor for unknown requests; anything but 0 is a bug. */
  unknownRows: number;
  /** How often this thread's event loop was woken. */
  wakeups: number;
}

/** How far a request is. */
export interface RequestStats {
  /** The `id` of its Generation. */
  id: number;
  /** `'queued'`: it waits; `'context'`: its prompt is computed; `'generation'`: it generates tokens; `'complete'`: it has just ended. */
  stage: 'queued' | 'context' | 'generation' | 'complete';
  /** Whether it is part of the latest step. */
  isScheduled: boolean;
  /** Whether it gave up its KV blocks and waits to be computed again. */
  isPaused: boolean;
  /** Prompt tokens that are computed. */
  promptTokensComputed: number;
  /** Tokens of its outputs so far. */
  generatedTokens: number;
  /** Mean number of tokens that it gets from a step. */
  decodedTokensPerStep: number;
  /** KV blocks that it took, those that it gave back included. */
  kvBlocksAllocated: number;
  /** KV blocks of its prompt that were found in the cache, whole or in part. */
  kvBlocksReused: number;
  /** KV blocks of its prompt that were not. */
  kvBlocksMissed: number;
}

/** One environment's hold on a loaded executor. Every call but awaitClosed() returns at once. */
export interface NativeSession {
  /** Unique in the process; it works after close() too. */
  nextId(): number;
  submit(id: number, tokens: Int32Array, request: NativeRequest): void;
  cancel(ids: Float64Array): void;
  /** From now on events keep the event loop alive, as for a timer. */
  ref(): void;
  /** From now on they do not. */
  unref(): void;
  info(): NativeInfo;
  /** What attach() takes, in any environment of this process. */
  shareId(): number;
  stats(): Stats;
  /** What came since the last call, of any environment; the executor must have the capability. */
  kvEvents(): NativeKvEvents;
  close(deadlineMs: number): Promise<void>;
  /** `'process'` closes the executor for every environment. */
  beginClose(deadlineMs: number, ending: 'thread' | 'process'): void;
  /** Blocks until what beginClose() began has ended. */
  awaitClosed(): void;
}

declare const loadedBrand: unique symbol;
/** What load() and attach() give, for the one NativeSession that is made of it. */
export interface LoadedSession {
  readonly [loadedBrand]: true;
}

/** What the addon exports. */
export interface Addon extends TokenizerAddon {
  /** `onLog` gets an ExecutorLogLevel and a line. */
  load(
    options: NativeLoadOptions,
    onProgress: (done: number) => void,
    onLog: ((level: number, message: string) => void) | undefined,
  ): {
    promise: Promise<LoadedSession>;
    abort(): void;
    /** It keeps the process no longer. */
    leave(): void;
  };
  attach(shareId: number): LoadedSession;
  NativeSession: new (loaded: LoadedSession, onEvents: OnEvents) => NativeSession;
}
