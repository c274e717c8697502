import { basename } from 'node:path';
import type { LLM } from '../index.js';
import { failed } from './ai-sdk-failure.js';
import { PROVIDER, readCall } from './ai-sdk-options.js';
import { contentOf, finishReasonOf, metadataOf, usageOf } from './ai-sdk-result.js';
import { streamParts } from './ai-sdk-stream.js';
import type { CallOptions, GenerateResult, StreamPart } from './ai-sdk-types.js';

export {
  type TextEmbeddingModel,
  type TextEmbeddingModelOptions,
  textEmbeddingModel,
} from './ai-sdk-embedding.js';

/** How the AI SDK sees an LLM. */
export interface LanguageModelOptions {
  /** Name of the model in results and traces. Default: the name of the engine directory. */
  modelId?: string | undefined;
}

/** A language model of the AI SDK: what its functions take as `model`. */
export interface LanguageModel {
  readonly specificationVersion: 'v3';
  readonly provider: string;
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]>;
  doGenerate(options: CallOptions): Promise<GenerateResult>;
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }>;
}

/** An LLM as a model of the AI SDK, versions 6 and 7. It stays yours to close. */
export function languageModel(
  llm: LLM,
  { modelId = basename(llm.info.dir) }: LanguageModelOptions = {},
): LanguageModel {
  return {
    specificationVersion: 'v3', // AI SDK 7 takes it unchanged; 6 takes no later one
    provider: PROVIDER,
    modelId,
    supportedUrls: {},

    async doGenerate(call) {
      const { input, options, warnings } = readCall(call, llm);
      const result = await llm.generate(input, options).catch(failed);
      return {
        content: contentOf(result),
        finishReason: finishReasonOf(result),
        usage: usageOf(result.usage),
        providerMetadata: metadataOf(result),
        response: { modelId },
        warnings,
      };
    },

    async doStream(call) {
      const { input, options, warnings } = readCall(call, llm);
      const generation = llm.stream(input, options);
      const parts = streamParts(generation, { warnings, modelId, call });
      // What fails before the first token rejects here, so that the AI SDK tries again what can be.
      let first: IteratorResult<StreamPart, void> | undefined = await parts.next().catch(failed);
      const stream = new ReadableStream<StreamPart>(
        {
          async pull(controller) {
            const { done, value } = first ?? (await parts.next());
            first = undefined;
            if (done) controller.close();
            else controller.enqueue(value);
          },
          cancel: () => generation.abort(),
        },
        { highWaterMark: 0 }, // chunks merge while nobody reads
      );
      return { stream };
    },
  };
}
