import type { RawLogprob, RequestSink, TextPart } from '../addon/events.js';
import { fromExecutor } from '../addon/executor-error.js';
import { type ErrorDetails, LLMError } from '../base/errors.js';
import type {
  Chunk,
  FinishReason,
  Logits,
  NamedTensor,
  RequestMetrics,
  Result,
  Timing,
  TokenLogprob,
  Usage,
} from '../base/types.js';
import type { ResponseSettings } from '../text/response/response-parser.js';
import { captureContext, requestEnded, requestHasToken } from './diagnostics.js';
import type { EmbeddingResult } from './embed.js';
import { Journal, type JournalOwner } from './journal.js';
import type { Outcome } from './outcome.js';
import { OutputBuffer } from './output-buffer.js';

/** Of all requests of this thread. */
const journal = new Journal();

export type Step = IteratorResult<Chunk, undefined>;

/** What of a request's options its answer depends on. */
export interface AnswerOptions {
  readonly n: number;
  readonly bestOf: number;
  readonly logprobs: boolean;
  readonly stop: readonly string[];
  readonly stopTokens: readonly (readonly number[])[];
  readonly maxLogitsBytes: number;
  /** Executors draw at least one token; with 0 it is left out here. */
  readonly maxTokens?: number | undefined;
}

/** The logits of a request take more than `maxLogitsBytes`. */
export const logitsLimit = (bytes: number, maxLogitsBytes: number, details: ErrorDetails): LLMError =>
  new LLMError(
    'ERR_LOGITS_LIMIT',
    `The logits of returnContextLogits and returnGenerationLogits take ${bytes} bytes; expected at most maxLogitsBytes, ` +
      `${maxLogitsBytes}. Ask for fewer tokens or for topLogprobs, or raise maxLogitsBytes.`,
    details,
  );

/**
 * What has come for one request, whether anyone reads it or not. Generation is its face to the user; the two are apart
 * so that a Generation nobody holds can be told from one that is still read.
 */
export class RunningRequest implements RequestSink, JournalOwner {
  // First what a step reads, so that it lies together.
  /** Settles the promise that the reader waits for; runs no user code. Set while it waits only, as `reader` is. */
  resolve: ((step: Step | Promise<Step>) => void) | undefined;
  /** Woken when there is something new to read, the end included. Held while it waits only; must run no user code. */
  reader: { wake(): void } | undefined;
  outcome: Outcome | undefined;
  /** The first token came, and tokens may go to the reader as they come. */
  #isStreaming = false;
  /** There may be something to take. */
  #hasUnread = false;
  journalNumber = -1;
  readonly id: number;
  /** Called at the end, where someone waits for the result. Must run no user code. */
  onOutcome: (() => void) | undefined;
  readonly #options: AnswerOptions;
  /** Outputs are made that the result leaves out. */
  readonly #isChoosing: boolean;
  /** The text is the answer, as it comes. */
  readonly #hasPlainText: boolean;
  readonly #outputs: readonly OutputBuffer[];
  readonly #tokenText: (token: number) => string;
  /** Called once, at the end: takes the request out of all that knows it. */
  readonly #onEnd: () => void;
  /** Called once, when the executor has begun with it. */
  readonly #onStart: () => void;
  readonly #context = captureContext();
  #silent = false;
  #submittedAt = 0;
  #firstTokenAt = 0;
  #endedAt = 0;
  #queueMs = 0;
  #promptTokens: Int32Array = new Int32Array(0);
  #cachedTokens = 0;
  #promptLogprobs: (TokenLogprob | null)[] | undefined;
  #contextLogits: Logits | undefined;
  #embedding: Float32Array | undefined;
  #metrics: RequestMetrics | undefined;
  #logitsBytes = 0;

  constructor(
    id: number,
    options: AnswerOptions,
    tokenText: (token: number) => string,
    { onStart, onEnd }: { onStart: () => void; onEnd: () => void },
    response?: ResponseSettings,
  ) {
    this.id = id;
    this.#options = options;
    this.#isChoosing = options.bestOf > options.n;
    this.#tokenText = tokenText;
    const nameLogprob = options.logprobs ? this.#nameLogprob : undefined;
    this.#hasPlainText = response === undefined;
    this.#outputs = Array.from({ length: options.bestOf }, (_, i) => new OutputBuffer(i, nameLogprob, response));
    this.#onStart = onStart;
    this.#onEnd = onEnd;
  }

  /** The executor gets the request now. */
  submitted(promptTokens: Int32Array): void {
    this.#promptTokens = promptTokens;
    this.#submittedAt = performance.now();
  }

  /** What has not been read yet; undefined if there is nothing. */
  take(): Chunk | undefined {
    if (!this.#hasUnread || this.#silent || (this.#isChoosing && !this.outcome)) return undefined;
    for (let i = 0; i < this.#outputs.length; i++) {
      const output = this.#outputs[i] as OutputBuffer;
      const chunk = this.#isChoosing && output.index >= this.#options.n ? undefined : output.take();
      if (chunk) return chunk;
    }
    this.#hasUnread = false;
    return undefined;
  }

  /** For people. */
  summary(): object {
    this.#recall();
    const { id, outcome } = this;
    const state = !outcome ? 'running' : 'error' in outcome ? 'failed' : outcome.result.finishReason;
    const outputs = this.#outputs.map((output) => output.summary());
    return { id, state, ...(outcome && 'error' in outcome ? { error: outcome.error } : {}), outputs };
  }

  onStart(_promptTokens: number, cachedTokens: number, queueMs: number): void {
    this.#cachedTokens = cachedTokens;
    this.#queueMs = queueMs;
    this.#onStart();
  }

  onToken(token: number, stepText: string, begin: number, end: number): void {
    const { resolve } = this;
    const text = stepText.slice(begin, end);
    if (resolve === undefined || !this.#isStreaming) {
      this.#addToken(token, text);
      return;
    }
    // The reader waits, so nothing is unread: it gets the token as it came.
    journal.add(this, token, stepText, begin, end);
    const tokens = new Int32Array(1);
    tokens[0] = token;
    this.resolve = undefined;
    this.reader = undefined;
    resolve({ done: false, value: { index: 0, text, tokens } });
  }

  onText(part: TextPart): void {
    if (this.outcome) return;
    this.#recall();
    const output = this.#outputs[part.index];
    if (this.#options.maxTokens === 0) {
      if (part.finishReason) output?.finish(part.finishReason === 'stop' ? 'length' : part.finishReason);
      return;
    }
    if (!output || (part.logits && !this.#takesLogits(part.logits))) return;
    output.add(part);
    if (part.finishReason) output.finish(part.finishReason, this.#stopReason(part, output));
    this.#added(part.tokensEnd - part.tokensBegin);
  }

  addRead(tokens: readonly number[], text: string): void {
    this.#outputs[0]?.addRead(tokens, text);
  }

  #addToken(token: number, text: string): void {
    if (this.outcome || this.#options.maxTokens === 0) return;
    this.#recall();
    this.#outputs[0]?.addToken(token, text);
    this.#added(1);
  }

  #added(tokenCount: number): void {
    this.#hasUnread = true;
    if (this.#firstTokenAt === 0 && tokenCount > 0) {
      this.#firstTokenAt = performance.now();
      this.#isStreaming = !this.#isChoosing && this.#hasPlainText;
      const timeToFirstTokenMs = this.#firstTokenAt - this.#submittedAt;
      requestHasToken({ requestId: this.id, timeToFirstTokenMs }, this.#context);
    }
    this.reader?.wake();
  }

  /** The outputs have all that came. */
  #recall(): void {
    if (this.journalNumber >= 0) journal.empty();
  }

  onPromptLogprobs(first: number, logprobs: RawLogprob[]): void {
    if (first === 0 || !this.#promptLogprobs) this.#promptLogprobs = [];
    for (const [i, raw] of logprobs.entries()) {
      const token = this.#promptTokens[first + i] as number;
      this.#promptLogprobs[first + i] = Number.isNaN(raw.logprob) ? null : this.#nameLogprob(token, raw);
    }
  }

  onContextLogits(logits: Logits): void {
    if (this.#takesLogits(logits)) this.#contextLogits = logits;
  }

  onEmbedding(embedding: Float32Array): void {
    this.#embedding = embedding;
  }

  onMetrics(metrics: RequestMetrics): void {
    this.#metrics = metrics;
  }

  onAdditionalOutputs(index: number, tensors: NamedTensor[]): void {
    this.#outputs[index]?.addTensors(tensors);
  }

  onEnd(): void {
    this.#end(() => ({ result: this.#result() }));
  }

  onError(executorCode: number, message: string, option: string | undefined): void {
    this.fail((partial) => fromExecutor(executorCode, message, { option, requestId: this.id, partial }));
  }

  /** Ends it with what there is; the iterator gives nothing more. */
  cancel(): void {
    if (this.outcome) return;
    this.#silent = true;
    this.#finish('cancelled');
  }

  /** Ends it with what there is; the iterator gives what was not read, and then `'timeout'`. */
  timeOut(): void {
    if (!this.outcome) this.#finish('timeout');
  }

  /** Ends it with what its readers get thrown; the iterator gives nothing more. */
  abort(reason: unknown): void {
    if (this.outcome) return;
    this.#silent = true;
    this.#end(() => ({ error: reason }));
  }

  /** Ends it with an error, which its readers get after everything that has arrived. */
  fail(makeError: (partial: Result) => LLMError): void {
    this.#end(() => ({ error: makeError(this.#result()) }));
  }

  /** Ends the request if its logits take more than `maxLogitsBytes`; then false. */
  #takesLogits({ data }: Logits): boolean {
    this.#logitsBytes += data.byteLength;
    if (this.#logitsBytes <= this.#options.maxLogitsBytes) return true;
    this.fail((partial) =>
      logitsLimit(this.#logitsBytes, this.#options.maxLogitsBytes, { requestId: this.id, partial }),
    );
    return false;
  }

  #stopReason({ finishReason, stopString, stopToken }: TextPart, output: OutputBuffer): string | number | undefined {
    if (finishReason !== 'stop') return undefined;
    if (stopString !== undefined) return this.#options.stop[stopString];
    return stopToken ?? this.#options.stopTokens.find((run) => output.endsWith(run))?.at(-1);
  }

  #finish(reason: FinishReason): void {
    for (const output of this.#outputs) output.finish(reason);
    this.#end(() => ({ result: this.#result() }));
  }

  #end(makeOutcome: () => Outcome): void {
    if (this.outcome) return;
    this.#recall();
    this.#hasUnread = true;
    this.#endedAt = performance.now();
    for (const output of this.#outputs) output.endText();
    if (this.#isChoosing) {
      const likeliest = [...this.#outputs].sort((a, b) => b.cumulativeLogprob - a.cumulativeLogprob);
      for (const [rank, output] of likeliest.entries()) output.index = rank;
    }
    const outcome = makeOutcome();
    this.outcome = outcome;
    this.#onEnd();
    const makeEvent = () => ({
      requestId: this.id,
      finishReason: 'result' in outcome ? outcome.result.finishReason : undefined,
      usage: this.#usage(),
      timing: this.#timing(),
      error: 'error' in outcome ? outcome.error : undefined,
    });
    requestEnded(makeEvent, this.#context);
    this.reader?.wake();
    this.onOutcome?.();
  }

  readonly #nameLogprob = (token: number, { logprob, top }: RawLogprob): TokenLogprob => {
    const named = { token, text: this.#tokenText(token), logprob };
    if (top.length === 0) return named;
    return { ...named, top: top.map((each) => ({ ...each, text: this.#tokenText(each.token) })) };
  };

  #result(): EmbeddingResult {
    const outputs = this.#outputs
      .filter(({ index }) => index < this.#options.n)
      .sort((a, b) => a.index - b.index)
      .map((output) => output.result());
    const first = outputs[0] as Result['outputs'][number];
    return {
      text: first.text,
      outputs,
      ...(first.reasoning !== undefined && { reasoning: first.reasoning }),
      ...(first.toolCalls && { toolCalls: first.toolCalls }),
      finishReason: first.finishReason,
      ...(first.stopReason === undefined ? {} : { stopReason: first.stopReason }),
      usage: this.#usage(),
      timing: this.#timing(),
      ...(this.#metrics ? { metrics: this.#metrics } : {}),
      ...(this.#promptLogprobs ? { promptLogprobs: this.#promptLogprobs } : {}),
      ...(this.#contextLogits ? { contextLogits: this.#contextLogits } : {}),
      ...(this.#embedding ? { embedding: this.#embedding } : {}),
    };
  }

  #usage(): Usage {
    const promptTokens = this.#promptTokens.length;
    const completionTokens = this.#outputs.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
    const totalTokens = promptTokens + completionTokens;
    return { promptTokens, cachedTokens: this.#cachedTokens, completionTokens, totalTokens };
  }

  #timing(): Timing {
    const start = this.#submittedAt || this.#endedAt;
    return {
      queueMs: this.#queueMs,
      timeToFirstTokenMs: (this.#firstTokenAt || this.#endedAt) - start,
      totalMs: this.#endedAt - start,
    };
  }
}
