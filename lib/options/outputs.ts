import {
  boolean,
  boundedText,
  check,
  integer,
  invalidOption,
  listOf,
  MAX_COUNT,
  type Readers,
  readAs,
  text,
} from '../base/checks.js';
import { messageOf } from '../base/errors.js';
import { isJsonObject } from '../base/json.js';
import type { ResponseTemplate } from '../base/response-template.js';

/** How many outputs a request has, and what is returned with their text. */
export interface OutputOptions {
  /**
   * Number of outputs, each sampled on its own; 1 to 1024 and at most `maxBatchSize`. The prompt is computed once. Default:
   * 1.
   */
  n?: number | undefined;
  /**
   * Generate this many outputs and return the `n` likeliest, by the sum of their log-probabilities; from `n` to 1024. Above
   * `n`, nothing can be read until all have ended. Default: `n`.
   */
  bestOf?: number | undefined;
  /** Return the log-probability of each token. Default: false. */
  logprobs?: boolean | undefined;
  /** Number of likeliest tokens to return with each logprob, 0 to 20; above 0 turns on `logprobs`. Default: 0. */
  topLogprobs?: number | undefined;
  /** Return the log-probability of each prompt token, in the result. Default: false. */
  promptLogprobs?: boolean | undefined;
  /**
   * Position of the first prompt token to return a log-probability for; entries before it are null, and those tokens may come
   * from the KV cache. Turns on `promptLogprobs`. Default: 1; the first token has none.
   */
  promptLogprobsStart?: number | undefined;
  /** Number of likeliest tokens to return with each prompt logprob, 0 to 20; above 0 turns on `promptLogprobs`. Default: 0. */
  topPromptLogprobs?: number | undefined;
  /** Return the logits at each prompt token, in the result: 4 bytes x vocabulary x prompt tokens. Default: false. */
  returnContextLogits?: boolean | undefined;
  /** Return the logits for each output token, in the result: 4 bytes x vocabulary x output tokens. Default: false. */
  returnGenerationLogits?: boolean | undefined;
  /**
   * Maximum size of the logits that a request returns, in bytes, `returnContextLogits` and `returnGenerationLogits`
   * together; beyond it the request fails with `ERR_LOGITS_LIMIT`. Default: 268435456, which is 256 MiB.
   */
  maxLogitsBytes?: number | undefined;
  /** Names of engine tensors to return with each output; the engine must be loaded with them. Default: none. */
  additionalOutputs?: readonly string[] | undefined;
  /** For text input: add the special tokens that the model expects around it. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** Leave special tokens, such as role markers, out of the text. Default: true. */
  skipSpecialTokens?: boolean | undefined;
  /**
   * For `messages`: how to read reasoning and tool calls out of the answer; false leaves them in its text. Default: the
   * model's, `llm.responseTemplate`.
   */
  responseTemplate?: ResponseTemplate | false | undefined;
}

const MAX_TEMPLATE_LENGTH = 65_536; // as JSON text

/** A copy of plain data. */
const responseTemplate = readAs(
  check(
    'a response template, or false',
    (value): value is ResponseTemplate | false => value === false || isJsonObject(value),
  ),
  (value, name): unknown => {
    let json: string;
    try {
      json = JSON.stringify(value);
    } catch (cause) {
      throw invalidOption(name, `has no JSON text (${messageOf(cause)}); expected plain data.`);
    }
    return JSON.parse(boundedText(json, MAX_TEMPLATE_LENGTH, name)) as unknown;
  },
);

const MAX_SEQUENCES = 1024;

export const outputChecks = {
  n: integer(1, MAX_SEQUENCES),
  bestOf: integer(1, MAX_SEQUENCES),
  logprobs: boolean(),
  topLogprobs: integer(0, 20),
  promptLogprobs: boolean(),
  promptLogprobsStart: integer(0, MAX_COUNT),
  topPromptLogprobs: integer(0, 20),
  returnContextLogits: boolean(),
  returnGenerationLogits: boolean(),
  maxLogitsBytes: integer(0, Number.MAX_SAFE_INTEGER),
  additionalOutputs: listOf(text(), 'names'),
  addSpecialTokens: boolean(),
  skipSpecialTokens: boolean(),
  responseTemplate,
} satisfies Readers<OutputOptions>;
