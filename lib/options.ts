import { boolean, type Checks, check, integer, MAX_COUNT, number, readOptions, signal } from './checks.js';
import type { GenerationDefaults } from './engine/generation-config.js';
import { LLMError } from './errors.js';

/** A run of token ids; one id alone is a run of one. */
export type TokenRun = number | readonly number[];

/**
 * What a request may set. What it leaves out is as the model's `generation_config.json` says, else as said here; of that
 * file, `temperature`, `top_k`, `top_p` and `min_p` count only where it says `do_sample`.
 */
export interface GenerateOptions {
  /** New tokens of each output at most, the prompt not counted; from 1. Default: the model's, else what the context window leaves. */
  maxTokens?: number | undefined;
  /** No end token is drawn before so many new tokens. Default: the model's, else 0. */
  minTokens?: number | undefined;
  /**
   * Divides the logits: below 1 sharpens, above 1 flattens, 0 always takes the likeliest token. Default: the model's, else 1
   * if `topK`, `topP`, `minP`, `n` or `bestOf` asks to draw, else 0.
   */
  temperature?: number | undefined;
  /** Draws among this many likeliest tokens; 0 is all. Default: the model's, else 0. */
  topK?: number | undefined;
  /** Draws among the likeliest tokens that together reach this probability, above 0 to 1. Default: the model's, else 1. */
  topP?: number | undefined;
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
  /** Text that ends the output where it would stand; it is not part of the text. Default: none. */
  stop?: string | readonly string[] | undefined;
  /** Tokens, or runs of them, that end the output; they are its last tokens, and part of its text. Default: none. */
  stopTokens?: readonly TokenRun[] | undefined;
  /**
   * Words kept out of the output: the tokens of the word, with and without a space before it, never come in a row. The same
   * letters can still come as other tokens. Default: none.
   */
  badWords?: string | readonly string[] | undefined;
  /** Tokens, or runs of them, that never come. Default: none. */
  badTokens?: readonly TokenRun[] | undefined;
  /** Goes on past end tokens, up to `maxTokens`. Default: false. */
  ignoreEos?: boolean | undefined;
  /** Outputs of the request, each drawn by itself, 1 to 1024; the prompt is computed once. Default: 1. */
  n?: number | undefined;
  /**
   * Makes so many outputs and gives the `n` whose tokens are likeliest, by the sum of their log-probabilities. Nothing can be
   * read before all have ended if it is above `n`. From `n` to 1024. Default: `n`.
   */
  bestOf?: number | undefined;
  /** Gives the log-probability of each token. Default: false. */
  logprobs?: boolean | undefined;
  /** How many of the likeliest tokens go with each logprob, 0 to 20; above 0 sets `logprobs`. Default: 0. */
  topLogprobs?: number | undefined;
  /** Gives the log-probability of each token of the prompt, in the result. Default: false. */
  promptLogprobs?: boolean | undefined;
  /** How many of the likeliest tokens go with each of these, 0 to 20; above 0 sets `promptLogprobs`. Default: 0. */
  topPromptLogprobs?: number | undefined;
  /** Gives the logits at each token of the prompt, in the result: 4 bytes x vocabulary x prompt tokens. Default: false. */
  returnContextLogits?: boolean | undefined;
  /** Gives the model's logits for each output token, in the result: 4 bytes x vocabulary x tokens. Default: false. */
  returnGenerationLogits?: boolean | undefined;
  /** For an input that is text: puts the special tokens around it that the model expects. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** Leaves special tokens, such as role marks, out of the text. Default: true. */
  skipSpecialTokens?: boolean | undefined;
  /** Milliseconds from the call, queueing included; then the request ends with what there is, `'timeout'`. Default: none. */
  timeoutMs?: number | undefined;
  /** Milliseconds from the call within which the request must have started, or it fails with `ERR_QUEUE_TIMEOUT`. Default: none. */
  queueTimeoutMs?: number | undefined;
  /** Ends the request when it aborts: the iterator and `result` then throw `signal.reason`. Default: none. */
  signal?: AbortSignal | undefined;
}

/** A request's options, checked, with nothing left to look up. What is undefined is not asked for. */
export interface RequestOptions {
  readonly maxTokens: number | undefined;
  readonly minTokens: number;
  readonly temperature: number;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly seed: number | undefined;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly noRepeatNgram: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly stop: readonly string[];
  readonly stopTokens: readonly (readonly number[])[];
  readonly badWords: readonly string[];
  readonly badTokens: readonly (readonly number[])[];
  readonly ignoreEos: boolean;
  readonly n: number;
  readonly bestOf: number;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
  readonly promptLogprobs: boolean;
  readonly topPromptLogprobs: number;
  readonly returnContextLogits: boolean;
  readonly returnGenerationLogits: boolean;
  readonly addSpecialTokens: boolean;
  readonly skipSpecialTokens: boolean;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

const MAX_SEQUENCES = 1024;
const tokenRuns = check('an array of token ids and of arrays of them that are not empty', isTokenRuns);
const penalty = number('', () => true);

const checks = {
  maxTokens: integer(1, MAX_COUNT),
  minTokens: integer(0, MAX_COUNT),
  temperature: number('at least 0', (value) => value >= 0),
  topK: integer(0, MAX_COUNT),
  topP: number('above 0 and at most 1', (value) => value > 0 && value <= 1),
  minP: number('from 0 to 1', (value) => value >= 0 && value <= 1),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  repetitionPenalty: number('above 0', (value) => value > 0),
  presencePenalty: penalty,
  frequencyPenalty: penalty,
  noRepeatNgram: integer(0, MAX_COUNT),
  logitBias: check('an object of numbers by token id', isLogitBias),
  stop: check('a string that is not empty, or an array of such', isStrings),
  stopTokens: tokenRuns,
  badWords: check('a string that is not empty, or an array of such', isStrings),
  badTokens: tokenRuns,
  ignoreEos: boolean(),
  n: integer(1, MAX_SEQUENCES),
  bestOf: integer(1, MAX_SEQUENCES),
  logprobs: boolean(),
  topLogprobs: integer(0, 20),
  promptLogprobs: boolean(),
  topPromptLogprobs: integer(0, 20),
  returnContextLogits: boolean(),
  returnGenerationLogits: boolean(),
  addSpecialTokens: boolean(),
  skipSpecialTokens: boolean(),
  timeoutMs: integer(1, MAX_COUNT), // what setTimeout takes
  queueTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
} satisfies Checks<GenerateOptions>;

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, what it must be and what it is. */
export function readGenerateOptions(options: unknown, defaults: Partial<GenerationDefaults>): RequestOptions {
  const given = readOptions<GenerateOptions>(options, checks, 'generate() and stream()');
  const sampling = defaults.doSample === true ? defaults : undefined;
  const n = given.n ?? 1;
  const bestOf = given.bestOf ?? n;
  if (bestOf < n) throw new LLMError('ERR_INVALID_OPTION', `bestOf is ${bestOf}; expected at least n, ${n}.`);
  const draws = given.topK !== undefined || given.topP !== undefined || given.minP !== undefined || bestOf > 1;
  const maxTokens = given.maxTokens ?? defaults.maxTokens;
  const minTokens = given.minTokens ?? Math.min(defaults.minTokens ?? 0, maxTokens ?? MAX_COUNT);
  if (maxTokens !== undefined && minTokens > maxTokens) {
    throw new LLMError('ERR_INVALID_OPTION', `minTokens is ${minTokens}; expected at most maxTokens, ${maxTokens}.`);
  }
  return {
    maxTokens,
    minTokens,
    temperature: given.temperature ?? (sampling ? (sampling.temperature ?? 1) : draws ? 1 : 0),
    topK: given.topK ?? sampling?.topK,
    topP: given.topP ?? sampling?.topP,
    minP: given.minP ?? sampling?.minP,
    seed: given.seed,
    repetitionPenalty: given.repetitionPenalty ?? defaults.repetitionPenalty ?? 1,
    presencePenalty: given.presencePenalty ?? 0,
    frequencyPenalty: given.frequencyPenalty ?? 0,
    noRepeatNgram: given.noRepeatNgram ?? defaults.noRepeatNgram ?? 0,
    logitBias: new Map(Object.entries(given.logitBias ?? {}).map(([token, bias]) => [Number(token), Number(bias)])),
    stop: asList(given.stop),
    stopTokens: asRuns(given.stopTokens),
    badWords: asList(given.badWords),
    badTokens: asRuns(given.badTokens),
    ignoreEos: given.ignoreEos ?? false,
    n,
    bestOf,
    logprobs: (given.logprobs ?? false) || (given.topLogprobs ?? 0) > 0,
    topLogprobs: given.topLogprobs ?? 0,
    promptLogprobs: (given.promptLogprobs ?? false) || (given.topPromptLogprobs ?? 0) > 0,
    topPromptLogprobs: given.topPromptLogprobs ?? 0,
    returnContextLogits: given.returnContextLogits ?? false,
    returnGenerationLogits: given.returnGenerationLogits ?? false,
    addSpecialTokens: given.addSpecialTokens ?? true,
    skipSpecialTokens: given.skipSpecialTokens ?? true,
    timeoutMs: given.timeoutMs,
    queueTimeoutMs: given.queueTimeoutMs,
    signal: given.signal,
  };
}

const asList = (value: string | readonly string[] = []): string[] => (typeof value === 'string' ? [value] : [...value]);

const asRuns = (runs: readonly TokenRun[] = []): number[][] =>
  runs.map((run) => (typeof run === 'number' ? [run] : [...run]));

function isStrings(value: unknown): value is string | readonly string[] {
  const isText = (each: unknown): each is string => typeof each === 'string' && each !== '';
  return Array.isArray(value) ? value.every(isText) : isText(value);
}

export const isTokenId = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT;

function isTokenRuns(value: unknown): value is readonly TokenRun[] {
  const isRun = (run: unknown): boolean =>
    isTokenId(run) || (Array.isArray(run) && run.length > 0 && run.every(isTokenId));
  return Array.isArray(value) && value.every(isRun);
}

function isLogitBias(value: unknown): value is Readonly<Record<number, number>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([token, bias]) => /^\d+$/.test(token) && isTokenId(Number(token)) && Number.isFinite(bias),
  );
}
