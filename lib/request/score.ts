import { type Readers, readOptions, show } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { Result, TokenLogprob, Usage } from '../base/types.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { copyTokens } from './input.js';
import { PROMPT_ONLY, type PromptOptions, promptChecks, sumOfUsages } from './prompt-only.js';

/** A text, or tokens as they are. */
export type ScoreInput = string | { tokens: ArrayLike<number> };

/** How continuations are scored. */
export interface ScoreOptions extends PromptOptions {}

/** How likely a continuation is. Logarithms are natural. */
export interface Score {
  /** Log-probability of the whole continuation: the sum of its tokens'. */
  logprob: number;
  /** One for each token of the continuation. */
  tokens: TokenLogprob[];
  /** Whether each token is the likeliest after those before it: greedy decoding would give this continuation. */
  isGreedy: boolean;
}

export interface Scores {
  /** One for each continuation, in its order. */
  scores: Score[];
  /** All continuations together, each with the prompt. */
  usage: Usage;
}

/** A prompt with one continuation. */
export interface ScoredTokens {
  readonly tokens: Int32Array;
  /** Where the continuation begins. */
  readonly start: number;
}

/** @throws {LLMError} `ERR_INVALID_OPTION`. */
export const readScoreOptions = (options: ScoreOptions) =>
  readOptions(options, promptChecks satisfies Readers<ScoreOptions>, 'score()');

/** A request for the log-probabilities of the continuation; the likeliest token says whether it is greedy. */
export const scoreRequest = ({ start }: ScoredTokens, options: ReturnType<typeof readScoreOptions>) => ({
  ...PROMPT_ONLY,
  ...options,
  promptLogprobsStart: start,
  topPromptLogprobs: 1,
});

/** What inputs are read by. */
export interface ScoreContext {
  readonly tokenizer: () => Tokenizer;
  readonly maxTokens: number;
}

/**
 * A text after a text is encoded with it, as evaluation tools do: what is added to the prompt's own tokens is the continuation, and
 * spaces at the prompt's end belong to it. Tokens stay as they are.
 * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_EMPTY_PROMPT`, `ERR_PROMPT_TOO_LONG`, and what `tokenizer` throws.
 */
export async function encodeForScores(
  prompt: unknown,
  continuations: unknown,
  { addSpecialTokens = true, signal }: ScoreOptions,
  { tokenizer, maxTokens }: ScoreContext,
): Promise<ScoredTokens[]> {
  if (!Array.isArray(continuations) || continuations.length === 0) {
    const found = Array.isArray(continuations) ? 'empty' : show(continuations);
    throw new LLMError('ERR_INVALID_INPUT', `continuations is ${found}; expected an array of texts or { tokens }.`);
  }
  const read = (input: unknown, name: string) => readScoreInput(input, name, maxTokens);
  const encode = (text: string, special: boolean) =>
    tokenizer().encode(text, { addSpecialTokens: special, maxTokens, signal });
  const context = read(prompt, 'prompt');
  const given = continuations.map((each, i) => read(each, `continuations[${i}]`));
  const isText = typeof context === 'string';
  const tokens = isText ? await encode(context, addSpecialTokens) : context;
  const beforeText = isText ? await encode(context.trimEnd(), addSpecialTokens) : context;
  return Promise.all(
    given.map(async (continuation, i) => {
      const isTogether = isText && typeof continuation === 'string';
      const start = isTogether ? beforeText.length : tokens.length;
      if (start === 0) {
        throw new LLMError('ERR_EMPTY_PROMPT', 'The prompt has no token; expected at least one before a continuation.');
      }
      const added = typeof continuation === 'string' && !isTogether ? await encode(continuation, false) : continuation;
      const whole = typeof added === 'string' ? await encode(context + added, addSpecialTokens) : concat(tokens, added);
      if (whole.length > start) return { tokens: whole, start };
      throw new LLMError('ERR_INVALID_INPUT', `continuations[${i}] has no token; expected at least one.`);
    }),
  );
}

function readScoreInput(input: unknown, name: string, maxTokens: number): string | Int32Array {
  if (typeof input === 'string') return input;
  if (typeof input === 'object' && input !== null && 'tokens' in input) return copyTokens(input.tokens, maxTokens);
  throw new LLMError('ERR_INVALID_INPUT', `${name} is ${show(input)}; expected a text or { tokens }.`);
}

function concat(first: Int32Array, second: Int32Array): Int32Array {
  const both = new Int32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Tokens that all begin with. */
export function sharedTokens(all: readonly ScoredTokens[]): number {
  const [first, ...others] = all.map(({ tokens }) => tokens);
  if (!first) return 0;
  const differs = first.findIndex((token, i) => others.some((other) => other[i] !== token));
  return differs < 0 ? first.length : differs;
}

export const scoresOf = (asked: readonly ScoredTokens[], results: readonly Result[]): Scores => ({
  scores: results.map(({ promptLogprobs = [] }, i) => {
    const tokens: TokenLogprob[] = [];
    let logprob = 0;
    let isGreedy = true;
    for (const each of promptLogprobs.slice((asked[i] as ScoredTokens).start)) {
      if (!each) throw new LLMError('ERR_EXECUTOR_FAILED', 'The executor left out a log-probability. Report it.');
      const { top = [], ...token } = each;
      tokens.push(token);
      logprob += each.logprob;
      isGreedy &&= each.logprob >= (top[0]?.logprob ?? Number.NaN);
    }
    return { logprob, tokens, isGreedy };
  }),
  usage: sumOfUsages(results),
});
