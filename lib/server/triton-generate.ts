import * as v from 'valibot';
import type { GenerateOptions, Generation, LLM } from '../index.js';
import { tritonHead } from './answer.js';
import { type Fields, list, type Refused, readFields } from './body.js';
import { eventStream, serverSentEvent } from './event-stream.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext, tritonBody } from './http-error.js';
import type { ServedModel } from './models.js';
import { wordsOf } from './sampling-fields.js';

const number = v.optional(v.number());
const integer = v.optional(v.pipe(v.number(), v.integer()));
const boolean = v.optional(v.boolean());
const texts = v.optional(v.union([v.string(), list(v.string())]));
const one = v.optional(v.literal(1));
const no = v.optional(v.literal(false));
const ignored = v.optional(v.unknown());

/** The inputs of TensorRT-LLM's models in Triton. */
const generateSchema = v.strictObject({
  id: v.optional(v.string()),
  text_input: v.string(),
  stream: boolean,
  exclude_input_in_output: boolean,
  max_tokens: integer,
  min_tokens: integer,
  temperature: number,
  top_k: integer,
  top_p: number,
  seed: integer,
  repetition_penalty: number,
  presence_penalty: number,
  frequency_penalty: number,
  stop_words: texts,
  bad_words: texts,
  end_id: integer,
  pad_id: ignored,
  beam_width: one,
  num_return_sequences: one,
  return_log_probs: no,
  return_context_logits: no,
  return_generation_logits: no,
});
type GenerateFields = v.InferOutput<typeof generateSchema>;

const USE_CHAT = 'Use response_format of /v1/chat/completions.';
const REFUSED: Refused = {
  length_penalty: 'There is no beam search here.',
  lora_task_id: 'Load the adapter in the program that serves the model.',
  guided_decoding_guide: USE_CHAT,
  guided_decoding_guide_type: USE_CHAT,
};

const CONTEXT: FailureContext = { input: 'text_input', fields: { stop: 'stop_words' } };

export async function generate(body: Fields, model: ServedModel, exchange: Exchange): Promise<Response> {
  const fields = readGenerateFields(body, model.llm);
  if (fields.stream) throw badField('stream', 'is true; expected false. Use generate_stream.');
  const { text, usage } = await model.llm.generate(fields.text_input, {
    ...generateOptions(fields),
    ...exchange.options,
  });
  exchange.usage = usage;
  const prompt = fields.exclude_input_in_output ? '' : fields.text_input;
  return Response.json({ ...tritonHead(model, fields.id), text_output: prompt + text });
}

generate.context = CONTEXT;

export async function generateStream(body: Fields, model: ServedModel, exchange: Exchange): Promise<Response> {
  const fields = readGenerateFields(body, model.llm);
  if (fields.exclude_input_in_output === false) {
    throw badField('exclude_input_in_output', 'is false; expected true in a stream. Use generate.');
  }
  const generation = model.llm.stream(fields.text_input, { ...generateOptions(fields), ...exchange.options });
  const head = tritonHead(model, fields.id);
  return eventStream(generateEvents(generation, exchange, head), exchange, CONTEXT, {
    done: '',
    failure: (error) => serverSentEvent(tritonBody(error)),
  });
}

generateStream.context = CONTEXT;

/** Parameters count as fields. */
function readGenerateFields({ parameters = {}, ...given }: Fields, { info }: LLM): GenerateFields {
  if (typeof parameters !== 'object' || Array.isArray(parameters)) {
    throw badField('parameters', `is ${JSON.stringify(parameters)}; expected an object.`);
  }
  const fields = readFields({ ...parameters, ...given }, generateSchema, REFUSED);
  const { end_id: endId } = fields;
  if (endId === undefined || info.endIds.includes(endId)) return fields;
  throw badField('end_id', `is ${endId}; expected ${info.endIds.join(' or ')}, the model's own. Use stop_words.`);
}

function generateOptions(fields: GenerateFields): GenerateOptions {
  return {
    maxTokens: fields.max_tokens,
    minTokens: fields.min_tokens,
    temperature: fields.temperature,
    topK: fields.top_k,
    topP: fields.top_p,
    seed: fields.seed,
    repetitionPenalty: fields.repetition_penalty,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    stop: wordsOf(fields.stop_words),
    badWords: wordsOf(fields.bad_words),
  };
}

async function* generateEvents(
  generation: Generation,
  exchange: Exchange,
  head: object,
): AsyncGenerator<string, void, undefined> {
  for await (const { text, finishReason } of generation) {
    if (text !== '' || finishReason) yield serverSentEvent({ ...head, text_output: text });
  }
  exchange.usage = (await generation.result).usage;
}
