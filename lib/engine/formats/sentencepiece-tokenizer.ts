import { isJsonObject, type JsonFields } from '../../base/json.js';
import type { SentencePieceModel } from './sentencepiece-model.js';
import {
  bpeOfPieces,
  type Piece,
  PieceType,
  SPACE,
  sentencePieceDecoder,
  spacesAsPieces,
} from './sentencepiece-parts.js';
import { type AddedToken, type Json, type NamedToken, tokenizerJson } from './tokenizer-parts.js';

/** What lies beside `tokenizer.model`, where it does. */
export interface TokenizerSettings {
  /** tokenizer_config.json */
  readonly config?: JsonFields | undefined;
  /** added_tokens.json, of older versions of transformers. */
  readonly added?: JsonFields | undefined;
  /** special_tokens_map.json */
  readonly special?: JsonFields | undefined;
}

/**
 * The tokenizer.json that says the same as a SentencePiece model and the settings beside it, as transformers 4 has it:
 * - control and user-defined pieces are found in a text as it is, before SentencePiece's own steps, which run between them;
 * - what the model says of characters and spaces counts, and so does `add_prefix_space`;
 * - `legacy` puts the space before each part of a text, and not only before the first (the default, for these files);
 * - a text begins with the begin token, unless `add_bos_token` says otherwise; with a T5 tokenizer it ends with the end token.
 */
export function sentencePieceTokenizer(model: SentencePieceModel, settings: TokenizerSettings): string {
  const { config } = settings;
  const pieces = [...model.pieces];
  const added = addedTokens(pieces, settings);
  const prefix = config?.boolean('add_prefix_space', { fallback: model.addPrefix }) ?? model.addPrefix;
  const legacy = config?.boolean('legacy', { fallback: true }) ?? true;
  const isT5 = String(config?.object.tokenizer_class ?? '').startsWith('T5');
  const ids = new Map([
    ...pieces.map(({ text }, id) => [text, id] as const),
    ...added.map((each) => [each.content, each.id] as const),
  ]);
  const around = (name: 'bos' | 'eos', addedByDefault: boolean): NamedToken | undefined => {
    const adds = config?.boolean(`add_${name}_token`, { fallback: addedByDefault }) ?? addedByDefault;
    const content =
      tokenText(settings, `${name}_token`) ?? (model[name] === undefined ? undefined : pieces[model[name]]?.text);
    const id = content === undefined ? undefined : ids.get(content);
    return adds && content !== undefined && id !== undefined ? { id, content } : undefined;
  };
  return JSON.stringify(
    tokenizerJson({
      added,
      ...steps(model, prefix, legacy),
      decoder: sentencePieceDecoder(prefix),
      model:
        model.type === 'bpe'
          ? bpeOfPieces(pieces, pieces[model.unk]?.text, model.byteFallback)
          : unigram(model, pieces),
      bos: around('bos', !isT5),
      eos: around('eos', isT5),
    }),
  );
}

/** A special token is a string or, in older files, an object with `content`. */
function tokenText({ config, special }: TokenizerSettings, name: string): string | undefined {
  const values = [config?.object[name], special?.object[name]];
  const texts = values.map((value) => (isJsonObject(value) ? value.content : value));
  return texts.find((text) => typeof text === 'string');
}

const replace = (pattern: object, content: string): Json => ({ type: 'Replace', pattern, content });

function steps(model: SentencePieceModel, prefix: boolean, legacy: boolean) {
  const space = model.escapeSpaces ? SPACE : ' ';
  const isFirstOnly = prefix && !legacy && model.escapeSpaces;
  const map = Buffer.from(model.characterMap).toString('base64');
  const prefixed = prefix && !isFirstOnly;
  const normalizers: Json[] = [
    // `match` is our own: tokenizers look up what a reader takes for one character, and SentencePiece the longest part.
    ...(map === '' ? [] : [{ type: 'Precompiled', precompiled_charsmap: map, match: 'longest' }]),
    ...(model.removeSpaces ? [replace({ Regex: '\\A +' }, ''), replace({ Regex: ' {2,}' }, ' ')] : []),
    ...(model.escapeSpaces ? spacesAsPieces(prefixed) : prefixed ? [{ type: 'Prepend', prepend: ' ' }] : []),
    ...(model.removeSpaces ? [replace({ Regex: `${space}+\\z` }, '')] : []),
  ];
  const metaspace = { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'first', split: false };
  return {
    normalizer: normalizers.length > 0 ? { type: 'Sequence', normalizers } : null,
    preTokenizer: isFirstOnly ? metaspace : null,
  };
}

const unigram = (model: SentencePieceModel, pieces: readonly Piece[]): Json => ({
  type: 'Unigram',
  unk_id: model.unk,
  vocab: pieces.map(({ text, score }) => [text, score]),
  byte_fallback: model.byteFallback,
});

/** Those of the model, and those that were added to it. A piece that has another name there gets that name. */
function addedTokens(pieces: Piece[], settings: TokenizerSettings): AddedToken[] {
  const added = new Map<number, AddedToken>();
  for (const [id, { text: content, type }] of pieces.entries()) {
    const special = type === PieceType.control || type === PieceType.unknown;
    if (special || type === PieceType.userDefined) added.set(id, { id, content, special });
  }
  for (const token of addedBeside(settings)) {
    const piece = pieces[token.id];
    if (piece) pieces[token.id] = { ...piece, text: token.content };
    added.set(token.id, token);
  }
  const tokens = [...added.values()].sort((a, b) => a.id - b.id);
  const { config, added: older } = settings;
  const gap = tokens.filter(({ id }) => id >= pieces.length).find(({ id }, index) => id !== pieces.length + index);
  const [file, name] = config?.has('added_tokens_decoder')
    ? [config, 'added_tokens_decoder']
    : [older ?? config, 'tokens'];
  if (gap && file)
    throw file.error(
      name,
      `ids that follow the ${pieces.length} pieces of tokenizer.model without gaps; ${gap.id} does not`,
    );
  const texts = new Set([...pieces.map(({ text }) => text), ...tokens.map(({ content }) => content)]);
  const count = Math.max(pieces.length, (tokens.at(-1)?.id ?? 0) + 1);
  if (texts.size !== count && file)
    throw file.error(name, `a name of its own for each token; ${count - texts.size} have that of another`);
  return tokens;
}

function addedBeside({ config, added, special }: TokenizerSettings): AddedToken[] {
  if (config?.has('added_tokens_decoder')) {
    const decoder = config.child('added_tokens_decoder');
    return Object.keys(decoder.object).map((key): AddedToken => {
      const token = decoder.child(key);
      const id = Number(key);
      if (!Number.isInteger(id) || id < 0) throw decoder.error(key, 'an id as its name');
      const flag = (name: string): boolean => token.boolean(name, { fallback: false });
      return {
        id,
        content: token.string('content'),
        single_word: flag('single_word'),
        lstrip: flag('lstrip'),
        rstrip: flag('rstrip'),
        normalized: flag('normalized'),
        special: flag('special'),
      };
    });
  }
  if (!added) return [];
  const names = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'];
  const values = [config, special].flatMap((fields) =>
    [...names, 'additional_special_tokens'].flatMap((name) => fields?.object[name] ?? []),
  );
  const specialTexts = new Set(values.map((value) => (isJsonObject(value) ? value.content : value)));
  return Object.keys(added.object).map((content) => ({
    id: added.integer(content),
    content,
    special: specialTexts.has(content),
  }));
}
