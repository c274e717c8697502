import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { LLMError, messageOf } from '../base/errors.js';
import type { RequestExtras } from '../options/generate.js';
import type { ConfigOptions } from '../options/load.js';
import { checkBuiltLibrary } from '../tensorrt-llm/built-library.js';
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

/** Runs of tokens back to back; run i ends before `offsets[i + 1]`. */
export interface NativeTokenLists {
  tokens: Int32Array;
  offsets: Int32Array;
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
  keepAlive(keep: boolean): void;
  info(): NativeInfo;
  /** What attach() takes, in any environment of this process. */
  shareId(): number;
  stats(): Stats;
  close(deadlineMs: number): Promise<void>;
  closeNow(deadlineMs: number, processEnds: boolean): void;
}

declare const loadedBrand: unique symbol;
/** What load() and attach() give, for the one NativeSession that is made of it. */
export interface LoadedSession {
  readonly [loadedBrand]: true;
}

interface Addon {
  /** `onLog` gets an ExecutorLogLevel and a line. */
  load(
    options: NativeLoadOptions,
    onProgress: (done: number) => void,
    onLog: ((level: number, message: string) => void) | undefined,
  ): { promise: Promise<LoadedSession>; abort(): void };
  attach(shareId: number): LoadedSession;
  NativeSession: new (loaded: LoadedSession, onEvents: OnEvents) => NativeSession;
}

let loaded: { addon: Addon; dir: string } | undefined;

/**
 * Loads the addon, the first time it is needed: importing this package works on any platform.
 * @throws {LLMError} `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`.
 */
export function loadAddon(): Addon {
  loaded ??= open();
  return loaded.addon;
}

/**
 * The directory of the addon, where executors' libraries lie too.
 * @throws {LLMError} what loadAddon throws.
 */
export function addonDirectory(): string {
  loaded ??= open();
  return loaded.dir;
}

/**
 * The shared library of an executor that is not linked into the addon: it lies beside it.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` where it does not, or TensorRT-LLM is not the one it was built for; and what
 *   loadAddon throws.
 */
export function executorLibrary(name: 'cuda' | 'tensorrt-llm'): string {
  const dir = addonDirectory();
  const library = join(dir, `libexecutor_${name.replace('-', '_')}.so`);
  if (existsSync(library)) {
    if (name === 'tensorrt-llm') checkBuiltLibrary(dir);
    return library;
  }
  const mend =
    name === 'tensorrt-llm'
      ? 'It is built on the machine that has TensorRT-LLM: npx node-tensorrt-llm setup (npx node-tensorrt-llm doctor tells what that lacks)'
      : "This version comes without it. Use executor: 'cpu', or leave it out.";
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `The executor '${name}' needs ${library}, which is not there. ${mend}`,
  );
}

/**
 * The program that runs an executor for `isolation: 'process'`: it lies beside the addon. Where it does not, the load says so.
 * @throws {LLMError} what loadAddon throws.
 */
export const hostProgram = (): string => join(addonDirectory(), 'node_tensorrt_llm_host');

function open(): { addon: Addon; dir: string } {
  const found = `${process.platform}-${process.arch}`;
  if (found !== 'linux-x64') {
    throw new LLMError(
      'ERR_PLATFORM_UNSUPPORTED',
      `node-tensorrt-llm runs on Linux x64 with glibc; this is ${found}. Run it there, in a container or a virtual machine.`,
    );
  }
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const require = createRequire(import.meta.url);
  try {
    const { resolve } = require('node-gyp-build') as { resolve(dir: string): string };
    const file = resolve(root);
    return { addon: require(file) as Addon, dir: dirname(file) };
  } catch (cause) {
    if (existsSync('/etc/alpine-release')) {
      throw new LLMError(
        'ERR_PLATFORM_UNSUPPORTED',
        'node-tensorrt-llm runs on Linux x64 with glibc; this is Alpine, which has musl. Use an image with glibc, such as node:22-bookworm-slim.',
        { cause },
      );
    }
    throw new LLMError(
      'ERR_ADDON_LOAD',
      `The native addon could not be loaded from ${root}: ${messageOf(cause)}. Reinstall the package, or build it from a clone: npm install`,
      { cause },
    );
  }
}

// Node runs no environment clean-up at process.exit(), and the pumps' threads must not run into the end of the process.
const EXIT_DEADLINE_MS = 2000;
const live = new Set<WeakRef<NativeSession>>();

/** Makes the session of this environment; `onEvents` gets its events. */
export function bind({ NativeSession }: Addon, loadedSession: LoadedSession, onEvents: OnEvents): NativeSession {
  if (live.size === 0) process.once('exit', closeAll);
  for (const each of live) if (each.deref() === undefined) live.delete(each);
  const session = new NativeSession(loadedSession, onEvents);
  live.add(new WeakRef(session));
  return session;
}

function closeAll(): void {
  for (const each of live) each.deref()?.closeNow(EXIT_DEADLINE_MS, isMainThread);
}
