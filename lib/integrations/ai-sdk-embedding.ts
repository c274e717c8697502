import { basename } from 'node:path';
import type { LLM } from '../index.js';
import { failed } from './ai-sdk-failure.js';
import { PROVIDER } from './ai-sdk-options.js';

/** How the AI SDK sees an LLM that embeds. */
export interface TextEmbeddingModelOptions {
  /** Name of the model in results and traces. Default: the name of the engine directory. */
  modelId?: string | undefined;
  /** As of `llm.embed`. Default: `'last'`. */
  pooling?: 'last' | 'mean' | 'cls' | undefined;
  /** As of `llm.embed`. Default: true. */
  normalize?: boolean | undefined;
}

/** An embedding model of the AI SDK: what `embed` and `embedMany` take as `model`. */
export interface TextEmbeddingModel {
  readonly specificationVersion: 'v3';
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  doEmbed(options: { values: string[]; abortSignal?: AbortSignal | undefined }): Promise<{
    embeddings: number[][];
    usage: { tokens: number };
    warnings: [];
  }>;
}

/** An LLM as an embedding model of the AI SDK, versions 6 and 7. It stays yours to close. */
export function textEmbeddingModel(
  llm: LLM,
  { modelId = basename(llm.info.dir), pooling, normalize }: TextEmbeddingModelOptions = {},
): TextEmbeddingModel {
  return {
    specificationVersion: 'v3',
    provider: PROVIDER,
    modelId,
    maxEmbeddingsPerCall: Number.POSITIVE_INFINITY,
    supportsParallelCalls: true,

    async doEmbed({ values, abortSignal }) {
      const { embeddings, usage } = await llm.embed(values, { pooling, normalize, signal: abortSignal }).catch(failed);
      const vectors = embeddings.map((embedding) => [...embedding]);
      return { embeddings: vectors, usage: { tokens: usage.promptTokens }, warnings: [] };
    },
  };
}
