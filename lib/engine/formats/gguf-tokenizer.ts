import type { GgufMetadata } from './gguf-metadata.js';
import type { LlamaModel } from './source.js';

/** A part of tokenizer.json, in the format of Hugging Face's `tokenizers`. */
type Json = Readonly<Record<string, unknown>>;

interface PreTokenizer {
  readonly json: Json;
  /** A word that is a token as a whole is taken as it is, whatever the merges. */
  readonly ignoreMerges: boolean;
  readonly addsBos: boolean;
}

const byteLevel = ({ useRegex }: { useRegex: boolean }): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers });
const split = (Regex: string): Json => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });

// How text is cut before BPE. `ByteLevel` with `use_regex` cuts as GPT-2 did.
const LLAMA3_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const PRE_TOKENIZERS = new Map<string, PreTokenizer>([
  ['gpt-2', { json: byteLevel({ useRegex: true }), ignoreMerges: false, addsBos: false }],
  [
    'llama-bpe',
    { json: sequence(split(LLAMA3_WORDS), byteLevel({ useRegex: false })), ignoreMerges: true, addsBos: true },
  ],
  [
    'smollm',
    {
      json: sequence({ type: 'Digits', individual_digits: true }, byteLevel({ useRegex: true })),
      ignoreMerges: false,
      addsBos: false,
    },
  ],
]);

const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * The tokenizer of a GGUF file as the files Hugging Face would have: name and text of each.
 * @throws {LLMError} `ERR_MODEL_UNSUPPORTED` naming a tokenizer or pre-tokenizer that is not known, `ERR_SOURCE_INVALID`.
 */
export function tokenizerFiles(metadata: GgufMetadata, model: LlamaModel): Map<string, string> {
  const files = new Map<string, string>();
  if (!metadata.has('tokenizer.ggml.model')) return files;
  const tokens = metadata.strings('tokenizer.ggml.tokens');
  if (tokens.length > model.vocab_size) {
    throw metadata.error('tokenizer.ggml.tokens', `at most ${model.vocab_size}, the rows of token_embd.weight`);
  }
  const special = specialTokens(metadata, tokens);
  const add = addedByDefault(metadata);
  files.set('tokenizer.json', JSON.stringify(tokenizerJson(metadata, tokens, special, add)));
  const texts = Object.fromEntries(Object.entries(special).map(([name, id]) => [`${name}_token`, tokens[id]]));
  files.set('special_tokens_map.json', pretty(texts));
  files.set(
    'tokenizer_config.json',
    pretty({
      add_bos_token: add.bos,
      add_eos_token: add.eos,
      clean_up_tokenization_spaces: false,
      model_max_length: model.max_position_embeddings,
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...texts,
    }),
  );
  files.set('generation_config.json', pretty(generationConfig(metadata, special, tokens.length)));
  const template = metadata.string('tokenizer.chat_template');
  if (template !== undefined) files.set('chat_template.jinja', template);
  return files;
}

const pretty = (value: Json): string => `${JSON.stringify(value, null, 2)}\n`;

type SpecialTokens = Partial<Record<'bos' | 'eos' | 'unk' | 'pad', number>>;

function specialTokens(metadata: GgufMetadata, tokens: readonly string[]): SpecialTokens {
  const keys = { bos: 'bos', eos: 'eos', unk: 'unknown', pad: 'padding' } as const;
  const special: SpecialTokens = {};
  for (const [name, word] of Object.entries(keys) as [keyof SpecialTokens, string][]) {
    const id = tokenId(metadata, `tokenizer.ggml.${word}_token_id`, tokens.length);
    if (id !== undefined) special[name] = id;
  }
  return special;
}

function tokenId(metadata: GgufMetadata, key: string, tokens: number): number | undefined {
  if (!metadata.has(key)) return undefined;
  const id = metadata.integer(key);
  if (id >= tokens) throw metadata.error(key, `an id below ${tokens}, the number of tokens`);
  return id;
}

function generationConfig(metadata: GgufMetadata, { bos, eos, pad }: SpecialTokens, tokens: number): Json {
  const ends = [eos, ...['eot', 'eom'].map((word) => tokenId(metadata, `tokenizer.ggml.${word}_token_id`, tokens))];
  const ids = [...new Set(ends.filter((id) => id !== undefined))];
  return {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(ids.length > 0 && { eos_token_id: ids.length === 1 ? ids[0] : ids }),
    ...(pad !== undefined && { pad_token_id: pad }),
  };
}

function preTokenizerOf(metadata: GgufMetadata): PreTokenizer {
  if (metadata.string('tokenizer.ggml.model') !== 'gpt2') {
    throw metadata.error(
      'tokenizer.ggml.model',
      '"gpt2" (byte-level BPE). Convert the model from its Hugging Face directory',
      'ERR_MODEL_UNSUPPORTED',
    );
  }
  const key = 'tokenizer.ggml.pre';
  const known = PRE_TOKENIZERS.get(metadata.string(key) ?? '');
  if (known) return known;
  const names = [...PRE_TOKENIZERS.keys()].map((name) => `"${name}"`).join(', ');
  throw metadata.error(
    key,
    `one of ${names}. Convert the model from its Hugging Face directory`,
    'ERR_MODEL_UNSUPPORTED',
  );
}

/** Whether a text gets a begin and an end token, unless it is asked for without. */
const addedByDefault = (metadata: GgufMetadata): { bos: boolean; eos: boolean } => ({
  bos: metadata.boolean('tokenizer.ggml.add_bos_token', { fallback: preTokenizerOf(metadata).addsBos }),
  eos: metadata.boolean('tokenizer.ggml.add_eos_token', { fallback: false }),
});

function tokenizerJson(
  metadata: GgufMetadata,
  tokens: readonly string[],
  special: SpecialTokens,
  add: { bos: boolean; eos: boolean },
): Json {
  const { json, ignoreMerges } = preTokenizerOf(metadata);
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  if (vocab.size !== tokens.length) {
    throw metadata.error('tokenizer.ggml.tokens', `no token twice; ${tokens.length - vocab.size} are`);
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(metadata, tokens),
    normalizer: null,
    pre_tokenizer: json,
    post_processor: postProcessor(tokens, add.bos ? special.bos : undefined, add.eos ? special.eos : undefined),
    decoder: byteLevel({ useRegex: true }),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(vocab),
      merges: mergesOf(metadata, vocab),
    },
  };
}

/** Tokens that are found in a text before it is cut: control tokens, which are left out of decoded text, and user-defined ones. */
function addedTokens(metadata: GgufMetadata, tokens: readonly string[]): Json[] {
  const key = 'tokenizer.ggml.token_type';
  const types = metadata.integers(key);
  if (types.length !== tokens.length) throw metadata.error(key, `one for each of ${tokens.length} tokens`);
  return tokens.flatMap((content, id) => {
    if (types[id] !== CONTROL && types[id] !== USER_DEFINED) return [];
    return [
      {
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: types[id] === CONTROL,
      },
    ];
  });
}

/** Merges are pairs; in GGUF a space stands between the two, which byte-level tokens themselves never hold. */
function mergesOf(metadata: GgufMetadata, vocab: ReadonlyMap<string, number>): [string, string][] {
  const key = 'tokenizer.ggml.merges';
  return metadata.strings(key).map((merge, index) => {
    const [left, right, ...rest] = merge.split(' ');
    if (left && right && rest.length === 0 && [left, right, left + right].every((token) => vocab.has(token))) {
      return [left, right];
    }
    throw metadata.error(key, `pairs that make tokens; merge ${index} is ${JSON.stringify(merge)}`);
  });
}

function postProcessor(tokens: readonly string[], bos: number | undefined, eos: number | undefined): Json {
  const offsets = byteLevel({ useRegex: true });
  if (bos === undefined && eos === undefined) return offsets;
  const ids = [bos, eos].filter((id) => id !== undefined);
  const piece = (id: number | undefined): Json[] =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id], type_id: 0 } }];
  const template = (...texts: string[]): Json[] =>
    texts.flatMap((id, type_id) => [...piece(bos), { Sequence: { id, type_id } }, ...piece(eos)]);
  const special_tokens = Object.fromEntries(
    ids.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
  );
  return {
    type: 'Sequence',
    processors: [
      offsets,
      { type: 'TemplateProcessing', single: template('A'), pair: template('A', 'B'), special_tokens },
    ],
  };
}
