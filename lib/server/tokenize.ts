import * as v from 'valibot';
import type { LLM } from '../index.js';
import { readFields } from './body.js';
import { chatInput, promptFields } from './chat.js';
import type { Exchange } from './exchange.js';
import type { FailureContext } from './http-error.js';
import type { ServedModel } from './models.js';

const model = v.optional(v.string());
const boolean = v.optional(v.boolean());

const textSchema = v.strictObject({
  model,
  prompt: v.string(),
  add_special_tokens: boolean,
  return_token_strs: boolean,
});
const chatSchema = v.strictObject({ model, ...promptFields, add_special_tokens: boolean, return_token_strs: boolean });
const tokensSchema = v.strictObject({ model, tokens: v.custom<number[]>(Array.isArray) });

export async function tokenize(
  body: Readonly<Record<string, unknown>>,
  { llm }: ServedModel,
  { signal }: Exchange,
): Promise<Response> {
  const { text, addSpecialTokens, withTexts } = readText(body, llm);
  const tokens = await llm.tokenizer.encode(text, { addSpecialTokens, signal });
  return Response.json({
    count: tokens.length,
    max_model_len: llm.info.maxSeqLen,
    tokens: [...tokens],
    token_strs: withTexts ? Array.from(tokens, (token) => llm.tokenizer.tokenText(token)) : null,
  });
}

tokenize.context = { input: 'prompt' } satisfies FailureContext;

function readText(body: Readonly<Record<string, unknown>>, llm: LLM) {
  if ('messages' in body) {
    const fields = readFields(body, chatSchema);
    const { messages, ...options } = chatInput(fields, llm);
    const text = llm.tokenizer.applyChatTemplate(messages, options);
    return { text, addSpecialTokens: fields.add_special_tokens ?? false, withTexts: fields.return_token_strs };
  }
  const fields = readFields(body, textSchema);
  const { prompt: text, return_token_strs: withTexts } = fields;
  return { text, addSpecialTokens: fields.add_special_tokens ?? true, withTexts };
}

export async function detokenize(body: Readonly<Record<string, unknown>>, { llm }: ServedModel): Promise<Response> {
  const { tokens } = readFields(body, tokensSchema);
  return Response.json({ prompt: llm.tokenizer.decode(tokens, { skipSpecialTokens: false }) });
}

detokenize.context = { input: 'tokens' } satisfies FailureContext;

/** Of tokenizer_config.json, what evaluation tools read. */
export function tokenizerInfo({ llm }: ServedModel): Response {
  const { specialTokens, chatTemplates } = llm.tokenizer;
  const chat_template = chatTemplates.get('default') ?? null;
  return Response.json({ tokenizer_class: 'PreTrainedTokenizerFast', ...specialTokens, chat_template });
}
