import { boolean, integer, MAX_COUNT, type Readers, signal } from '../base/checks.js';
import { type TokenRun, texts, tokenRuns } from './token-runs.js';

/** How long the outputs of a request are, and how long it may take. */
export interface LengthOptions {
  /** New tokens of each output at most, the prompt not counted; from 1. Default: the model's, else what the context window leaves. */
  maxTokens?: number | undefined;
  /** No end token is drawn before so many new tokens. On TensorRT-LLM for models of one end token only. Default: the model's, else 0. */
  minTokens?: number | undefined;
  /** Text that ends the output where it would stand; it is not part of the text. Default: none. */
  stop?: string | readonly string[] | undefined;
  /** Tokens, or runs of them, that end the output; they are its last tokens, and part of its text. Default: none. */
  stopTokens?: readonly TokenRun[] | undefined;
  /** Goes on past end tokens, up to `maxTokens`. Default: false. */
  ignoreEos?: boolean | undefined;
  /** Milliseconds from the call, queueing included; then the request ends with what there is, `'timeout'`. Default: none. */
  timeoutMs?: number | undefined;
  /** Milliseconds from the call within which the request must have started, or it fails with `ERR_QUEUE_TIMEOUT`. Default: none. */
  queueTimeoutMs?: number | undefined;
  /** Ends the request when it aborts: the iterator and `result` then throw `signal.reason`. Default: none. */
  signal?: AbortSignal | undefined;
}

export const lengthChecks = {
  maxTokens: integer(1, MAX_COUNT),
  minTokens: integer(0, MAX_COUNT),
  stop: texts,
  stopTokens: tokenRuns,
  ignoreEos: boolean(),
  timeoutMs: integer(1, MAX_COUNT), // what setTimeout takes
  queueTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
} satisfies Readers<LengthOptions>;
