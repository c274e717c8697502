import type { RawLogprob, TextPart } from './mail.js';
import type { Chunk, FinishReason, Logits, Output, TokenLogprob } from './types.js';

/** One output of a request: all that has come, and what of it nobody has read. Unread steps merge into one chunk. */
export class OutputBuffer {
  /** The output's place in the result. */
  index: number;
  readonly #nameLogprob: ((token: number, raw: RawLogprob) => TokenLogprob) | undefined;
  readonly #text: string[] = []; // joined once, at the end
  #unreadText = '';
  #tokens = new Int32Array(64);
  #tokenCount = 0;
  #readTokens = 0;
  #logprobs: TokenLogprob[] | undefined;
  #cumulativeLogprob: number | undefined;
  #logits: Logits[] = [];
  #finishReason: FinishReason | undefined;
  #finishRead = false;
  #stopReason: string | number | undefined;

  /** Without `nameLogprob` only the sum of what comes is kept. */
  constructor(index: number, nameLogprob: ((token: number, raw: RawLogprob) => TokenLogprob) | undefined) {
    this.index = index;
    this.#nameLogprob = nameLogprob;
  }

  get tokenCount(): number {
    return this.#tokenCount;
  }

  get cumulativeLogprob(): number {
    return this.#cumulativeLogprob ?? 0;
  }

  add({ text, tokens, tokensBegin, tokensEnd, logprobs, logits }: TextPart): void {
    if (text !== '') this.#text.push(text);
    this.#unreadText += text;
    this.#reserve(tokensEnd - tokensBegin);
    for (let i = tokensBegin; i < tokensEnd; i++) this.#tokens[this.#tokenCount++] = tokens[i] as number;
    if (logprobs) this.#addLogprobs(logprobs, this.#tokenCount - logprobs.length);
    if (logits) this.#logits.push(logits);
  }

  /** Ends the output, if it has not ended. */
  finish(reason: FinishReason, stopReason?: string | number): void {
    if (this.#finishReason !== undefined) return;
    this.#finishReason = reason;
    this.#stopReason = stopReason;
  }

  endsWith(run: readonly number[]): boolean {
    const first = this.#tokenCount - run.length;
    return first >= 0 && run.every((token, i) => this.#tokens[first + i] === token);
  }

  take(): Chunk | undefined {
    const ends = this.#finishReason !== undefined && !this.#finishRead;
    if (this.#readTokens === this.#tokenCount && this.#unreadText === '' && !ends) return undefined;
    const chunk: Chunk = {
      index: this.index,
      text: this.#unreadText,
      tokens: this.#takeTokens(),
    };
    if (this.#logprobs) chunk.logprobs = this.#logprobs.slice(this.#readTokens);
    if (ends && this.#finishReason) chunk.finishReason = this.#finishReason;
    this.#unreadText = '';
    this.#readTokens = this.#tokenCount;
    this.#finishRead = ends;
    return chunk;
  }

  /** An output without a finish reason reads as cancelled. */
  result(): Output {
    const output: Output = {
      index: this.index,
      text: this.#text.join(''),
      tokens: this.#tokens.slice(0, this.#tokenCount),
      finishReason: this.#finishReason ?? 'cancelled',
    };
    if (this.#stopReason !== undefined) output.stopReason = this.#stopReason;
    if (this.#logprobs) output.logprobs = this.#logprobs;
    if (this.#cumulativeLogprob !== undefined) output.cumulativeLogprob = this.#cumulativeLogprob;
    if (this.#logits.length > 0) output.generationLogits = joinRows(this.#logits);
    return output;
  }

  /** Token by token: a chunk is mostly too short for slice() to pay. */
  #takeTokens(): Int32Array {
    const taken = new Int32Array(this.#tokenCount - this.#readTokens);
    for (let i = 0; i < taken.length; i++) taken[i] = this.#tokens[this.#readTokens + i] as number;
    return taken;
  }

  #addLogprobs(logprobs: readonly RawLogprob[], firstToken: number): void {
    this.#cumulativeLogprob ??= 0;
    for (const [i, raw] of logprobs.entries()) {
      this.#cumulativeLogprob += raw.logprob;
      if (!this.#nameLogprob) continue;
      this.#logprobs ??= [];
      this.#logprobs.push(this.#nameLogprob(this.#tokens[firstToken + i] as number, raw));
    }
  }

  #reserve(count: number): void {
    if (this.#tokenCount + count <= this.#tokens.length) return;
    const larger = new Int32Array(Math.max(this.#tokens.length * 2, this.#tokenCount + count));
    larger.set(this.#tokens);
    this.#tokens = larger;
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
