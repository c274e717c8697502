import { check, fraction, integer, MAX_COUNT, number, positiveFraction, type Readers, readAs } from '../base/checks.js';
import { isTokenId } from './token-lists.js';
import { type TokenRun, texts, tokenRuns } from './token-runs.js';

/** Which token comes next. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 sharpens, above 1 flattens, 0 always takes the likeliest token. Default: the model's, else 1
   * if `topK`, `topP`, `minP`, `n` or `bestOf` asks to draw, else 0.
   */
  temperature?: number | undefined;
  /** Draws among this many likeliest tokens; 0 is all. Default: the model's, else 0. */
  topK?: number | undefined;
  /** Draws among the likeliest tokens that together reach this probability, above 0 to 1. Default: the model's, else 1. */
  topP?: number | undefined;
  /** Lets `topP` shrink: it is multiplied by this after each token, above 0 to 1. Default: 1. */
  topPDecay?: number | undefined;
  /** What `topPDecay` lets `topP` fall to, 0 to 1. Default: the executor's, 1e-6 on TensorRT-LLM. */
  topPMin?: number | undefined;
  /** The token that sets `topP` back to where it began. Default: the executor's, token 1 on TensorRT-LLM. */
  topPResetToken?: number | undefined;
  /** Leaves out tokens below this fraction of the likeliest one's probability, 0 to 1. Default: the model's, else 0. */
  minP?: number | undefined;
  /** The same seed and the same logits give the same tokens; 0 to 2^53 - 1. Default: drawn anew for each request. */
  seed?: number | undefined;
  /**
   * Divides positive logits, and multiplies negative ones, of each token that stands in the prompt or the output: above 1 it
   * is less likely to come again. As in arXiv:1909.05858. Default: the model's, else 1, which does nothing.
   */
  repetitionPenalty?: number | undefined;
  /** Taken off the logit of each token that the output has already; below 0 favours it. Default: 0. */
  presencePenalty?: number | undefined;
  /** Taken off the logit of each token once for each time the output has it; below 0 favours it. Default: 0. */
  frequencyPenalty?: number | undefined;
  /** No run of so many tokens comes twice, the prompt counted; 0 lets all come. Default: the model's, else 0. */
  noRepeatNgram?: number | undefined;
  /** Added to the logits of these tokens, by id. Default: none. */
  logitBias?: Readonly<Record<number, number>> | undefined;
  /**
   * Words kept out of the output: the tokens of the word, with and without a space before it, never come in a row. The same
   * letters can still come as other tokens. Default: none.
   */
  badWords?: string | readonly string[] | undefined;
  /** Tokens, or runs of them, that never come. Default: none. */
  badTokens?: readonly TokenRun[] | undefined;
}

const penalty = number('', () => true);

export const samplingChecks = {
  temperature: number('at least 0', (value) => value >= 0),
  topK: integer(0, MAX_COUNT),
  topP: positiveFraction(),
  topPDecay: positiveFraction(),
  topPMin: fraction(),
  topPResetToken: integer(0, MAX_COUNT),
  minP: fraction(),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  repetitionPenalty: number('above 0', (value) => value > 0),
  presencePenalty: penalty,
  frequencyPenalty: penalty,
  noRepeatNgram: integer(0, MAX_COUNT),
  logitBias: readAs(
    check('an object of numbers by token id', isLogitBias),
    (biases) => new Map(Object.entries(biases).map(([token, bias]) => [Number(token), Number(bias)])),
  ),
  badWords: texts,
  badTokens: tokenRuns,
} satisfies Readers<SamplingOptions>;

function isLogitBias(value: unknown): value is Readonly<Record<number, number>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([token, bias]) => /^\d+$/.test(token) && isTokenId(Number(token)) && Number.isFinite(bias),
  );
}
