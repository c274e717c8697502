import {
  boundedLength,
  check,
  fraction,
  integer,
  invalidOption,
  MAX_COUNT,
  number,
  positiveFraction,
  type Readers,
  readAs,
  show,
} from '../base/checks.js';
import { isTokenId, MAX_TOKENS } from './token-lists.js';
import { type TokenRun, texts, tokenRuns } from './token-runs.js';

/** How the next token is chosen. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 makes likely tokens likelier, above 1 evens them out, 0 always picks the likeliest. Default:
   * the model's, else 1 if `topK`, `topP`, `minP`, `n` or `bestOf` asks for sampling, else 0.
   */
  temperature?: number | undefined;
  /** Sample from this many of the likeliest tokens; 0, or -1 as vLLM has it, means all. Default: the model's, else 0. */
  topK?: number | undefined;
  /** Sample from the likeliest tokens whose probabilities add up to this; above 0, at most 1. Default: the model's, else 1. */
  topP?: number | undefined;
  /** Multiply `topP` by this after each token; above 0, at most 1. Default: 1. */
  topPDecay?: number | undefined;
  /** Lowest value that `topPDecay` can bring `topP` to, 0 to 1. Default: the executor's, 1e-6 on TensorRT-LLM. */
  topPMin?: number | undefined;
  /** Token that resets `topP` to its first value. Default: the executor's, token 1 on TensorRT-LLM. */
  topPResetToken?: number | undefined;
  /** Drop tokens whose probability is below this fraction of the likeliest token's, 0 to 1. Default: the model's, else 0. */
  minP?: number | undefined;
  /**
   * The same seed and the same logits give the same tokens, whatever else runs; 0 to 2^53 - 1. Default: random for each
   * request.
   */
  seed?: number | undefined;
  /**
   * Above 1, makes tokens that are already in the prompt or the output less likely: it divides positive logits and
   * multiplies negative ones (arXiv:1909.05858). Default: the model's, else 1, which has no effect.
   */
  repetitionPenalty?: number | undefined;
  /** Subtracted from the logit of each token that is already in the output; below 0 favors such tokens. Default: 0. */
  presencePenalty?: number | undefined;
  /** Subtracted from the logit of each token once per occurrence in the output; below 0 favors such tokens. Default: 0. */
  frequencyPenalty?: number | undefined;
  /** Never repeat an n-gram of this size, prompt included; 0 disables it. Default: the model's, else 0. */
  noRepeatNgramSize?: number | undefined;
  /** Added to the logits of these token ids, at most 65,536; a token with `-Infinity` never comes. Default: none. */
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number> | undefined;
  /**
   * Words that must not appear: the tokens of the word, with and without a space before it, never come in a row. Other
   * tokens can still spell the same letters. At most 4096 words, of 262,144 characters in all. Default: none.
   */
  badWords?: string | readonly string[] | undefined;
  /** Tokens, or runs of tokens, that must not appear; at most 65,536 tokens. Default: none. */
  badTokens?: readonly TokenRun[] | undefined;
}

const penalty = number('', () => true);

type Biases = NonNullable<SamplingOptions['logitBias']>;
const isBiases = (value: unknown): value is Biases =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const biases = check('an object or a Map of numbers by token id', isBiases);

export const samplingChecks = {
  temperature: number('at least 0', (value) => value >= 0),
  topK: readAs(integer(-1, MAX_COUNT), (value) => Math.max(value, 0)),
  topP: positiveFraction(),
  topPDecay: positiveFraction(),
  topPMin: fraction(),
  topPResetToken: integer(0, MAX_COUNT),
  minP: fraction(),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  repetitionPenalty: number('above 0', (value) => value > 0),
  presencePenalty: penalty,
  frequencyPenalty: penalty,
  noRepeatNgramSize: integer(0, MAX_COUNT),
  logitBias: readAs(biases, readLogitBias),
  badWords: texts,
  badTokens: tokenRuns,
} satisfies Readers<SamplingOptions>;

/** As the addon takes it: `values[i]` is added to the logit of `tokens[i]`. */
export interface NativeLogitBias {
  tokens: Int32Array;
  values: Float32Array;
}

/** Executors take finite numbers only; with this one a token has the probability 0 beside any other. */
const LOWEST_BIAS = -3.4028234663852886e38; // of float32

function readLogitBias(given: Biases, name: string): NativeLogitBias | undefined {
  const entries: readonly [unknown, unknown][] = given instanceof Map ? [...given] : Object.entries(given);
  const length = boundedLength(entries, MAX_TOKENS, name);
  if (length === 0) return undefined;
  const read = { tokens: new Int32Array(length), values: new Float32Array(length) };
  for (const [i, [key, bias]] of entries.entries()) {
    const token = typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : key;
    if (!isTokenId(token))
      throw invalidOption(name, `has the key ${show(key)}; expected a token id, an integer from 0.`);
    if (typeof bias !== 'number' || Number.isNaN(bias) || bias === Number.POSITIVE_INFINITY) {
      throw invalidOption(
        `${name}[${token}]`,
        `is ${show(bias)}; expected a number, or -Infinity to forbid the token.`,
      );
    }
    read.tokens[i] = token;
    read.values[i] = Math.max(bias, LOWEST_BIAS);
  }
  return read;
}
