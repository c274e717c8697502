import { whenAborted } from './abort.js';
import { type Capabilities, capabilitiesOf } from './capabilities.js';
import { type Checks, integer, MAX_COUNT, readOptions } from './checks.js';
import { type EngineDirectory, openEngine } from './engine/directory.js';
import { LLMError } from './errors.js';
import { type Generation, RequestGeneration } from './generation.js';
import { readInput } from './input.js';
import { type LoadOptions, libraryOf, readLoadOptions } from './load-options.js';
import { type MailReceiver, makeDeliver } from './mail.js';
import { bind, fromNative, loadAddon, type NativeEngine, type NativeInfo, type Stats } from './native.js';
import { type GenerateOptions, type RequestOptions, readGenerateOptions } from './options.js';
import { RunningRequest } from './running-request.js';
import { SubmissionQueue } from './submission-queue.js';
import { Tokenizer } from './text/tokenizer.js';
import type { Input, Result } from './types.js';

/** What was loaded. Sizes are in tokens or bytes. */
export interface EngineInfo extends Omit<NativeInfo, 'capabilities'> {
  /** Absolute path of the engine directory. */
  dir: string;
  architecture: string;
  /** Tokens that end an output. */
  endIds: readonly number[];
}

export interface CloseOptions {
  /** Milliseconds that running requests may take to finish before they are ended with `ERR_CLOSED`. Default: 0. */
  drainMs?: number;
}

const closeChecks: Checks<CloseOptions> = { drainMs: integer(0, MAX_COUNT) };

// For the executor to end what it runs once it was told to; it takes a step or two.
const SHUTDOWN_DEADLINE_MS = 10_000;

/** A loaded engine. Requests run together; start as many as you like. */
export class LLM implements AsyncDisposable {
  readonly info: EngineInfo;
  readonly capabilities: Capabilities;
  readonly #engine: NativeEngine;
  readonly #receivers: Map<number, MailReceiver>;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #directory: EngineDirectory;
  readonly #submissions = new SubmissionQueue();
  readonly #running = new Set<RunningRequest>();
  #onIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  private constructor(
    directory: EngineDirectory,
    tokenizer: Tokenizer | undefined,
    engine: NativeEngine,
    receivers: Map<number, MailReceiver>,
  ) {
    const { capabilities, ...facts } = engine.info();
    this.info = {
      dir: directory.path,
      architecture: directory.config.pretrained_config.architecture,
      endIds: directory.endIds,
      ...facts,
    };
    this.capabilities = capabilitiesOf(capabilities);
    this.#directory = directory;
    this.#tokenizer = tokenizer;
    this.#engine = engine;
    this.#receivers = receivers;
  }

  /**
   * Loads an engine directory: the weights on a thread of their own, the tokenizer on the event loop (see Tokenizer.load).
   * @throws {LLMError} what is wrong with the directory, the options or the platform: `ERR_ENGINE_*`, `ERR_TOKENIZER_INVALID`,
   *   `ERR_MODEL_UNSUPPORTED`, `ERR_INVALID_OPTION`, `ERR_EXECUTOR_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`,
   *   `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`. If `options.signal` aborts, its reason; what `onProgress` throws.
   */
  static async load(dir: string | URL, options: LoadOptions = {}): Promise<LLM> {
    const { signal, onProgress, executor, ...sizes } = readLoadOptions(options);
    signal?.throwIfAborted();
    const addon = loadAddon();
    const library = libraryOf(executor);
    const directory = await openEngine(dir);
    if (directory.weights === 'tensorrt' && library === undefined) {
      throw new LLMError(
        'ERR_EXECUTOR_UNAVAILABLE',
        `${directory.path} holds TensorRT engines, which the executor 'cpu' cannot run. Give it the checkpoint they were built from (rank0.safetensors).`,
      );
    }
    const { tokenizerPath } = directory;
    const tokenizer = tokenizerPath === undefined ? undefined : await Tokenizer.load({ ...directory, tokenizerPath });
    signal?.throwIfAborted();
    let stopped: { readonly reason: unknown } | undefined;
    const pending = addon.load(
      {
        library,
        engineDir: directory.path,
        vocabulary: tokenizer?.byteTable,
        ...sizes,
      },
      (done) => {
        try {
          onProgress?.(done);
        } catch (thrown) {
          stopped ??= { reason: thrown };
          pending.abort();
        }
      },
    );
    const onAbort = (): void => {
      stopped ??= { reason: signal?.reason };
      pending.abort();
    };
    const ignoreSignal = signal && whenAborted(signal, onAbort);
    const loaded = await pending.promise
      .catch((thrown: unknown) => {
        throw stopped ? stopped.reason : fromNative(thrown);
      })
      .finally(ignoreSignal);
    const receivers = new Map<number, MailReceiver>();
    const llm = new LLM(directory, tokenizer, bind(addon, loaded, makeDeliver(receivers)), receivers);
    if (stopped) {
      await llm.close();
      throw stopped.reason;
    }
    return llm;
  }

  /** @throws {LLMError} `ERR_TOKENIZER_MISSING` where the engine directory has none. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer) return this.#tokenizer;
    throw new LLMError(
      'ERR_TOKENIZER_MISSING',
      `${this.info.dir} has no tokenizer.json, so this LLM takes and gives tokens only: generate({ tokens }). ` +
        'Copy tokenizer.json and tokenizer_config.json of the model into it.',
    );
  }

  /**
   * Runs one request, or several together, to the end, off the event loop; `input` may be changed as soon as the call returns.
   * @returns the text, `usage` in tokens and `timing` in milliseconds; for an array of inputs an array in its order.
   * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_INVALID_OPTION`, `ERR_EMPTY_PROMPT`, `ERR_PROMPT_TOO_LONG` if no new token fits,
   *   `ERR_QUEUE_FULL`, `ERR_UNSUPPORTED`, `ERR_CLOSED`, `ERR_EXECUTOR_FAILED`; if one of several fails, the others are aborted.
   */
  generate(input: Input, options?: GenerateOptions): Promise<Result>;
  generate(inputs: readonly Input[], options?: GenerateOptions): Promise<Result[]>;
  generate(input: Input | readonly Input[], options: GenerateOptions = {}): Promise<Result | Result[]> {
    if (!isList(input)) return this.stream(input, options).result;
    const generations = input.map((each) => this.stream(each, options));
    return Promise.all(generations.map(({ result }) => result)).catch((error: unknown) => {
      for (const generation of generations) generation.abort();
      throw error;
    });
  }

  /** Starts one request at once and never throws: what is wrong with it is thrown by the iterator and by `result`. */
  stream(input: Input, options: GenerateOptions = {}): Generation {
    const draft = this.#draft(input, options);
    const stop = 'options' in draft ? draft.options.stop : [];
    const request = new RunningRequest(
      draft.id,
      (token) => this.#tokenizer?.tokenText(token) ?? '',
      stop,
      () => {
        ignoreSignal?.();
        clearTimeout(timer);
        this.#forget(request);
      },
    );
    const cancel = (): void => request.cancel();
    const generation = new RequestGeneration(request, cancel);
    let ignoreSignal: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    this.#running.add(request);
    if ('error' in draft) {
      request.fail(draft.error);
      return generation;
    }
    const { signal, timeoutMs } = draft.options;
    if (signal?.aborted) {
      request.abort(signal.reason);
      return generation;
    }
    if (signal) ignoreSignal = whenAborted(signal, () => request.abort(signal.reason));
    if (timeoutMs !== undefined) timer = setTimeout(() => request.timeOut(), timeoutMs);
    this.#submissions.add(draft.tokens, {
      submit: (tokens) => this.#submit(request, tokens, draft.options),
      fail: (error) => request.fail(error),
    });
    return generation;
  }

  /** A snapshot, taken at once. */
  stats(): Stats {
    try {
      return this.#engine.stats();
    } catch (error) {
      throw fromNative(error);
    }
  }

  /**
   * Takes no more requests, lets running ones go on for `drainMs`, ends the rest with `ERR_CLOSED`, and frees everything.
   * Calling it again gives the same promise.
   * @throws {LLMError} `ERR_INVALID_OPTION`; then nothing was closed.
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      const { drainMs = 0 } = readOptions<CloseOptions>(options, closeChecks, 'close()');
      this.#closed ??= this.#close(drainMs);
      return this.#closed;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(drainMs: number): Promise<void> {
    if (this.#running.size > 0 && drainMs > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        setTimeout(resolve, drainMs).unref();
      });
    }
    for (const request of this.#running) request.closed();
    await this.#engine.close(SHUTDOWN_DEADLINE_MS);
  }

  #draft(input: unknown, options: unknown): Draft {
    if (this.#closed) {
      const message = 'This LLM is closed; load the engine again with LLM.load().';
      return { id: 0, error: new LLMError('ERR_CLOSED', message) };
    }
    const id = this.#engine.nextId();
    try {
      const checked = readGenerateOptions(options, this.#directory.generation);
      if (checked.stop.length > 0) void this.tokenizer; // stop strings are looked for in text
      return { id, options: checked, tokens: readInput(input, checked, () => this.tokenizer) };
    } catch (error) {
      return { id, error: fromUser(error, id) };
    }
  }

  #submit(request: RunningRequest, tokens: Int32Array, options: RequestOptions): void {
    if (request.outcome) return;
    request.submitted(tokens.length);
    this.#receivers.set(request.id, request);
    if (this.#receivers.size === 1) this.#engine.keepAlive(true);
    try {
      this.#engine.submit(request.id, tokens, {
        maxTokens: options.maxTokens ?? Math.max(1, this.info.maxSeqLen - tokens.length),
        endIds: Int32Array.from(options.ignoreEos ? [] : this.info.endIds),
        stop: options.stop,
        skipSpecialTokens: options.skipSpecialTokens,
        temperature: options.temperature,
        topK: options.topK,
        topP: options.topP,
        minP: options.minP,
        seed: options.seed,
        logprobs: options.logprobs,
        topLogprobs: options.topLogprobs,
        contextLogits: options.returnContextLogits,
        generationLogits: options.returnGenerationLogits,
      });
    } catch (error) {
      request.fail(fromNative(error, { requestId: request.id }));
    }
  }

  /** The request has ended for its reader, whether the executor knows already or not. */
  #forget(request: RunningRequest): void {
    this.#running.delete(request);
    if (this.#receivers.delete(request.id)) {
      this.#engine.cancel(request.id);
      if (this.#receivers.size === 0) this.#engine.keepAlive(false);
    }
    if (this.#running.size === 0) this.#onIdle?.();
  }
}

/** A request before it has its tokens. */
type Draft =
  | { readonly id: number; readonly options: RequestOptions; readonly tokens: Int32Array | Promise<Int32Array> }
  | { readonly id: number; readonly error: LLMError };

const isList = (input: Input | readonly Input[]): input is readonly Input[] => Array.isArray(input);

const fromUser = (error: unknown, requestId: number): LLMError =>
  LLMError.is(error)
    ? new LLMError(error.code, error.message, { requestId, cause: error })
    : fromNative(error, { requestId });
