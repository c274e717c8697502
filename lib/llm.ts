import { bind, hostProgram, loadAddon } from './addon/addon.js';
import { makeEventDecoder, type RequestSink } from './addon/events.js';
import { fromNative } from './addon/executor-error.js';
import { guidedConfig } from './addon/guided-config.js';
import { type LLMHandle, makeHandle, readHandle } from './addon/handle.js';
import type { LoadedSession, NativeInfo, NativeSession, Stats } from './addon/protocol.js';
import { whenAborted } from './base/abort.js';
import { type Checks, integer, MAX_COUNT, readOptions } from './base/checks.js';
import { LLMError, messageOf } from './base/errors.js';
import { pathOf } from './base/paths.js';
import type { ResponseTemplate } from './base/response-template.js';
import { Stopping } from './base/stopping.js';
import { endings } from './base/turns.js';
import type { ChatMessage, Input, Result } from './base/types.js';
import { type EngineDirectory, type EngineNeeds, openEngine } from './engine/directory/directory.js';
import { chooseExecutor, libraryOf, WEIGHTS } from './executors.js';
import { checkGpuMemory } from './gpu-memory.js';
import { type Capabilities, capabilitiesOf } from './options/capabilities.js';
import type { GenerateOptions } from './options/generate.js';
import { DUMMY, type LoadOptions, readLoadOptions } from './options/load.js';
import type { Generation } from './request/generation.js';
import { Requests } from './request/requests.js';
import { conversationInput, FIRST_LOGITS, type RewardOptions, readRewardOptions, rewardOf } from './request/reward.js';
import { Tokenizer, type TokenizerOptions } from './text/tokenizer.js';

/** What is loaded, and its sizes. */
export interface EngineInfo extends Omit<NativeInfo, 'capabilities'> {
  /** Absolute path of the engine directory. */
  dir: string;
  /** Architecture of the model, as Hugging Face names it: `'LlamaForCausalLM'`. */
  architecture: string;
  /** Ids of the tokens that end an output. */
  endIds: readonly number[];
  /** Why `executor: 'auto'` took this executor, for people; undefined if the executor was named. */
  executorReason: string | undefined;
}

/** How to close an LLM. */
export interface CloseOptions {
  /** How long running requests may take to finish, in ms; then they fail with `ERR_CLOSED`. Default: 0. */
  drainMs?: number | undefined;
}

const closeChecks: Checks<CloseOptions> = { drainMs: integer(0, MAX_COUNT) };

/** What an LLM that attaches to the engine from another thread gets to know of it. */
type LoadedDirectory = EngineDirectory & Pick<TokenizerOptions, 'chatTemplateLimits'>;

// For the executor to end cancelled requests, which takes a step or two.
const SHUTDOWN_DEADLINE_MS = 10_000;

// For an executor to end a load that was given up; one that reads from a file system that hangs never does.
const GIVE_UP_MS = 1000;

/** A loaded engine. Requests run together, so start as many as you like. */
export class LLM implements AsyncDisposable {
  readonly info: EngineInfo;
  /** What the executor supports; anything else fails with `ERR_UNSUPPORTED`. */
  readonly capabilities: Capabilities;
  /** Send it to a worker thread with `postMessage`, and `LLM.attach` it there. */
  readonly handle: LLMHandle;
  readonly #session: NativeSession;
  readonly #directory: LoadedDirectory;
  #tokenizer: Tokenizer | undefined;
  readonly #requests: Requests;
  #closed: Promise<void> | undefined;

  private constructor(
    directory: LoadedDirectory,
    executorReason: string | undefined,
    maxQueueSize: number | undefined,
    tokenizer: Tokenizer | undefined,
    loaded: LoadedSession,
  ) {
    const sinks = new Map<number, RequestSink>();
    const session = bind(loadAddon(), loaded, makeEventDecoder(sinks));
    const { capabilities, ...facts } = session.info();
    this.info = {
      dir: directory.path,
      architecture: directory.architecture,
      endIds: directory.endIds,
      executorReason,
      ...facts,
    };
    this.capabilities = capabilitiesOf(capabilities);
    this.handle = makeHandle(session.shareId(), directory, { executorReason, maxQueueSize });
    this.#directory = directory;
    this.#tokenizer = tokenizer;
    this.#session = session;
    this.#requests = new Requests(
      {
        session,
        sessionId: this.handle.sessionId,
        directory,
        executor: facts.executor,
        capabilities: this.capabilities,
        maxSeqLen: facts.maxSeqLen,
        maxQueueSize,
        maxRunning: facts.maxBatchSize * Math.max(directory.rankFiles.length, 1), // pipeline stages multiply it
        vocabSize: facts.vocabSize,
        tokenizer: () => this.tokenizer,
      },
      sinks,
    );
  }

  /**
   * Loads an engine directory: the weights on a separate thread, the tokenizer on libuv's thread pool.
   * @throws {LLMError} if something is wrong with the directory, the options or the platform: `ERR_ENGINE_*`, `ERR_TOKENIZER_INVALID`,
   *   `ERR_MODEL_UNSUPPORTED`, `ERR_INVALID_OPTION`, `ERR_EXECUTOR_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`,
   *   `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`, `ERR_LOAD_TIMEOUT`, `ERR_EXECUTOR_FAILED` if the process of an isolated one ends. If `options.signal` aborts, its reason; what `onProgress` throws.
   */
  static async load(dir: string | URL, options: LoadOptions = {}): Promise<LLM> {
    const {
      signal,
      loadTimeoutMs,
      onProgress,
      logger,
      executor = 'auto',
      isolation = 'none',
      isolationEnv,
      guidedDecoding,
      chatTemplateLimits,
      ...config
    } = readLoadOptions(options);
    signal?.throwIfAborted();
    const path = pathOf('dir', dir);
    const stopping = new Stopping();
    const ignoreSignal = signal && whenAborted(signal, () => stopping.stop(signal.reason));
    const timer =
      loadTimeoutMs === undefined
        ? undefined
        : setTimeout(() => stopping.stop(loadTimeout(path, loadTimeoutMs, isolation)), loadTimeoutMs);
    try {
      const addon = loadAddon();
      const named = libraryOf(executor);
      const needs: EngineNeeds = {
        weights: typeof executor === 'string' ? WEIGHTS[executor] : undefined,
        files: config.loadFormat === DUMMY ? 'not-needed' : 'needed',
      };
      const opened = await stopping.orStopped(openEngine(path, needs));
      const directory: LoadedDirectory = { ...opened, chatTemplateLimits };
      const namesGpu = config.parallel?.deviceIds !== undefined;
      const choice =
        executor === 'auto'
          ? await stopping.orStopped(
              chooseExecutor(directory.weights, { namesGpu, lacksOnCuda: directory.lacksOnCuda, signal }),
            )
          : undefined;
      const library = choice ? libraryOf(choice.executor) : named;
      if (choice) {
        const { executor: chosen, reason, isDowngrade } = choice;
        logger?.[isDowngrade ? 'warn' : 'info'](`executor: 'auto' takes '${chosen}': ${reason}`);
      }
      const taken = choice?.executor ?? executor;
      const { tokenizerPath } = directory;
      const [tokenizer] = await stopping.orStopped(
        Promise.all([
          tokenizerPath === undefined ? undefined : Tokenizer.load(addon, { ...directory, tokenizerPath }),
          checkGpuMemory(taken, directory, config, { machine: choice?.machine, signal }),
        ]),
      );
      if (tokenizer?.responseFault) {
        const found = `response_template of tokenizer_config.json: ${tokenizer.responseFault.message}`;
        logger?.warn(`${found}. It is ignored; correct it, or pass responseTemplate.`);
      }
      const guided = await stopping.orStopped(
        guidedConfig(guidedDecoding, directory, taken === 'cpu' || taken === 'cuda'),
      );
      stopping.throwIfStopped();
      const pending = addon.load(
        Object.assign(config, {
          library,
          hostProgram: isolation === 'process' ? hostProgram() : undefined,
          hostVariables: isolationEnv,
          engineDir: directory.path,
          tokenizer: tokenizer?.native,
          guidedDecoding: guided,
        }),
        (done) => {
          if (stopping.isStopped) return;
          try {
            onProgress?.(done);
          } catch (thrown) {
            stopping.stop(thrown);
          }
        },
        logger && ((level, message) => logger[LOG_METHODS[level] ?? 'debug'](message)),
      );
      stopping.whenStopped(() => pending.abort());
      const loading = pending.promise.then(
        async (loaded) => {
          const llm = new LLM(directory, choice?.reason, config.maxQueueSize, tokenizer, loaded);
          if (stopping.isStopped) await llm.close();
          stopping.throwIfStopped();
          return llm;
        },
        (thrown: unknown) => {
          stopping.throwIfStopped();
          throw fromNative(thrown);
        },
      );
      return await stopping.orStopped(loading, GIVE_UP_MS, () => pending.leave());
    } finally {
      ignoreSignal?.();
      clearTimeout(timer);
    }
  }

  /**
   * Uses the engine of another LLM in this process from this thread. Each LLM is closed on its own, and the last one frees
   * the engine; when this thread ends, only its own requests end. The tokenizer is read at its first use, unless another LLM of the engine has it.
   * @throws {LLMError} `ERR_CLOSED` if the engine is closed, `ERR_INVALID_INPUT` if `handle` is not a handle of this process.
   */
  static attach(handle: LLMHandle): LLM {
    const { sessionId, directory, executorReason, maxQueueSize } = readHandle(handle);
    const addon = loadAddon();
    let loaded: LoadedSession;
    try {
      loaded = addon.attach(sessionId);
    } catch (error) {
      throw fromNative(error);
    }
    return new LLM(directory as LoadedDirectory, executorReason, maxQueueSize, undefined, loaded);
  }

  /** @throws {LLMError} `ERR_TOKENIZER_MISSING` if the engine directory has none. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer) return this.#tokenizer;
    const { tokenizerPath } = this.#directory;
    if (tokenizerPath === undefined) {
      throw new LLMError(
        'ERR_TOKENIZER_MISSING',
        `${this.info.dir} has no tokenizer.json; expected one, because text is used. ` +
          "Copy the model's tokenizer.json and tokenizer_config.json into it, or use tokens only: generate({ tokens }).",
      );
    }
    this.#tokenizer = Tokenizer.loadNow(loadAddon(), { ...this.#directory, tokenizerPath });
    return this.#tokenizer;
  }

  /**
   * How answers to `messages` are read, unless a request says otherwise: the model's own, else one for the marks that its chat
   * template has. Undefined if neither is there; then reasoning and tool calls stay in the text.
   */
  get responseTemplate(): ResponseTemplate | undefined {
    if (this.#directory.tokenizerPath === undefined) return undefined;
    return this.tokenizer.responseTemplate({ tools: [] })?.template;
  }

  /**
   * Runs one request, or several together, off the event loop; `input` may be changed as soon as the call returns.
   * @returns the text, `usage` in tokens and `timing` in milliseconds; for an array of inputs an array in its order.
   * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_INVALID_OPTION`, `ERR_EMPTY_PROMPT`, `ERR_PROMPT_TOO_LONG` if no new token fits,
   *   `ERR_QUEUE_FULL`, `ERR_QUEUE_TIMEOUT`, `ERR_UNSUPPORTED`, `ERR_LOGITS_LIMIT`, `ERR_CLOSED`, `ERR_EXECUTOR_FAILED`; if one of several fails, the others are aborted.
   */
  generate(input: Input, options?: GenerateOptions): Promise<Result>;
  generate(inputs: readonly Input[], options?: GenerateOptions): Promise<Result[]>;
  generate(input: Input | readonly Input[], options: GenerateOptions = {}): Promise<Result | Result[]> {
    let inputs: readonly Input[] | undefined;
    try {
      inputs = copyList(input);
    } catch (error) {
      return Promise.reject(error);
    }
    if (!inputs) return this.stream(input as Input, options).result;
    const generations = inputs.map((each) => this.stream(each, options));
    return Promise.all(generations.map(({ result }) => result)).catch(async (error: unknown) => {
      await endings.each(generations, (generation) => generation.abort());
      throw error;
    });
  }

  /** Starts one request at once and never throws: if it fails, the iterator and `result` throw the error. */
  stream(input: Input, options: GenerateOptions = {}): Generation {
    return this.#requests.start(input, options);
  }

  /**
   * Rates the last message of a conversation with a reward model, such as Llama-3.1-Nemotron-70B-Reward: higher is better, among
   * answers to the same messages. It is the logit of `token` at the position after the conversation.
   * @returns for an array of conversations an array in its order.
   * @throws {LLMError} what `generate` throws; an abort throws the signal's reason.
   */
  reward(messages: readonly ChatMessage[], options?: RewardOptions): Promise<number>;
  reward(conversations: readonly (readonly ChatMessage[])[], options?: RewardOptions): Promise<number[]>;
  async reward(
    given: readonly ChatMessage[] | readonly (readonly ChatMessage[])[],
    options: RewardOptions = {},
  ): Promise<number | number[]> {
    const conversations = copyList(given);
    if (!conversations?.every(Array.isArray)) return (await this.#rewards([given], options))[0] as number;
    return this.#rewards(conversations, options);
  }

  async #rewards(conversations: readonly unknown[], options: RewardOptions): Promise<number[]> {
    const { token, signal } = readRewardOptions(options, this.info.vocabSize);
    const inputs = conversations.map(conversationInput);
    const results = await this.generate(inputs, { ...FIRST_LOGITS, signal });
    return results.map((result) => rewardOf(result, token));
  }

  /** A snapshot; it does not wait for the executor. */
  stats(): Stats {
    this.#requests.cancelSome();
    try {
      return this.#session.stats();
    } catch (error) {
      throw fromNative(error);
    }
  }

  /**
   * Accepts no more requests, lets running ones continue for `drainMs`, fails the rest with `ERR_CLOSED`, and frees everything.
   * Calling it again returns the same promise.
   * @throws {LLMError} `ERR_INVALID_OPTION`; then nothing is closed.
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      const { drainMs = 0 } = readOptions(options, closeChecks, 'close()');
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
    await this.#requests.close(drainMs);
    await this.#session.close(SHUTDOWN_DEADLINE_MS);
  }
}

const loadTimeout = (dir: string, timeoutMs: number, isolation: 'none' | 'process'): LLMError =>
  new LLMError(
    'ERR_LOAD_TIMEOUT',
    `${dir} was not loaded within ${timeoutMs} ms (loadTimeoutMs). Raise loadTimeoutMs. With several GPUs, NCCL_DEBUG=INFO shows what it is waiting for, and NCCL_P2P_DISABLE=1 helps if the GPUs cannot reach each other.` +
      (isolation === 'none' ? " Work that hangs stays in this process; isolation: 'process' ends it." : ''),
  );

/** By the numbers of ExecutorLogLevel in native/executor/config.h. */
const LOG_METHODS = ['error', 'warn', 'info', 'debug'] as const;

/** A list of inputs, or undefined for what is none. */
function copyList(input: unknown): Input[] | undefined {
  try {
    if (!Array.isArray(input)) return undefined;
    const copy: Input[] = [];
    for (let i = 0; i < input.length; i++) {
      if (!Object.hasOwn(input, i))
        throw new LLMError('ERR_INVALID_INPUT', `inputs[${i}] is missing; expected an input.`);
      copy.push(input[i]);
    }
    return copy;
  } catch (cause) {
    if (LLMError.is(cause)) throw cause;
    throw new LLMError('ERR_INVALID_INPUT', `The input cannot be read: ${messageOf(cause)}.`, { cause });
  }
}
