import { boolean, integer, MAX_COUNT, type Readers, signal } from '../base/checks.js';
import { type TokenRun, texts, tokenRuns } from './token-runs.js';

/** How long the outputs may be, and how long the request may take. */
export interface LengthOptions {
  /**
   * Maximum number of new tokens per output, prompt not included. If the context window leaves fewer, the output ends there.
   * With 0 only the prompt is computed, for `promptLogprobs` and `returnContextLogits`. Default: the model's, else what the
   * context window leaves.
   */
  maxTokens?: number | undefined;
  /**
   * Draw no end token, and end at no `stop`, before this many new tokens. On TensorRT-LLM only for models with one end token.
   * Default: the model's, else 0.
   */
  minTokens?: number | undefined;
  /**
   * Text that ends the output; it is not part of the output. The name of a special token ends it too, even if
   * `skipSpecialTokens` leaves that out of the text. At most 4096 texts, of 262,144 characters in all. Default:
   * none.
   */
  stop?: string | readonly string[] | undefined;
  /**
   * Tokens, or runs of tokens, that end the output; they are its last tokens and part of its text. At most 65,536 tokens.
   * Default: none.
   */
  stopTokens?: readonly TokenRun[] | undefined;
  /** Continue past end tokens, up to `maxTokens`. Default: false. */
  ignoreEos?: boolean | undefined;
  /**
   * How long the request may take, in ms from the call, waiting included; then it ends with what it has and finish reason
   * `'timeout'`. Default: none.
   */
  timeoutMs?: number | undefined;
  /** How long the request may wait to start, in ms from the call; then it fails with `ERR_QUEUE_TIMEOUT`. Default: none. */
  queueTimeoutMs?: number | undefined;
  /**
   * Ends the request when it aborts: the iterator and `result` then throw `signal.reason`. Any number of requests may share
   * one. Default: none.
   */
  signal?: AbortSignal | undefined;
}

export const lengthChecks = {
  maxTokens: integer(0, MAX_COUNT),
  minTokens: integer(0, MAX_COUNT),
  stop: texts,
  stopTokens: tokenRuns,
  ignoreEos: boolean(),
  timeoutMs: integer(1, MAX_COUNT), // what setTimeout takes
  queueTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
} satisfies Readers<LengthOptions>;
