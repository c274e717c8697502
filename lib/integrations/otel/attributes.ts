import type { Attributes } from '@opentelemetry/api';
import type { RequestEndEvent, RequestStartEvent } from '../../index.js';

// Names of the semantic conventions for generative AI, status Development, as of November 2026.

/** What every span and metric of a request has. */
export function operationOf(
  { input }: RequestStartEvent,
  model: string,
): Attributes & { 'gen_ai.operation.name': string } {
  return {
    'gen_ai.operation.name': input === 'messages' ? 'chat' : 'text_completion',
    'gen_ai.provider.name': 'node-tensorrt-llm',
    'gen_ai.request.model': model,
  };
}

export function requestAttributes({ options }: RequestStartEvent): Attributes {
  if (!options) return {};
  const { maxTokens, n, temperature, topK, topP, seed, presencePenalty, frequencyPenalty, stop } = options;
  return {
    'gen_ai.request.max_tokens': maxTokens,
    'gen_ai.request.choice.count': n === 1 ? undefined : n,
    'gen_ai.request.temperature': temperature,
    'gen_ai.request.top_k': topK,
    'gen_ai.request.top_p': topP,
    'gen_ai.request.seed': seed,
    'gen_ai.request.presence_penalty': presencePenalty,
    'gen_ai.request.frequency_penalty': frequencyPenalty,
    'gen_ai.request.stop_sequences': stop.length > 0 ? [...stop] : undefined,
  };
}

export function responseAttributes(
  { finishReason = 'cancelled', usage }: RequestEndEvent,
  { model, errorType }: { model: string; errorType: string | undefined },
): Attributes {
  return {
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': [errorType === undefined ? finishReason : 'error'],
    'gen_ai.usage.input_tokens': usage.promptTokens,
    'gen_ai.usage.output_tokens': usage.completionTokens,
    'gen_ai.usage.cache_read.input_tokens': usage.cachedTokens,
    'error.type': errorType,
  };
}
