import { boolean, integer, listOf, type Readers, text } from '../base/checks.js';

/** How many outputs a request has, and what comes with their text. */
export interface OutputOptions {
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
  /**
   * Bytes of logits that a request may come to, `returnContextLogits` and `returnGenerationLogits` together; one that comes to
   * more fails with `ERR_LOGITS_LIMIT`. Default: 268435456, which is 256 MiB.
   */
  maxLogitsBytes?: number | undefined;
  /** Names of tensors of the engine that come with each output; the engine must be loaded with them. Default: none. */
  additionalOutputs?: readonly string[] | undefined;
  /** For an input that is text: puts the special tokens around it that the model expects. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** Leaves special tokens, such as role marks, out of the text. Default: true. */
  skipSpecialTokens?: boolean | undefined;
}

const MAX_SEQUENCES = 1024;

export const outputChecks = {
  n: integer(1, MAX_SEQUENCES),
  bestOf: integer(1, MAX_SEQUENCES),
  logprobs: boolean(),
  topLogprobs: integer(0, 20),
  promptLogprobs: boolean(),
  topPromptLogprobs: integer(0, 20),
  returnContextLogits: boolean(),
  returnGenerationLogits: boolean(),
  maxLogitsBytes: integer(0, Number.MAX_SAFE_INTEGER),
  additionalOutputs: listOf(text(), 'names'),
  addSpecialTokens: boolean(),
  skipSpecialTokens: boolean(),
} satisfies Readers<OutputOptions>;
