import * as v from 'valibot';
import type { GenerateOptions, LLM } from '../index.js';
import { list } from './body.js';
import { badField } from './http-error.js';

// A field that is null was left out by parseFields; what is nested may be null.
const boolean = v.optional(v.boolean());
const number = v.optional(v.number());
const integer = v.optional(v.pipe(v.number(), v.integer()));

/** A field that may be there and changes nothing of the answer. */
const ignored = v.optional(v.unknown());

/** Fields of chat/completions and completions; the ranges of numbers are checked by the LLM. */
export const samplingFields = {
  model: v.optional(v.string()),
  stream: boolean,
  stream_options: v.optional(
    v.strictObject({
      include_usage: v.nullish(v.boolean()),
      include_obfuscation: ignored,
      continuous_usage_stats: v.nullish(v.literal(false)),
    }),
  ),
  max_tokens: integer,
  temperature: number,
  top_p: number,
  n: integer,
  stop: v.optional(v.union([v.string(), list(v.string())])),
  seed: integer,
  presence_penalty: number,
  frequency_penalty: number,
  logit_bias: v.optional(v.custom<Readonly<Record<string, number>>>((value) => typeof value === 'object')),
  // Names that vLLM has beyond OpenAI's.
  top_k: integer,
  min_p: number,
  repetition_penalty: number,
  min_tokens: integer,
  ignore_eos: boolean,
  skip_special_tokens: boolean,
  bad_words: v.optional(list(v.string())),
  cache_salt: v.optional(v.string()),
  user: ignored,
  request_id: ignored,
  // vllm-router adds these to each request.
  no_stop_trim: v.optional(v.literal(false)),
  return_hidden_states: v.optional(v.literal(false)),
};

/** What every chat request may have and what changes nothing here. */
export const ignoredFields = {
  // vllm-router adds these to each request.
  continue_final_message: v.optional(v.literal(false)),
  separate_reasoning: v.optional(v.literal(true)),
  stream_reasoning: v.optional(v.literal(true)),
  include_reasoning: v.optional(v.literal(true)),
  store: ignored,
  metadata: ignored,
  service_tier: ignored,
  prompt_cache_key: ignored,
  prompt_cache_retention: ignored,
  prompt_cache_options: ignored,
  safety_identifier: ignored,
  prediction: ignored,
};

const samplingSchema = v.strictObject(samplingFields);

export function samplingOptions(fields: v.InferOutput<typeof samplingSchema>): GenerateOptions {
  const { stop } = fields;
  return {
    maxTokens: fields.max_tokens,
    temperature: fields.temperature,
    topP: fields.top_p,
    topK: fields.top_k,
    minP: fields.min_p,
    n: fields.n,
    stop: stop?.length === 0 ? undefined : stop,
    seed: fields.seed,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    repetitionPenalty: fields.repetition_penalty,
    logitBias: fields.logit_bias,
    minTokens: fields.min_tokens,
    ignoreEos: fields.ignore_eos,
    skipSpecialTokens: fields.skip_special_tokens,
    badWords: fields.bad_words?.length ? fields.bad_words : undefined,
    cacheSalt: fields.cache_salt,
  };
}

/** Words that Triton's clients list; an empty text is none. */
export function wordsOf(given: string | readonly string[] = []): readonly string[] | undefined {
  const words = [given].flat().filter((word) => word !== '');
  return words.length === 0 ? undefined : words;
}

export const responseFormat = v.optional(
  v.variant('type', [
    v.object({ type: v.literal('text') }),
    v.object({ type: v.literal('json_object') }),
    v.object({
      type: v.literal('json_schema'),
      json_schema: v.looseObject({ schema: v.record(v.string(), v.unknown()) }),
    }),
  ]),
);

/**
 * Holds the answer to a format, which can follow the model's reasoning or else is all of it.
 * @throws {HttpError} 400 if the executor cannot hold the output to a format: an answer that only looks like it helps nobody.
 */
export function guidedBy(
  format: v.InferOutput<typeof responseFormat>,
  llm: LLM,
  field = 'response_format',
): Pick<GenerateOptions, 'guided' | 'responseTemplate'> {
  if (!format || format.type === 'text') return {};
  if (!llm.capabilities.guided) {
    const found = `is ${JSON.stringify(format.type)}, which the executor '${llm.info.executor}' cannot enforce`;
    throw badField(field, `${found}; expected "text".`, 'unsupported_parameter');
  }
  const guided = format.type === 'json_object' ? { json: true as const } : { jsonSchema: format.json_schema.schema };
  return llm.info.guidedAfterReasoning ? { guided } : { guided, responseTemplate: false };
}
