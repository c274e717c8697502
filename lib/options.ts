import { boolean, type Checks, check, integer, MAX_COUNT, number, readOptions, signal } from './checks.js';

/** What a request may set. What it leaves out is the model's `generation_config.json` to say, then the default named here. */
export interface GenerateOptions {
  /** New tokens at most, the prompt not counted; at least 1. Default: what the context window leaves. */
  maxTokens?: number;
  /**
   * Divides the logits: below 1 sharpens, above 1 flattens, 0 always takes the likeliest token. Default: the model's where
   * its configuration says `do_sample`; else 1 if `topK`, `topP` or `minP` is given, and 0 if not.
   */
  temperature?: number;
  /** Draws among this many likeliest tokens; 0 is all. Default: the model's, else 0. */
  topK?: number;
  /** Draws among the likeliest tokens that together reach this probability, above 0 to 1. Default: the model's, else 1. */
  topP?: number;
  /** Leaves out tokens below this fraction of the likeliest one's probability, 0 to 1. Default: the model's, else 0. */
  minP?: number;
  /** The same seed and the same logits give the same tokens; 0 to 2^53 - 1. Default: drawn anew for each request. */
  seed?: number;
  /** Text that ends the output where it would stand; it is not part of the text. Default: none. */
  stop?: string | readonly string[];
  /** Goes on past end tokens, up to `maxTokens`. Default: false. */
  ignoreEos?: boolean;
  /** Gives the log-probability of each token. Default: false. */
  logprobs?: boolean;
  /** How many of the likeliest tokens go with each logprob, 0 to 20; above 0 sets `logprobs`. Default: 0. */
  topLogprobs?: number;
  /** Gives the logits at each token of the prompt, in the result: 4 bytes x vocabulary x prompt tokens. Default: false. */
  returnContextLogits?: boolean;
  /** Gives the logits each output token was drawn from, in the result: 4 bytes x vocabulary x tokens. Default: false. */
  returnGenerationLogits?: boolean;
  /** For an input that is text: puts the special tokens around it that the model expects. Default: true. */
  addSpecialTokens?: boolean;
  /** Leaves special tokens, such as role marks, out of the text. Default: true. */
  skipSpecialTokens?: boolean;
  /** Milliseconds from the call, queueing included; then the request ends with what there is, `'timeout'`. Default: none. */
  timeoutMs?: number;
  /** Ends the request when it aborts: iterator and result then throw `signal.reason`. Default: none. */
  signal?: AbortSignal;
}

/** What the engine's `generation_config.json` sets. */
export interface SamplingDefaults {
  readonly doSample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
}

/** A request's options, checked, with nothing left to look up. */
export interface RequestOptions {
  maxTokens: number | undefined;
  temperature: number;
  topK: number | undefined;
  topP: number | undefined;
  minP: number | undefined;
  seed: number | undefined;
  stop: readonly string[];
  ignoreEos: boolean;
  logprobs: boolean;
  topLogprobs: number;
  returnContextLogits: boolean;
  returnGenerationLogits: boolean;
  addSpecialTokens: boolean;
  skipSpecialTokens: boolean;
  timeoutMs: number | undefined;
  signal: AbortSignal | undefined;
}

const checks = {
  maxTokens: integer(1, MAX_COUNT),
  temperature: number('at least 0', (value) => value >= 0),
  topK: integer(0, MAX_COUNT),
  topP: number('above 0 and at most 1', (value) => value > 0 && value <= 1),
  minP: number('from 0 to 1', (value) => value >= 0 && value <= 1),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  stop: check('a string that is not empty, or an array of such', isStop),
  ignoreEos: boolean(),
  logprobs: boolean(),
  topLogprobs: integer(0, 20),
  returnContextLogits: boolean(),
  returnGenerationLogits: boolean(),
  addSpecialTokens: boolean(),
  skipSpecialTokens: boolean(),
  timeoutMs: integer(1, MAX_COUNT), // what setTimeout takes
  signal: signal(),
} satisfies Checks<GenerateOptions>;

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, what it must be and what it is. */
export function readGenerateOptions(options: unknown, defaults: SamplingDefaults): RequestOptions {
  const given = readOptions<GenerateOptions>(options, checks, 'generate() and stream()');
  const sampling = defaults.doSample === true ? defaults : undefined;
  const draws = given.topK !== undefined || given.topP !== undefined || given.minP !== undefined;
  return {
    maxTokens: given.maxTokens,
    temperature: given.temperature ?? (sampling ? (sampling.temperature ?? 1) : draws ? 1 : 0),
    topK: given.topK ?? sampling?.topK,
    topP: given.topP ?? sampling?.topP,
    minP: given.minP ?? sampling?.minP,
    seed: given.seed,
    stop: typeof given.stop === 'string' ? [given.stop] : [...(given.stop ?? [])],
    ignoreEos: given.ignoreEos ?? false,
    logprobs: (given.logprobs ?? false) || (given.topLogprobs ?? 0) > 0,
    topLogprobs: given.topLogprobs ?? 0,
    returnContextLogits: given.returnContextLogits ?? false,
    returnGenerationLogits: given.returnGenerationLogits ?? false,
    addSpecialTokens: given.addSpecialTokens ?? true,
    skipSpecialTokens: given.skipSpecialTokens ?? true,
    timeoutMs: given.timeoutMs,
    signal: given.signal,
  };
}

function isStop(value: unknown): value is string | readonly string[] {
  const isText = (each: unknown): each is string => typeof each === 'string' && each !== '';
  return Array.isArray(value) ? value.every(isText) : isText(value);
}
