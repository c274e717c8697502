import type { RawLogprob, TextPart } from '../addon/events.js';
import type { Chunk, FinishReason, Logits, NamedTensor, Output, TokenLogprob } from '../base/types.js';
import type { ResponseSettings } from '../text/response/response-parser.js';
import { AnswerParts } from './answer-parts.js';

/** One output of a request: all that has come, and what of it nobody has read. Unread steps merge into one chunk. */
export class OutputBuffer {
  /** The output's place in the result. */
  index: number;
  readonly #nameLogprob: ((token: number, raw: RawLogprob) => TokenLogprob) | undefined;
  // Few objects, and tokens outside of V8's heap: what survives a scavenge costs time, and makes V8 enlarge the space that it
  // allocates from until it no longer fits in the processor's cache.
  readonly #readText: string[] = [];
  #unreadText = '';
  readonly #parts: AnswerParts | undefined;
  readonly #tokens = new TokenList();
  #readTokens = 0;
  #logprobs: TokenLogprob[] | undefined;
  #cumulativeLogprob: number | undefined;
  #logits: Logits[] = [];
  #tensors: NamedTensor[] | undefined;
  #finishReason: FinishReason | undefined;
  #finishRead = false;
  #stopReason: string | number | undefined;

  /** Without `nameLogprob` only the sum of what comes is kept; without `response` its text stays as it is. */
  constructor(
    index: number,
    nameLogprob: ((token: number, raw: RawLogprob) => TokenLogprob) | undefined,
    response?: ResponseSettings,
  ) {
    this.index = index;
    this.#nameLogprob = nameLogprob;
    this.#parts = response && new AnswerParts(response);
  }

  get tokenCount(): number {
    return this.#tokens.length;
  }

  get cumulativeLogprob(): number {
    return this.#cumulativeLogprob ?? 0;
  }

  add({ text, tokens, tokensBegin, tokensEnd, logprobs, logits }: TextPart): void {
    this.#addText(text);
    for (let i = tokensBegin; i < tokensEnd; i++) this.#tokens.add(tokens[i] as number);
    if (logprobs) this.#addLogprobs(logprobs, this.#tokens.length - logprobs.length);
    if (logits) this.#logits.push(logits);
  }

  addToken(token: number, text: string): void {
    this.#addText(text);
    this.#tokens.add(token);
  }

  /** Adds what its reader has received already. */
  addRead(tokens: readonly number[], text: string): void {
    for (const token of tokens) this.#tokens.add(token);
    this.#readTokens = this.#tokens.length;
    this.#readText.push(text);
  }

  addTensors(tensors: readonly NamedTensor[]): void {
    this.#tensors ??= [];
    this.#tensors.push(...tensors);
  }

  #addText(text: string): void {
    this.#unreadText += this.#parts ? this.#parts.push(text) : text;
  }

  /** No more text comes, whether or not the output has ended. */
  endText(): void {
    if (this.#parts) this.#unreadText += this.#parts.end();
  }

  /** Ends the output, if it has not ended. */
  finish(reason: FinishReason, stopReason?: string | number): void {
    if (this.#finishReason !== undefined) return;
    this.endText();
    this.#finishReason = reason;
    this.#stopReason = stopReason;
  }

  endsWith(run: readonly number[]): boolean {
    const first = this.#tokens.length - run.length;
    return first >= 0 && run.every((token, i) => this.#tokens.at(first + i) === token);
  }

  take(): Chunk | undefined {
    const ends = this.#finishReason !== undefined && !this.#finishRead;
    const tokenCount = this.#tokens.length;
    const hasText = this.#unreadText !== '' || this.#parts?.hasUnread;
    if (this.#readTokens === tokenCount && !hasText && !ends) return undefined;
    const chunk: Chunk = { index: this.index, text: this.#unreadText, tokens: this.#tokens.from(this.#readTokens) };
    if (this.#parts) Object.assign(chunk, this.#parts.take());
    if (this.#logprobs) chunk.logprobs = this.#logprobs.slice(this.#readTokens);
    if (ends && this.#finishReason) chunk.finishReason = this.#finishReason;
    this.#readText.push(this.#unreadText);
    this.#unreadText = '';
    this.#readTokens = tokenCount;
    this.#finishRead = ends;
    return chunk;
  }

  /** An output without a finish reason reads as cancelled. */
  result(): Output {
    const output: Output = {
      index: this.index,
      text: this.#readText.join('') + this.#unreadText,
      tokens: this.#tokens.from(0),
      finishReason: this.#finishReason ?? 'cancelled',
      ...this.#parts?.result(),
    };
    if (this.#stopReason !== undefined) output.stopReason = this.#stopReason;
    if (this.#logprobs) output.logprobs = this.#logprobs;
    if (this.#cumulativeLogprob !== undefined) output.cumulativeLogprob = this.#cumulativeLogprob;
    if (this.#logits.length > 0) output.generationLogits = joinRows(this.#logits);
    if (this.#tensors) output.additionalOutputs = this.#tensors;
    return output;
  }

  /** For people. */
  summary(): object {
    return { text: this.#readText.join('') + this.#unreadText, tokens: this.#tokens.length };
  }

  #addLogprobs(logprobs: readonly RawLogprob[], firstToken: number): void {
    this.#cumulativeLogprob ??= 0;
    for (const [i, raw] of logprobs.entries()) {
      this.#cumulativeLogprob += raw.logprob;
      if (!this.#nameLogprob) continue;
      this.#logprobs ??= [];
      this.#logprobs.push(this.#nameLogprob(this.#tokens.at(firstToken + i), raw));
    }
  }
}

function joinRows(parts: readonly Logits[]): Logits {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const columns = parts[0]?.columns ?? 0;
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, rows, columns };
}

class TokenList {
  #tokens = new Int32Array(16);
  length = 0;

  add(token: number): void {
    if (this.length === this.#tokens.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[this.length++] = token;
  }

  at(index: number): number {
    return this.#tokens[index] as number;
  }

  /** Copies token by token: mostly there are too few for a bulk copy to be faster. */
  from(first: number): Int32Array {
    const tokens = new Int32Array(this.length - first);
    for (let i = 0; i < tokens.length; i++) tokens[i] = this.#tokens[first + i] as number;
    return tokens;
  }
}
