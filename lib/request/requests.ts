import { setImmediate } from 'node:timers';
import type { RequestSink } from '../addon/events.js';
import { fromNative } from '../addon/executor-error.js';
import type { NativeReasoning, NativeSession } from '../addon/protocol.js';
import { whenAborted } from '../base/abort.js';
import { type ErrorDetails, LLMError, type QueueState } from '../base/errors.js';
import type { GenerationDefaults } from '../base/generation-defaults.js';
import { endings } from '../base/turns.js';
import type { Result } from '../base/types.js';
import { type Capabilities, requireCapabilities } from '../options/capabilities.js';
import { type RequestOptions, readGenerateOptions } from '../options/generate.js';
import { type NativeTokenLists, packLists } from '../options/token-lists.js';
import { reasoningMarks } from '../text/response/reasoning-marks.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { type RequestParameters, type RequestStartEvent, requestStarted } from './diagnostics.js';
import { type Ending, refusal } from './ending.js';
import { type Generation, RequestGeneration, stopWatching } from './generation.js';
import { type Prompt, type ReadInput, type Response, readPrompt } from './input.js';
import { logitsLimit, RunningRequest } from './running-request.js';
import { SubmissionQueue } from './submission-queue.js';

/** What requests need of the engine directory. */
interface EngineFacts {
  readonly path: string;
  readonly tokenizerPath: string | undefined;
  readonly endIds: readonly number[];
  readonly generation: GenerationDefaults;
}

/** What the requests of one LLM run on. */
export interface RequestContext {
  readonly session: NativeSession;
  /** What the LLM's handle calls it. */
  readonly sessionId: number;
  readonly directory: EngineFacts;
  readonly executor: string;
  readonly capabilities: Capabilities;
  readonly guidedAfterReasoning: boolean;
  readonly maxSeqLen: number;
  /** Undefined: any number may wait. */
  readonly maxQueueSize: number | undefined;
  /** Sequences that run at once, at most. */
  readonly maxRunning: number;
  /** Columns of logits. */
  readonly vocabSize: number;
  /** @throws {LLMError} `ERR_TOKENIZER_MISSING`. */
  readonly tokenizer: () => Tokenizer;
}

/** The requests of one LLM, from the call to the end. */
export class Requests {
  readonly #context: RequestContext;
  /** Those the executor has, by id: events go to them. */
  readonly #sinks: Map<number, RequestSink>;
  readonly #submissions = new SubmissionQueue<Prompt>();
  readonly #running = new Set<RunningRequest>();
  /** Ids that the executor does not know of yet to have ended for their readers. */
  readonly #cancelled: number[] = [];
  readonly #onIdle: (() => void)[] = [];
  #ending: Ending | undefined;

  constructor(context: RequestContext, sinks: Map<number, RequestSink>) {
    this.#context = context;
    this.#sinks = sinks;
  }

  /**
   * Never throws: what is wrong with the request is its outcome.
   * @param pooling an ExecutorPooling: the request is for an embedding, which its result has.
   */
  start(input: unknown, options: unknown, pooling?: number): Generation {
    const draft = this.#draft(input, options, pooling);
    let ignoreSignal: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    let queueTimer: NodeJS.Timeout | undefined;
    let leaveQueue: (() => void) | undefined;
    const answer = 'options' in draft ? draft.options : NO_ANSWER;
    const request = new RunningRequest(
      draft.id,
      answer,
      (token) => this.#tokenText(token),
      {
        onStart: () => clearTimeout(queueTimer),
        onEnd: () => {
          ignoreSignal?.();
          clearTimeout(timer);
          clearTimeout(queueTimer);
          leaveQueue?.();
          stopWatching(request);
          this.#forget(request);
        },
      },
      'options' in draft ? draft.response : undefined,
    );
    const generation = new RequestGeneration(request);
    this.#running.add(request);
    const { sessionId, executor, directory } = this.#context;
    requestStarted(() => ({
      requestId: draft.id,
      sessionId,
      dir: directory.path,
      executor,
      input: 'options' in draft ? draft.input : undefined,
      options: 'options' in draft ? observed(draft.options) : undefined,
    }));
    if (request.outcome) return generation; // a subscriber closed the LLM
    if ('error' in draft) {
      request.fail(() => draft.error);
      return generation;
    }
    const { signal, timeoutMs, queueTimeoutMs } = draft.options;
    if (signal?.aborted) {
      request.abort(signal.reason);
      return generation;
    }
    if (signal) ignoreSignal = whenAborted(signal, () => request.abort(signal.reason));
    if (timeoutMs !== undefined) timer = setTimeout(endLater, timeoutMs, () => request.timeOut());
    if (queueTimeoutMs !== undefined) {
      const fail = (): void => request.fail(() => queueTimeout(request.id, queueTimeoutMs));
      queueTimer = setTimeout(endLater, queueTimeoutMs, fail);
    }
    leaveQueue = this.#submissions.add(draft.prompt, {
      submit: (prompt) => this.#submit(request, prompt, draft),
      fail: (error) => request.fail((partial) => sameError(error, request.id, partial)),
    });
    return generation;
  }

  /**
   * Refuses further requests, lets running ones go on for `drainMs`, without it to their ends, and ends the rest, as `ending`
   * says. It may be called again, also with another ending.
   */
  async close(ending: Ending, drainMs: number | undefined): Promise<void> {
    this.#ending = ending;
    if (this.#running.size > 0 && drainMs !== 0) {
      await new Promise<void>((resolve) => {
        const timer = drainMs === undefined ? undefined : setTimeout(resolve, drainMs).unref();
        this.#onIdle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    await endings.each(this.#running, (request) =>
      request.fail((partial) => new LLMError(ending.code, ending.cut, { requestId: request.id, partial })),
    );
  }

  #draft(input: unknown, options: unknown, pooling: number | undefined): Draft {
    const { session, directory, capabilities, executor, maxSeqLen, tokenizer } = this.#context;
    const id = session.nextId();
    if (this.#ending) return { id, error: refusal(this.#ending, { requestId: id }) };
    const { maxQueueSize = Number.POSITIVE_INFINITY, maxRunning } = this.#context;
    const waiting = this.#running.size - maxRunning;
    if (waiting >= maxQueueSize) return { id, error: queueFull(id, { waiting, limit: maxQueueSize }) };
    try {
      const given = readGenerateOptions(options, directory.generation);
      const checked = pooling === undefined ? given : { ...given, extras: { ...given.extras, pooling } };
      requireCapabilities(checked, capabilities, executor);
      if (checked.stop.length > 0) tokenizer(); // stop strings are looked for in text
      const read = readPrompt(input, checked, { tokenizer, maxTokens: maxSeqLen });
      return { id, options: checked, input: kindOf(input), ...read };
    } catch (error) {
      return { id, error: fromUser(error, id) };
    }
  }

  #submit(request: RunningRequest, { tokens, badTokens }: Prompt, { options, response }: ReadRequest): void {
    if (request.outcome) return;
    const { capabilities, vocabSize } = this.#context;
    const { maxLogitsBytes } = options;
    const extras = options.extras.guided
      ? { ...options.extras, reasoning: this.#reasoningOf(response) }
      : options.extras;
    // Those of the prompt are known from the start; those of the output come as it grows.
    const contextLogitsBytes = options.returnContextLogits
      ? tokens.length * vocabSize * Float32Array.BYTES_PER_ELEMENT
      : 0;
    if (contextLogitsBytes > maxLogitsBytes) {
      request.fail((partial) => logitsLimit(contextLogitsBytes, maxLogitsBytes, { requestId: request.id, partial }));
      return;
    }
    this.cancelSome();
    request.submitted(tokens);
    this.#sinks.set(request.id, request);
    if (this.#sinks.size === 1) this.#context.session.ref();
    try {
      const given = <Value>(value: Value, neutral: Value): Value | undefined => (value === neutral ? undefined : value);
      this.#context.session.submit(request.id, tokens, {
        maxTokens: Math.max(1, options.maxTokens ?? this.#context.maxSeqLen - tokens.length),
        minTokens: given(options.minTokens, 0),
        endIds: Int32Array.from(options.ignoreEos ? [] : this.#context.directory.endIds),
        stop: options.stop,
        stopTokens: tokenLists(options.stopTokens),
        badTokens: tokenLists(badTokens),
        skipSpecialTokens: options.skipSpecialTokens,
        shownTokens: response?.shownTokens,
        temperature: options.temperature,
        topK: options.topK,
        topP: options.topP,
        minP: options.minP,
        seed: options.seed,
        repetitionPenalty: given(options.repetitionPenalty, 1),
        presencePenalty: given(options.presencePenalty, 0),
        frequencyPenalty: given(options.frequencyPenalty, 0),
        noRepeatNgramSize: given(options.noRepeatNgramSize, 0),
        logitBias: options.logitBias,
        n: extras.beamWidth === undefined ? given(options.n, 1) : options.n,
        bestOf: given(options.bestOf, options.n),
        logprobs: options.logprobs || options.bestOf > options.n,
        topLogprobs: options.topLogprobs,
        promptLogprobs: options.promptLogprobs,
        topPromptLogprobs: options.topPromptLogprobs,
        returnContextLogits: options.returnContextLogits,
        returnGenerationLogits: options.returnGenerationLogits,
        timeoutMs: capabilities.timeout ? options.timeoutMs : undefined,
        extras: Object.values(extras).some((value) => value !== undefined) ? extras : undefined,
      });
    } catch (error) {
      request.fail((partial) => this.#refused(error, { requestId: request.id, partial }));
    }
  }

  /** Of a request that the executor did not take. */
  #refused(thrown: unknown, details: ErrorDetails): LLMError {
    const error = fromNative(thrown, details);
    if (error.code !== 'ERR_QUEUE_FULL') return error;
    const { session, maxQueueSize: limit = 0 } = this.#context;
    return fromNative(thrown, { ...details, queue: { waiting: session.stats().queuedRequests, limit } });
  }

  /** What of the answer `guided` leaves free. */
  #reasoningOf(response: Response | undefined): NativeReasoning | undefined {
    const marks = response && this.#context.guidedAfterReasoning ? reasoningMarks(response) : undefined;
    if (!marks) return undefined;
    const tokens = marks.begins.map((text) => this.#context.tokenizer().tokenOf(text));
    const begins = Int32Array.from(tokens.filter((token) => token !== undefined));
    return marks.begins.length > 0 && begins.length === 0 ? undefined : { begins, ends: marks.ends };
  }

  /**
   * Tells the executor which requests have ended for their readers: many at a time, because its steps wait meanwhile. Called
   * before what they could be in the way of. Returns whether there are more.
   */
  cancelSome(): boolean {
    if (this.#cancelled.length === 0) return false;
    this.#context.session.cancel(Float64Array.from(this.#cancelled.splice(-CANCELS_A_CALL)));
    return this.#cancelled.length > 0;
  }

  #tokenText(token: number): string {
    const { directory, tokenizer } = this.#context;
    return directory.tokenizerPath === undefined ? '' : tokenizer().tokenText(token);
  }

  /** The request has ended for its reader, whether the executor knows already or not. */
  #forget(request: RunningRequest): void {
    this.#running.delete(request);
    if (this.#sinks.delete(request.id)) {
      if (this.#cancelled.push(request.id) === 1) setImmediate(() => endings.do(() => this.cancelSome()));
      if (this.#sinks.size === 0) this.#context.session.unref();
    }
    if (this.#running.size === 0) for (const onIdle of this.#onIdle.splice(0)) onIdle();
  }
}

interface ReadRequest extends ReadInput {
  readonly id: number;
  readonly options: RequestOptions;
}

/** A request before it has its tokens. */
type Draft =
  | (ReadRequest & { readonly input: RequestStartEvent['input'] })
  | { readonly id: number; readonly error: LLMError };

const CANCELS_A_CALL = 512;

/** Of an input that was read as a prompt. */
function kindOf(input: unknown): RequestStartEvent['input'] {
  if (typeof input === 'string') return 'text';
  return Object.hasOwn(input as object, 'tokens') ? 'tokens' : 'messages';
}

function observed(options: RequestOptions): RequestParameters {
  const { maxTokens, n, temperature, topK, topP, seed, presencePenalty, frequencyPenalty, stop } = options;
  return { maxTokens, n, temperature, topK, topP, seed, presencePenalty, frequencyPenalty, stop: [...stop] };
}

const endLater = (end: () => void): void => endings.once(end);

/** Of a request that never was one. */
const NO_ANSWER = { n: 1, bestOf: 1, logprobs: false, stop: [], stopTokens: [], maxLogitsBytes: 0 };

const fromUser = (error: unknown, requestId: number): LLMError =>
  LLMError.is(error) ? sameError(error, requestId) : fromNative(error, { requestId });

const sameError = (cause: LLMError, requestId: number, partial?: Result): LLMError =>
  new LLMError(cause.code, cause.message, { option: cause.option, requestId, partial, queue: cause.queue, cause });

/** The executor would say so too, but not before the prompt is encoded. */
const queueFull = (requestId: number, queue: QueueState): LLMError =>
  new LLMError(
    'ERR_QUEUE_FULL',
    `${queue.waiting + 1} requests would wait; expected at most maxQueueSize, ${queue.limit}. Try again later, or raise maxQueueSize.`,
    { option: 'maxQueueSize', requestId, queue },
  );

const queueTimeout = (requestId: number, queueTimeoutMs: number): LLMError =>
  new LLMError(
    'ERR_QUEUE_TIMEOUT',
    `The request did not start within ${queueTimeoutMs} ms (queueTimeoutMs). Try again later, or raise queueTimeoutMs.`,
    { requestId },
  );

const tokenLists = (runs: readonly ArrayLike<number>[]): NativeTokenLists | undefined =>
  runs.length === 0 ? undefined : packLists(runs);
