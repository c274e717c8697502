import type { RawLogprob, TextPart } from './mail.js';
import type { Chunk, FinishReason, Logits, Output, TokenLogprob } from './types.js';

/** One output of a request: all that has come, and what of it nobody has read. Unread steps merge into one chunk. */
export class OutputBuffer {
  readonly #index: number;
  readonly #tokenText: (token: number) => string;
  #text = '';
  #unreadText = '';
  #tokens = new Int32Array(64);
  #tokenCount = 0;
  #readTokens = 0;
  #logprobs: TokenLogprob[] | undefined;
  #logits: Logits[] = [];
  #finishReason: FinishReason | undefined;
  #finishRead = false;
  #stopReason: string | number | undefined;

  constructor(index: number, tokenText: (token: number) => string) {
    this.#index = index;
    this.#tokenText = tokenText;
  }

  add(
    { text, tokens, tokensBegin, tokensEnd, finishReason, logprobs, logits }: TextPart,
    stopReason?: string | number,
  ) {
    this.#text += text;
    this.#unreadText += text;
    this.#reserve(tokensEnd - tokensBegin);
    for (let i = tokensBegin; i < tokensEnd; i++) this.#tokens[this.#tokenCount++] = tokens[i] as number;
    if (logprobs) {
      const first = this.#tokenCount - logprobs.length;
      this.#logprobs ??= [];
      for (const [i, raw] of logprobs.entries()) {
        this.#logprobs.push(this.#tokenLogprob(this.#tokens[first + i] as number, raw));
      }
    }
    if (logits) this.#logits.push(logits);
    this.#stopReason = stopReason;
    if (finishReason) this.finish(finishReason);
  }

  finish(reason: FinishReason): void {
    this.#finishReason ??= reason;
  }

  take(): Chunk | undefined {
    const ends = this.#finishReason !== undefined && !this.#finishRead;
    if (this.#readTokens === this.#tokenCount && this.#unreadText === '' && !ends) return undefined;
    const chunk: Chunk = {
      index: this.#index,
      text: this.#unreadText,
      tokens: this.#tokens.slice(this.#readTokens, this.#tokenCount),
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
      index: this.#index,
      text: this.#text,
      tokens: this.#tokens.slice(0, this.#tokenCount),
      finishReason: this.#finishReason ?? 'cancelled',
    };
    if (this.#stopReason !== undefined) output.stopReason = this.#stopReason;
    if (this.#logprobs) {
      output.logprobs = this.#logprobs;
      output.cumulativeLogprob = this.#logprobs.reduce((sum, { logprob }) => sum + logprob, 0);
    }
    if (this.#logits.length > 0) output.generationLogits = joinRows(this.#logits);
    return output;
  }

  #reserve(count: number): void {
    if (this.#tokenCount + count <= this.#tokens.length) return;
    const larger = new Int32Array(Math.max(this.#tokens.length * 2, this.#tokenCount + count));
    larger.set(this.#tokens);
    this.#tokens = larger;
  }

  #tokenLogprob(token: number, { logprob, top }: RawLogprob): TokenLogprob {
    const named = { token, text: this.#tokenText(token), logprob };
    if (top.length === 0) return named;
    return { ...named, top: top.map((each) => ({ ...each, text: this.#tokenText(each.token) })) };
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
