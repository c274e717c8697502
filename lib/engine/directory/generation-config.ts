import { join } from 'node:path';
import type { GenerationDefaults } from '../../base/generation-defaults.js';
import { isJsonObject, type JsonContext, JsonFields, readJsonIfThere } from '../../base/json.js';
import { type ChatTemplates, readChatTemplates } from './chat-templates.js';

interface Generation {
  readonly generation: GenerationDefaults;
  readonly endIds: readonly number[];
}

interface TokenizerText {
  readonly chatTemplates: ChatTemplates;
  /** The tokens' own text by their names, `bos_token` and others, as a chat template takes them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Whether a text gets the begin and the end token; undefined: as tokenizer.json says. */
  readonly addBosToken: boolean | undefined;
  readonly addEosToken: boolean | undefined;
  /** How the model's answers are read, if it says so. */
  readonly responseTemplate: unknown;
}

const context = (dir: string, name: string, code: JsonContext['code']): JsonContext => ({
  file: join(dir, name),
  code,
  fix: 'Correct it in the file, or remove it.',
});

/**
 * Reads `generation_config.json`; where it names no end token, the tokenizer's `eosToken` is looked up in tokenizer.json. Only what
 * generation needs is looked at: no other field, such as a `pad_token_id` of -1, stops a load.
 */
export async function readGeneration(
  dir: string,
  vocabSize: number,
  tokenizer: { tokenizerPath: string | undefined; eosToken: string | undefined },
): Promise<Generation> {
  const where = context(dir, 'generation_config.json', 'ERR_ENGINE_CONFIG');
  const fields = (await readJsonIfThere(where)) ?? new JsonFields({}, where);
  // Below 0, as vLLM and others have it, and NaN and infinity say that there is no limit of this kind.
  const limit = <T>(name: string, read: (name: string) => T): T | undefined => {
    const value = fields.object[name];
    if (value === 'NaN' || (typeof value === 'number' && (value < 0 || !Number.isFinite(value)))) return undefined;
    return fields.maybe(name, read);
  };
  const endIds = readEndIds(fields, vocabSize);
  return {
    endIds: endIds.length > 0 ? endIds : await lookUpEndId(vocabSize, tokenizer),
    generation: {
      doSample: fields.maybe('do_sample', (name) => fields.boolean(name)),
      temperature: limit('temperature', (name) => fields.number(name)),
      topK: limit('top_k', (name) => fields.integer(name)),
      topP: limit('top_p', (name) => fields.number(name, { max: 1 })),
      minP: limit('min_p', (name) => fields.number(name, { max: 1 })),
      repetitionPenalty: limit('repetition_penalty', (name) => fields.positive(name)),
      noRepeatNgramSize: limit('no_repeat_ngram_size', (name) => fields.integer(name)),
      maxTokens: limit('max_new_tokens', (name) => fields.integer(name, { min: 1 })),
      minTokens: limit('min_new_tokens', (name) => fields.integer(name)),
    },
  };
}

/** Ids outside the vocabulary are left out, because no output can end with them. */
function readEndIds(fields: JsonFields, vocabSize: number): number[] {
  const value = fields.object.eos_token_id ?? [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  const isId = (id: unknown): id is number => typeof id === 'number' && Number.isInteger(id);
  if (!ids.every(isId)) throw fields.error('eos_token_id', 'token ids');
  return [...new Set(ids)].filter((id) => id >= 0 && id < vocabSize);
}

/** Of tokenizer.json, as native/text reads it: that of Llama 3 has 9 to 17 MB, the largest some 40 MB. */
export const MAX_TOKENIZER_BYTES = 128 << 20;

async function lookUpEndId(
  vocabSize: number,
  { tokenizerPath, eosToken }: { tokenizerPath: string | undefined; eosToken: string | undefined },
): Promise<number[]> {
  if (tokenizerPath === undefined || eosToken === undefined) return [];
  const context = {
    file: tokenizerPath,
    code: 'ERR_TOKENIZER_INVALID',
    fix: 'Correct it in the file, or name the end tokens as eos_token_id in generation_config.json.',
  } as const;
  const fields = await readJsonIfThere(context, MAX_TOKENIZER_BYTES);
  const added = fields?.object.added_tokens;
  const found: unknown = Array.isArray(added)
    ? added.find((token) => isJsonObject(token) && token.content === eosToken)
    : undefined;
  if (!isJsonObject(found)) return [];
  return [new JsonFields(found, context, `added_tokens "${eosToken}" `).integer('id', { max: vocabSize - 1 })];
}

const SPECIAL_TOKENS = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`);

/** Reads the chat templates and the special tokens' text: tokenizer_config.json, special_tokens_map.json, and files of templates. */
export async function readTokenizerText(dir: string): Promise<TokenizerText> {
  const [config, specialTokens] = await Promise.all([
    readJsonIfThere(context(dir, 'tokenizer_config.json', 'ERR_TOKENIZER_INVALID')),
    readJsonIfThere(context(dir, 'special_tokens_map.json', 'ERR_TOKENIZER_INVALID')),
  ]);
  const text = (name: string): string | undefined =>
    (config && tokenText(config, name)) ?? (specialTokens && tokenText(specialTokens, name));
  const named: Record<string, string> = {};
  for (const name of SPECIAL_TOKENS) {
    const token = text(name);
    if (token !== undefined) named[name] = token;
  }
  const responseTemplate = config?.object.response_template ?? undefined;
  return {
    chatTemplates: await readChatTemplates(dir, config),
    specialTokens: named,
    responseTemplate,
    ...addedTokens(config),
  };
}

/** Tokenizers of transformers 4 that go by these fields, and their defaults, whatever tokenizer.json says. */
const LLAMA_TOKENIZERS = /^(Llama|CodeLlama|Gemma|Cohere)Tokenizer(Fast)?$/;

/** `add_bos_token` and `add_eos_token` count for all tokenizers, as for llama.cpp and transformers 5. */
function addedTokens(config: JsonFields | undefined): Pick<TokenizerText, 'addBosToken' | 'addEosToken'> {
  const { tokenizer_class, add_bos_token: bos, add_eos_token: eos } = config?.object ?? {};
  const isLlama = LLAMA_TOKENIZERS.test(String(tokenizer_class));
  const flag = (value: unknown, fallback: boolean): boolean | undefined =>
    typeof value === 'boolean' ? value : isLlama ? fallback : undefined;
  return { addBosToken: flag(bos, true), addEosToken: flag(eos, false) };
}

/** A special token is a string or, in older files, an object with `content`. */
const tokenText = (fields: JsonFields, name: string): string | undefined =>
  fields.maybe(name, () =>
    typeof fields.object[name] === 'string' ? fields.string(name) : fields.child(name).string('content'),
  );
