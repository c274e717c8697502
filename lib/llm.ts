import { bind, loadAddon } from './addon/addon.js';
import { makeEventDecoder, type RequestSink } from './addon/events.js';
import { fromNative } from './addon/executor-error.js';
import { type LLMHandle, makeHandle, readHandle } from './addon/handle.js';
import { decodeKvEvents, type KvCacheEvent } from './addon/kv-events.js';
import type { LoadedSession, NativeInfo, NativeSession, Stats } from './addon/protocol.js';
import { Changes } from './base/changes.js';
import { type Checks, integer, MAX_COUNT, readOptions } from './base/checks.js';
import { LLMError, messageOf } from './base/errors.js';
import { pathOf } from './base/paths.js';
import type { ResponseTemplate } from './base/response-template.js';
import { Stopping } from './base/stopping.js';
import { endings } from './base/turns.js';
import type { ChatMessage, Input, Result } from './base/types.js';
import { readPeftAdapter } from './engine/formats/peft-adapter.js';
import { type LoadedDirectory, type LoadedEngine, loadEngine, SHUTDOWN_DEADLINE_MS } from './load-engine.js';
import { type Capabilities, capabilitiesOf, requireKvEvents } from './options/capabilities.js';
import type { GenerateOptions } from './options/generate.js';
import type { LoadOptions } from './options/load.js';
import type { Lora } from './options/lora.js';
import {
  type Embeddings,
  type EmbedOptions,
  embeddingsOf,
  readEmbedOptions,
  requireEmbeddings,
} from './request/embed.js';
import { ASLEEP, CLOSED, refusal } from './request/ending.js';
import type { Generation } from './request/generation.js';
import { checkHealth, type HealthOptions, readHealthOptions } from './request/health.js';
import { followKvEvents, type KvCacheEventsOptions, readKvCacheEventsOptions } from './request/kv-cache-events.js';
import { Requests } from './request/requests.js';
import { conversationInput, FIRST_LOGITS, type RewardOptions, readRewardOptions, rewardOf } from './request/reward.js';
import {
  encodeForScores,
  readScoreOptions,
  type ScoredTokens,
  type ScoreInput,
  type ScoreOptions,
  type Scores,
  scoreRequest,
  scoresOf,
  sharedTokens,
} from './request/score.js';
import { Tokenizer } from './text/tokenizer.js';

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

/** How to put an LLM to sleep. */
export interface SleepOptions {
  /** How long running requests may take to finish, in ms; then they fail with `ERR_ASLEEP`. Default: as long as they take. */
  drainMs?: number | undefined;
}

const drainChecks: Checks<CloseOptions & SleepOptions> = { drainMs: integer(0, MAX_COUNT) };

/** The executor of an engine, from a load or a wake on. */
interface Loaded {
  readonly session: NativeSession;
  readonly requests: Requests;
  readonly info: EngineInfo;
  readonly capabilities: Capabilities;
}

/** A loaded engine. Requests run together, so start as many as you like. */
export class LLM implements AsyncDisposable {
  /** Send it to a worker thread with `postMessage`, and `LLM.attach` it there. */
  readonly handle: LLMHandle;
  readonly #engine: Omit<LoadedEngine, 'loaded' | 'reload'>;
  /** Undefined of an LLM that was attached. */
  readonly #reload: LoadedEngine['reload'] | undefined;
  #tokenizer: Tokenizer | undefined;
  #loaded: Loaded;
  readonly #changes = new Changes<'awake' | 'asleep'>('awake');
  #isAsleep = false;
  #waking: Stopping | undefined;
  #closed: Promise<void> | undefined;
  #leftKvEvents: KvCacheEvent[] = []; // taken from the executor, and not read

  private constructor({ loaded, reload, ...engine }: Omit<LoadedEngine, 'reload'> & Partial<LoadedEngine>) {
    const { directory, executorReason, maxQueueSize, tokenizer } = engine;
    this.#engine = engine;
    this.#reload = reload;
    this.#tokenizer = tokenizer;
    const sinks = new Map<number, RequestSink>();
    const session = bind(loadAddon(), loaded, makeEventDecoder(sinks));
    this.handle = makeHandle(session.shareId(), directory, { executorReason, maxQueueSize });
    this.#loaded = this.#use(session, sinks);
  }

  /**
   * Loads an engine directory: the weights on a separate thread, the tokenizer on libuv's thread pool.
   * @throws {LLMError} if something is wrong with the directory, the options or the platform: `ERR_ENGINE_*`, `ERR_TOKENIZER_INVALID`,
   *   `ERR_MODEL_UNSUPPORTED`, `ERR_INVALID_OPTION`, `ERR_EXECUTOR_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`,
   *   `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`, `ERR_LOAD_TIMEOUT`, `ERR_EXECUTOR_FAILED` if the process of an isolated one ends. If `options.signal` aborts, its reason; what `onProgress` throws.
   */
  static async load(dir: string | URL, options: LoadOptions = {}): Promise<LLM> {
    return new LLM(await loadEngine(dir, options));
  }

  /**
   * Uses the engine of another LLM in this process from this thread. Each LLM is closed on its own, and the last one frees
   * the engine; when this thread ends, only its own requests end. The tokenizer is read at its first use, unless another LLM of the engine has it.
   * @throws {LLMError} `ERR_CLOSED` if the engine is closed or asleep, `ERR_INVALID_INPUT` if `handle` is not a handle of this process.
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
    return new LLM({
      directory: directory as LoadedDirectory,
      executorReason,
      maxQueueSize,
      tokenizer: undefined,
      loaded,
    });
  }

  get info(): EngineInfo {
    return this.#loaded.info;
  }

  /** What the executor supports; anything else fails with `ERR_UNSUPPORTED`. */
  get capabilities(): Capabilities {
    return this.#loaded.capabilities;
  }

  /** @throws {LLMError} `ERR_TOKENIZER_MISSING` if the engine directory has none. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer) return this.#tokenizer;
    const { tokenizerPath } = this.#engine.directory;
    if (tokenizerPath === undefined) {
      throw new LLMError(
        'ERR_TOKENIZER_MISSING',
        `${this.info.dir} has no tokenizer.json; expected one, because text is used. ` +
          "Copy the model's tokenizer.json and tokenizer_config.json into it, or use tokens only: generate({ tokens }).",
      );
    }
    this.#tokenizer = Tokenizer.loadNow(loadAddon(), { ...this.#engine.directory, tokenizerPath });
    return this.#tokenizer;
  }

  /**
   * How answers to `messages` are read, unless a request says otherwise: the model's own, else one for the marks that its chat
   * template has. Undefined if neither is there; then reasoning and tool calls stay in the text.
   */
  get responseTemplate(): ResponseTemplate | undefined {
    if (this.#engine.directory.tokenizerPath === undefined) return undefined;
    return this.tokenizer.responseTemplate({ tools: [] })?.template;
  }

  /**
   * Runs one request, or several together, off the event loop; `input` may be changed as soon as the call returns.
   * @returns the text, `usage` in tokens and `timing` in milliseconds; for an array of inputs an array in its order.
   * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_INVALID_OPTION`, `ERR_EMPTY_PROMPT`, `ERR_PROMPT_TOO_LONG` if no new token fits,
   *   `ERR_QUEUE_FULL`, `ERR_QUEUE_TIMEOUT`, `ERR_UNSUPPORTED`, `ERR_LOGITS_LIMIT`, `ERR_CLOSED`, `ERR_ASLEEP`, `ERR_EXECUTOR_FAILED`; if one of several fails, the others are aborted.
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
    return resultsOf(inputs.map((each) => this.stream(each, options)));
  }

  /** Starts one request at once and never throws: if it fails, the iterator and `result` throw the error. */
  stream(input: Input, options: GenerateOptions = {}): Generation {
    return this.#loaded.requests.start(input, options);
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

  /**
   * The hidden states of each input, pooled into one vector, for search and clustering. Inputs are computed together, and
   * `maxQueueSize` counts each as a request.
   * @throws {LLMError} `ERR_UNSUPPORTED` if `capabilities.embeddings` is false, and what `generate` throws; an abort throws the
   *   signal's reason.
   */
  async embed(input: Input | readonly Input[], options: EmbedOptions = {}): Promise<Embeddings> {
    const { pooling, normalize, request } = readEmbedOptions(options);
    requireEmbeddings(this.capabilities, this.info.executor);
    const inputs = copyList(input) ?? [input as Input];
    const results = await resultsOf(inputs.map((each) => this.#loaded.requests.start(each, request, pooling)));
    return embeddingsOf(results, normalize);
  }

  /**
   * How likely each continuation is after the prompt. The prompt is computed once where the executor has a prefix cache;
   * `maxQueueSize` counts each continuation as a request.
   * @throws {LLMError} what `generate` throws with `promptLogprobs`; an abort throws the signal's reason.
   */
  async score(prompt: ScoreInput, continuations: readonly ScoreInput[], options: ScoreOptions = {}): Promise<Scores> {
    const read = readScoreOptions(options);
    const { maxSeqLen: maxTokens, tokensPerBlock } = this.info;
    const context = { tokenizer: () => this.tokenizer, maxTokens };
    const asked = await encodeForScores(prompt, continuations, read, context);
    const run = (some: readonly ScoredTokens[]): Promise<Result[]> =>
      resultsOf(some.map((each) => this.stream({ tokens: each.tokens }, scoreRequest(each, read))));
    // What the first has computed, the others find; together they would all compute it.
    const shares = this.capabilities.blockReuse && asked.length > 1 && sharedTokens(asked) > tokensPerBlock;
    const alone = shares ? 1 : 0;
    const results = [...(await run(asked.slice(0, alone))), ...(await run(asked.slice(alone)))];
    return scoresOf(asked, results);
  }

  /**
   * Has the executor compute a token, ahead of requests that wait, or sees one step if its queue is full: `stats()` alone does not
   * tell that a GPU hangs.
   * @throws {LLMError} `ERR_UNRESPONSIVE` after `timeoutMs`, and what `generate` throws.
   */
  async health(options: HealthOptions = {}): Promise<void> {
    const priority = this.capabilities.priority ? 1 : undefined;
    const computeToken = (timeoutMs: number): Promise<Result> =>
      this.generate({ tokens: [0] }, { maxTokens: 1, temperature: 0, n: 1, ignoreEos: true, priority, timeoutMs });
    await checkHealth({ computeToken, steps: () => this.stats().steps }, readHealthOptions(options));
  }

  /**
   * Reads a LoRA adapter as Hugging Face's PEFT saves it (adapter_config.json and adapter_model.safetensors), for this engine.
   * @returns what `lora` takes. Its `id` is made from what is in the adapter; after a request has brought it, `{ id }` is enough.
   * @throws {LLMError} `ERR_SOURCE_NOT_FOUND`; `ERR_SOURCE_INVALID` if a file is damaged, or the adapter is not of the engine's model;
   *   `ERR_MODEL_UNSUPPORTED` for what is not plain LoRA of one rank over attention and feed-forward parts.
   */
  async readAdapter(dir: string | URL): Promise<Required<Lora>> {
    return readPeftAdapter(pathOf('dir', dir), this.info.dir);
  }

  /**
   * A snapshot; it does not wait for the executor.
   * @throws {LLMError} `ERR_ASLEEP`, `ERR_CLOSED`, `ERR_EXECUTOR_FAILED`.
   */
  stats(): Stats {
    this.#loaded.requests.cancelSome();
    return this.#ask((session) => session.stats());
  }

  /**
   * What happens to the KV blocks that are kept for later prompts, in order: for a router that sends each prompt to an engine that
   * has computed its start. It begins with the oldest event that was not taken, goes on after `wake()`, and ends when this LLM is
   * closed; a reader that waits looks every 50 ms and keeps the process running. Each event is given once, whoever takes it: have one
   * reader for an engine.
   * @throws {LLMError} `ERR_UNSUPPORTED` unless the engine was loaded with `kvCache.eventBufferSize`; `ERR_INVALID_OPTION`. The
   *   iterator throws the reason of `options.signal`, and `ERR_EXECUTOR_FAILED`.
   */
  kvCacheEvents(options: KvCacheEventsOptions = {}): AsyncIterable<KvCacheEvent> {
    const signal = readKvCacheEventsOptions(options);
    requireKvEvents('kvCacheEvents()', this.capabilities, this.info.executor);
    const take = (): KvCacheEvent[] | undefined => {
      if (this.#closed) return undefined;
      if (this.#leftKvEvents.length > 0) return this.#leftKvEvents.splice(0);
      return this.isAsleep ? [] : this.takeKvCacheEvents();
    };
    const leave = (events: KvCacheEvent[]): void => {
      this.#leftKvEvents = [...events, ...this.#leftKvEvents];
    };
    return followKvEvents(take, leave, signal);
  }

  /**
   * The events of the KV cache so far that were not taken; it does not wait for any. On executors other than TensorRT-LLM
   * they include all that a request that has ended brought about.
   * @throws {LLMError} `ERR_UNSUPPORTED` unless the engine was loaded with `kvCache.eventBufferSize`; `ERR_ASLEEP`, `ERR_CLOSED`,
   *   `ERR_EXECUTOR_FAILED`.
   */
  takeKvCacheEvents(): KvCacheEvent[] {
    requireKvEvents('takeKvCacheEvents()', this.capabilities, this.info.executor);
    const events = decodeKvEvents(this.#ask((session) => session.kvEvents()));
    return [...this.#leftKvEvents.splice(0), ...events];
  }

  #ask<Answer>(ask: (session: NativeSession) => Answer): Answer {
    try {
      return ask(this.#loaded.session);
    } catch (error) {
      throw this.isAsleep ? refusal(ASLEEP) : fromNative(error);
    }
  }

  /** Whether requests fail with `ERR_ASLEEP`: from the call of `sleep()` until `wake()` has loaded the executor again. */
  get isAsleep(): boolean {
    return this.#isAsleep && !this.#closed;
  }

  /**
   * Accepts no more requests, lets running ones finish, and gives back the memory of the executor: its weights and its KV cache.
   * The tokenizer and the chat template stay.
   * @throws {LLMError} `ERR_INVALID_OPTION`; `ERR_UNSUPPORTED` if the LLM was attached; `ERR_CLOSED`.
   */
  async sleep(options: SleepOptions = {}): Promise<void> {
    const { drainMs } = readOptions(options, drainChecks, 'sleep()');
    this.#checkReload();
    return this.#changes.to('asleep', () => this.#fallAsleep(drainMs));
  }

  /**
   * Loads the executor again, from the same directory and with the same options. If that fails, the LLM is still asleep.
   * @throws {LLMError} what `LLM.load` throws; `ERR_UNSUPPORTED` if the LLM was attached; `ERR_CLOSED`.
   */
  async wake(): Promise<void> {
    const reload = this.#checkReload();
    return this.#changes.to('awake', () => this.#wakeUp(reload));
  }

  /**
   * Accepts no more requests, lets running ones continue for `drainMs`, fails the rest with `ERR_CLOSED`, and frees everything.
   * Calling it again returns the same promise.
   * @throws {LLMError} `ERR_INVALID_OPTION`; then nothing is closed.
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      const { drainMs = 0 } = readOptions(options, drainChecks, 'close()');
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
    this.#waking?.stop(refusal(CLOSED));
    await this.#loaded.requests.close(CLOSED, drainMs);
    await this.#changes.settled().catch(() => {}); // whoever asked for it is told
    await this.#loaded.requests.close(CLOSED, 0); // of a wake that came to its end
    await this.#loaded.session.close(SHUTDOWN_DEADLINE_MS);
  }

  async #fallAsleep(drainMs: number | undefined): Promise<void> {
    const { requests, session } = this.#loaded;
    this.#isAsleep = true;
    await requests.close(this.#closed ? CLOSED : ASLEEP, drainMs);
    await session.close(SHUTDOWN_DEADLINE_MS);
  }

  async #wakeUp(reload: LoadedEngine['reload']): Promise<void> {
    if (this.#closed) throw refusal(CLOSED);
    this.#waking = new Stopping();
    const loaded = await reload(this.handle.sessionId, this.#waking);
    const sinks = new Map<number, RequestSink>();
    this.#loaded = this.#use(bind(loadAddon(), loaded, makeEventDecoder(sinks)), sinks);
    this.#isAsleep = false;
  }

  #checkReload(): LoadedEngine['reload'] {
    if (this.#closed) throw refusal(CLOSED);
    if (this.#reload) return this.#reload;
    throw new LLMError(
      'ERR_UNSUPPORTED',
      'This LLM was attached to an engine; expected the one that loaded it. Call sleep() and wake() of that one, or close() of this one.',
    );
  }

  #use(session: NativeSession, sinks: Map<number, RequestSink>): Loaded {
    const { directory, executorReason, maxQueueSize } = this.#engine;
    const { capabilities: bits, ...facts } = session.info();
    const capabilities = capabilitiesOf(bits);
    const requests = new Requests(
      {
        session,
        sessionId: this.handle.sessionId,
        directory,
        executor: facts.executor,
        capabilities,
        guidedAfterReasoning: facts.guidedAfterReasoning,
        maxSeqLen: facts.maxSeqLen,
        maxQueueSize,
        maxRunning: facts.maxBatchSize * Math.max(directory.rankFiles.length, 1), // pipeline stages multiply it
        vocabSize: facts.vocabSize,
        tokenizer: () => this.tokenizer,
      },
      sinks,
    );
    const { path, architecture, endIds } = directory;
    return { session, requests, capabilities, info: { dir: path, architecture, endIds, executorReason, ...facts } };
  }
}

/** The results of requests that belong together: if one fails, the others are aborted. */
async function resultsOf(generations: readonly Generation[]): Promise<Result[]> {
  try {
    return await Promise.all(generations.map(({ result }) => result));
  } catch (error) {
    await endings.each(generations, (generation) => generation.abort());
    throw error;
  }
}

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
