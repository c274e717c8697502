import { LLMError } from './errors.js';
import type { MailReceiver, TextPart } from './mail.js';
import { codeOf } from './native.js';
import { OutputBuffer } from './output-buffer.js';
import type { Chunk, FinishReason, Logits, Result } from './types.js';

/** How a request ended: with a result, or with what the iterator and the result's promise throw. */
export type Outcome = { readonly result: Result } | { readonly error: unknown };

/**
 * What has come for one request, whether anyone reads it or not. Generation is its face to the user; the two are apart
 * so that the mail can be kept while nobody holds the Generation.
 */
export class RunningRequest implements MailReceiver {
  readonly id: number;
  /** Called when there is something new to read, the end included. Must run no user code. */
  onNews: (() => void) | undefined;
  outcome: Outcome | undefined;
  readonly #outputs: readonly OutputBuffer[];
  readonly #stop: readonly string[];
  /** Called once, at the end: takes the request out of all that knows it. */
  readonly #onEnd: () => void;
  #silent = false;
  readonly #timing = { submit: 0, firstToken: 0, queueMs: 0 };
  #promptTokens = 0;
  #cachedTokens = 0;
  #contextLogits: Logits | undefined;

  constructor(id: number, tokenText: (token: number) => string, stop: readonly string[], onEnd: () => void) {
    this.id = id;
    this.#outputs = [new OutputBuffer(0, tokenText)];
    this.#stop = stop;
    this.#onEnd = onEnd;
  }

  /** The executor gets the request now. */
  submitted(promptTokens: number): void {
    this.#promptTokens = promptTokens;
    this.#timing.submit = performance.now();
  }

  /** What nobody has read yet; undefined if there is nothing. */
  take(): Chunk | undefined {
    if (this.#silent) return undefined;
    for (const output of this.#outputs) {
      const chunk = output.take();
      if (chunk) return chunk;
    }
    return undefined;
  }

  onStart(promptTokens: number, cachedTokens: number, queueMs: number): void {
    this.#promptTokens = promptTokens;
    this.#cachedTokens = cachedTokens;
    this.#timing.queueMs = queueMs;
  }

  onText(part: TextPart): void {
    if (this.#timing.firstToken === 0) this.#timing.firstToken = performance.now();
    const stopReason = part.stopString === undefined ? part.stopToken : this.#stop[part.stopString];
    this.#outputs[part.index]?.add(part, stopReason);
    this.onNews?.();
  }

  onContextLogits(logits: Logits): void {
    this.#contextLogits = logits;
  }

  onEnd(): void {
    this.#end({ result: this.#result() });
  }

  onError(executorCode: number, message: string): void {
    this.fail(new LLMError(codeOf(executorCode), message, { requestId: this.id, partial: this.#result() }));
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
    this.#end({ error: reason });
  }

  /** Ends it with what its readers get thrown, behind what has come. */
  fail(error: LLMError): void {
    this.#end({ error });
  }

  /** Ends it because the engine closes. */
  closed(): void {
    const message = 'The LLM was closed before this request ended; await what runs before close(), or give it drainMs.';
    this.fail(new LLMError('ERR_CLOSED', message, { requestId: this.id, partial: this.#result() }));
  }

  #finish(reason: FinishReason): void {
    for (const output of this.#outputs) output.finish(reason);
    this.#end({ result: this.#result() });
  }

  #end(outcome: Outcome): void {
    if (this.outcome) return;
    this.outcome = outcome;
    this.#onEnd();
    this.onNews?.();
  }

  #result(): Result {
    const outputs = this.#outputs.map((output) => output.result());
    const completionTokens = outputs.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const now = performance.now();
    const start = this.#timing.submit || now;
    const first = outputs[0] as Result['outputs'][number];
    return {
      text: first.text,
      outputs,
      finishReason: first.finishReason,
      ...(first.stopReason === undefined ? {} : { stopReason: first.stopReason }),
      usage: {
        promptTokens: this.#promptTokens,
        cachedTokens: this.#cachedTokens,
        completionTokens,
        totalTokens: this.#promptTokens + completionTokens,
      },
      timing: {
        queueMs: this.#timing.queueMs,
        timeToFirstTokenMs: (this.#timing.firstToken || now) - start,
        totalMs: now - start,
      },
      ...(this.#contextLogits ? { contextLogits: this.#contextLogits } : {}),
    };
  }
}
