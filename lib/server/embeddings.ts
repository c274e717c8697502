import * as v from 'valibot';
import { type Fields, type Refused, readFields } from './body.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import { MAX_INPUTS, severalOf, textOrTokens, textsOrTokens } from './inputs.js';
import { refuseAdapter, type ServedModel } from './models.js';

const embeddingsSchema = v.strictObject({
  model: v.optional(v.string()),
  input: textsOrTokens,
  encoding_format: v.optional(v.picklist(['float', 'base64'])),
  dimensions: v.optional(v.number()),
  user: v.optional(v.unknown()),
  // Beyond OpenAI's fields, the options of llm.embed.
  pooling: v.optional(v.picklist(['last', 'mean', 'cls'])),
  normalize: v.optional(v.boolean()),
  add_special_tokens: v.optional(v.boolean()),
  cache_salt: v.optional(v.string()),
});

const REFUSED: Refused = { messages: 'Put the text into input.' };

/** OpenAI's /v1/embeddings. */
export async function embeddings(body: Fields, model: ServedModel, exchange: Exchange): Promise<Response> {
  refuseAdapter(model);
  const { name, llm } = model;
  const fields = readFields(body, embeddingsSchema, REFUSED);
  const { dimensions, encoding_format } = fields;
  if (dimensions !== undefined && llm.capabilities.embeddings && dimensions !== llm.info.hiddenSize) {
    const fix = 'Leave it out: this server does not shorten embeddings.';
    throw badField('dimensions', `is ${dimensions}; expected ${llm.info.hiddenSize}. ${fix}`, 'unsupported_parameter');
  }
  const { maxQueueSize = MAX_INPUTS } = llm.handle;
  const most = Math.min(MAX_INPUTS, maxQueueSize + llm.info.maxBatchSize); // more would find the queue full each time
  const inputs = severalOf(fields.input, 'input', most).map((each, i) => textOrTokens(each, `input[${i}]`));
  const { embeddings, usage } = await llm.embed(inputs, {
    pooling: fields.pooling,
    normalize: fields.normalize,
    addSpecialTokens: fields.add_special_tokens,
    cacheSalt: fields.cache_salt,
    queueTimeoutMs: exchange.options.queueTimeoutMs,
    signal: exchange.signal,
  });
  exchange.usage = usage;
  const { promptTokens: prompt_tokens, totalTokens: total_tokens, cachedTokens: cached_tokens } = usage;
  return Response.json({
    object: 'list',
    model: name,
    data: embeddings.map((embedding, index) => ({
      object: 'embedding',
      index,
      embedding: encoding_format === 'base64' ? base64(embedding) : [...embedding],
    })),
    usage: { prompt_tokens, total_tokens, prompt_tokens_details: { cached_tokens } },
  });
}

embeddings.context = { input: 'input' } satisfies FailureContext;

/** Little-endian float32, as this package's platforms have it in memory. */
const base64 = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
