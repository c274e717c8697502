import { boolean, enumerator, type Readers, readOptions } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { Result, Usage } from '../base/types.js';
import type { Capabilities } from '../options/capabilities.js';
import { PROMPT_ONLY, type PromptOptions, promptChecks, sumOfUsages } from './prompt-only.js';

/** How inputs become vectors. */
export interface EmbedOptions extends PromptOptions {
  /**
   * Which hidden states an embedding is, after the model's last norm: those of the last token, of the first one (`'cls'`), or
   * the mean over all tokens. Take the one that the model was trained with. Default: `'last'`.
   */
  pooling?: 'last' | 'mean' | 'cls' | undefined;
  /** Scale each embedding to length 1, so that a dot product is the cosine. Default: true. */
  normalize?: boolean | undefined;
}

/** Vectors, and what they took. */
export interface Embeddings {
  /** One for each input, in its order, of `llm.info.hiddenSize` numbers. */
  embeddings: Float32Array[];
  /** All inputs together. */
  usage: Usage;
}

const checks = {
  ...promptChecks,
  pooling: enumerator(['last', 'mean', 'cls']), // ExecutorPooling of native/executor/request.h
  normalize: boolean(),
} satisfies Readers<EmbedOptions>;

/** @throws {LLMError} `ERR_INVALID_OPTION`. */
export function readEmbedOptions(options: EmbedOptions) {
  const { pooling = 0, normalize = true, ...request } = readOptions(options, checks, 'embed()');
  return { pooling, normalize, request: { ...PROMPT_ONLY, ...request } };
}

/** @throws {LLMError} `ERR_UNSUPPORTED`. */
export function requireEmbeddings({ embeddings }: Capabilities, executor: string): void {
  if (embeddings) return;
  throw new LLMError(
    'ERR_UNSUPPORTED',
    `embed() needs llm.capabilities.embeddings, which the executor '${executor}' does not have. Load a checkpoint with executor: 'cpu' or 'cuda'.`,
  );
}

/** A result of a request for an embedding. */
export interface EmbeddingResult extends Result {
  embedding?: Float32Array;
}

export const embeddingsOf = (results: readonly EmbeddingResult[], normalize: boolean): Embeddings => ({
  embeddings: results.map(({ embedding }) => {
    if (embedding) return normalize ? normalized(embedding) : embedding;
    throw new LLMError('ERR_EXECUTOR_FAILED', 'The executor returned no embedding; expected one. Report it.');
  }),
  usage: sumOfUsages(results),
});

/** Scales it in place. One of zeros has no direction and stays. */
function normalized(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  if (length === 0) return vector;
  for (let i = 0; i < vector.length; i++) (vector[i] as number) /= length;
  return vector;
}
