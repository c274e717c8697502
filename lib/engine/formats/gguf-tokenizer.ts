import { TEMPLATE_DIRECTORY } from '../directory/chat-templates.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { PRE_TOKENIZERS } from './gguf-pre-tokenizers.js';
import {
  bpeOfPieces,
  MAX_JOINED,
  type Piece,
  PieceType,
  sentencePieceDecoder,
  spacesAsPieces,
  tooLongPiece,
} from './sentencepiece-parts.js';
import type { LlamaModel } from './source.js';
import { type AddedToken, byteLevel, type Json, type TokenizerParts, tokenizerJson } from './tokenizer-parts.js';

/**
 * The tokenizer of a GGUF file as the files Hugging Face would have: name and text of each. What the file does not say is as
 * llama.cpp has it.
 * @throws {LLMError} `ERR_MODEL_UNSUPPORTED` naming a tokenizer or pre-tokenizer that is not known, `ERR_SOURCE_INVALID`.
 */
export function tokenizerFiles(metadata: GgufMetadata, model: LlamaModel): Map<string, string> {
  const files = new Map<string, string>();
  if (!metadata.has('tokenizer.ggml.model')) return files;
  const vocabulary = readVocabulary(metadata, model);
  const { tokens, special, ends, add } = vocabulary;
  files.set('tokenizer.json', JSON.stringify(tokenizerJson(partsOf(metadata, vocabulary))));
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
  files.set('generation_config.json', pretty(generationConfig(special, ends)));
  for (const [file, template] of chatTemplates(metadata)) files.set(file, template);
  return files;
}

const TEMPLATE = 'tokenizer.chat_template';

/** The one without a name, and those whose names stand behind its key. */
function* chatTemplates(metadata: GgufMetadata): Generator<[file: string, template: string]> {
  const names = [...metadata.keys()].flatMap(
    (key) => /^tokenizer\.chat_template\.([\w-]{1,100})$/.exec(key)?.[1] ?? [],
  );
  for (const name of [undefined, ...names]) {
    const template = metadata.string(name === undefined ? TEMPLATE : `${TEMPLATE}.${name}`);
    const file = name === undefined ? 'chat_template.jinja' : `${TEMPLATE_DIRECTORY}/${name}.jinja`;
    if (template !== undefined) yield [file, template];
  }
}

const pretty = (value: Json): string => `${JSON.stringify(value, null, 2)}\n`;

type SpecialTokens = Partial<Record<'bos' | 'eos' | 'unk' | 'pad', number>>;

interface Vocabulary {
  readonly tokens: readonly string[];
  /** A {@link PieceType} for each token. */
  readonly types: Int32Array;
  readonly special: SpecialTokens;
  /** Tokens that end an output. */
  readonly ends: readonly number[];
  /** Whether a text gets a begin and an end token, unless it is asked for without. */
  readonly add: { readonly bos: boolean; readonly eos: boolean };
}

function readVocabulary(metadata: GgufMetadata, model: LlamaModel): Vocabulary {
  const tokens = metadata.strings('tokenizer.ggml.tokens').map((token, id) => token || `[EMPTY_${id}]`);
  if (tokens.length > model.vocab_size) {
    throw metadata.error('tokenizer.ggml.tokens', `at most ${model.vocab_size}, the rows of token_embd.weight`);
  }
  const ids = new Map(tokens.map((token, id) => [token, id]));
  if (ids.size !== tokens.length) {
    throw metadata.error('tokenizer.ggml.tokens', `no token twice; ${tokens.length - ids.size} are`);
  }
  const isSentencePiece = checkModel(metadata) === 'llama';
  const special = specialTokens(metadata, tokens.length, isSentencePiece);
  const ends = endTokens(metadata, ids, special.eos);
  const types = tokenTypes(metadata, tokens, special);
  // These are control tokens whatever the file says, because some files say something else.
  for (const id of ends) types[id] = PieceType.control;
  const addsBos = isSentencePiece || preTokenizerOf(metadata).addsBos === true;
  const add = {
    bos: metadata.boolean('tokenizer.ggml.add_bos_token', { fallback: addsBos }),
    eos: metadata.boolean('tokenizer.ggml.add_eos_token', { fallback: false }),
  };
  return { tokens, types, special, ends, add };
}

function checkModel(metadata: GgufMetadata): 'gpt2' | 'llama' {
  const model = metadata.string('tokenizer.ggml.model');
  if (model === 'gpt2' || model === 'llama') return model;
  throw metadata.error(
    'tokenizer.ggml.model',
    '"gpt2" (byte-level BPE) or "llama" (SentencePiece). Convert the model from its Hugging Face directory',
    'ERR_MODEL_UNSUPPORTED',
  );
}

function specialTokens(metadata: GgufMetadata, tokens: number, isSentencePiece: boolean): SpecialTokens {
  const special: SpecialTokens = isSentencePiece && tokens > 2 ? { bos: 1, eos: 2, unk: 0 } : {};
  for (const name of ['bos', 'eos'] as const) {
    const id = tokenId(metadata, `tokenizer.ggml.${name}_token_id`, tokens);
    if (id !== undefined) special[name] = id;
  }
  // An id that no token has, as some files have it, stands for none: text needs neither.
  for (const [name, word] of [
    ['unk', 'unknown'],
    ['pad', 'padding'],
  ] as const) {
    const key = `tokenizer.ggml.${word}_token_id`;
    const id = metadata.has(key) ? metadata.integer(key) : undefined;
    if (id !== undefined && id < tokens) special[name] = id;
  }
  return special;
}

function tokenId(metadata: GgufMetadata, key: string, tokens: number): number | undefined {
  if (!metadata.has(key)) return undefined;
  const id = metadata.integer(key);
  if (id >= tokens) throw metadata.error(key, `an id below ${tokens}, the number of tokens`);
  return id;
}

/** Tokens that end an output by their names, because most files name only one of those that the model writes. */
const END_NAMES = [
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<|call|>', '<|flush|>', '<|calls|>', '<end_of_turn>'],
  ...['<|endoftext|>', '</s>', '<|eom_id|>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<|end_of_text|>', '<eos>'],
  ...['<end_of_utterance>', '<turn|>', '<|tool_response>', '<｜end▁of▁sentence｜>', '[e~['],
];
/** What comes behind code that was filled in: one of each ends an output too. */
const FILL_IN_NAMES = {
  fim_pad: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  fim_rep: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  fim_sep: ['<|file_sep|>'],
};

function endTokens(metadata: GgufMetadata, ids: ReadonlyMap<string, number>, eos: number | undefined): number[] {
  const named = (word: string): number | undefined => tokenId(metadata, `tokenizer.ggml.${word}_token_id`, ids.size);
  const fillIn = Object.entries(FILL_IN_NAMES).map(
    ([word, names]) => named(word) ?? names.map((name) => ids.get(name)).find((id) => id !== undefined),
  );
  const all = [eos, named('eot'), named('eom'), ...END_NAMES.map((name) => ids.get(name)), ...fillIn];
  const ends = new Set(all.filter((id) => id !== undefined));
  const drop = (name: string, ...ifThere: string[]): void => {
    const id = ids.get(name);
    if (id !== undefined && ifThere.every((other) => ids.has(other))) ends.delete(id);
  };
  // In these formats it ends a part of an output, and not the output.
  drop('<|end|>', '<|return|>', '<|call|>');
  drop('<|end|>', '<|calls|>', '<|flush|>');
  drop('</s>', '<|tool_response>');
  return [...ends];
}

function tokenTypes(metadata: GgufMetadata, tokens: readonly string[], special: SpecialTokens): Int32Array {
  const key = 'tokenizer.ggml.token_type';
  if (metadata.has(key)) {
    const types = metadata.integers(key);
    if (types.length !== tokens.length) throw metadata.error(key, `one for each of ${tokens.length} tokens`);
    return Int32Array.from(types);
  }
  const types = new Int32Array(tokens.length).fill(PieceType.normal);
  for (const id of Object.values(special)) types[id] = PieceType.control;
  for (const [id, token] of tokens.entries()) if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = PieceType.byte;
  return types;
}

function generationConfig({ bos, pad }: SpecialTokens, ends: readonly number[]): Json {
  return {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(ends.length > 0 && { eos_token_id: ends.length === 1 ? ends[0] : ends }),
    ...(pad !== undefined && { pad_token_id: pad }),
  };
}

function preTokenizerOf(metadata: GgufMetadata) {
  const key = 'tokenizer.ggml.pre';
  const known = PRE_TOKENIZERS.get(metadata.string(key) ?? 'default');
  if (known) return known;
  const names = [...PRE_TOKENIZERS.keys()].map((name) => `"${name}"`).join(', ');
  throw metadata.error(
    key,
    `one of ${names}. Convert the model from its Hugging Face directory`,
    'ERR_MODEL_UNSUPPORTED',
  );
}

function partsOf(metadata: GgufMetadata, vocabulary: Vocabulary): TokenizerParts {
  const { tokens, special, add } = vocabulary;
  const named = (id: number | undefined) => (id === undefined ? undefined : { id, content: tokens[id] as string });
  const common = {
    added: addedTokens(metadata, vocabulary),
    bos: add.bos ? named(special.bos) : undefined,
    eos: add.eos ? named(special.eos) : undefined,
  };
  return metadata.string('tokenizer.ggml.model') === 'llama'
    ? { ...common, ...sentencePieceParts(metadata, vocabulary) }
    : { ...common, ...byteLevelParts(metadata, tokens) };
}

function byteLevelParts(metadata: GgufMetadata, tokens: readonly string[]) {
  const { json, normalizer, ignoreMerges } = preTokenizerOf(metadata);
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  return {
    normalizer: normalizer ?? null,
    preTokenizer: json,
    decoder: byteLevel({ useRegex: true }),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges === true,
      vocab: Object.fromEntries(vocab),
      merges: mergesOf(metadata, vocab),
    },
  };
}

function sentencePieceParts(metadata: GgufMetadata, { tokens, types, special }: Vocabulary) {
  const prefix = metadata.boolean('tokenizer.ggml.add_space_prefix', { fallback: true });
  const scores = metadata.has('tokenizer.ggml.scores') ? metadata.numbers('tokenizer.ggml.scores') : undefined;
  if (scores && scores.length !== tokens.length) {
    throw metadata.error('tokenizer.ggml.scores', `one for each of ${tokens.length} tokens`);
  }
  const pieces = tokens.map((text, id): Piece => ({ text, score: scores?.[id] ?? 0, type: types[id] as number }));
  const tooLong = tooLongPiece(pieces);
  if (tooLong >= 0) {
    throw metadata.error(
      'tokenizer.ggml.tokens',
      `at most ${MAX_JOINED} characters in each; token ${tooLong} has more`,
    );
  }
  const unk = special.unk === undefined ? undefined : tokens[special.unk];
  return {
    normalizer: { type: 'Sequence', normalizers: spacesAsPieces(prefix) },
    preTokenizer: null,
    decoder: sentencePieceDecoder(prefix),
    model: bpeOfPieces(pieces, unk, true),
  };
}

/** Control and unknown tokens, which are left out of decoded text, and user-defined ones. */
function addedTokens(metadata: GgufMetadata, { tokens, types }: Vocabulary): AddedToken[] {
  const { control, unknown, userDefined } = PieceType;
  // Their files do not say so, but the models were trained without the whitespace behind these.
  const isPhi3 = /phi-?3/i.test(metadata.string('general.name') ?? '');
  return tokens.flatMap((content, id) => {
    const type = types[id] as number;
    if (![control, unknown, userDefined].some((each) => each === type)) return [];
    const rstrip = isPhi3 && !['<unk>', '<s>', '<|endoftext|>'].includes(content);
    return [{ id, content, special: type !== userDefined, ...(rstrip && { rstrip }) }];
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
