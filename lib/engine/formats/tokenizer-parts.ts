/** A part of tokenizer.json, in the format of Hugging Face's `tokenizers`. */
export type Json = Readonly<Record<string, unknown>>;

export const byteLevel = ({ useRegex }: { useRegex: boolean }): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

export const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers });

export const split = (Regex: string): Json => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
});

/** A token that is found in a text before it is cut into words; a special one is left out of decoded text. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

/** A token by its name and id. */
export interface NamedToken {
  readonly id: number;
  readonly content: string;
}

/** What differs between tokenizers. */
export interface TokenizerParts {
  readonly added: readonly AddedToken[];
  readonly normalizer: Json | null;
  readonly preTokenizer: Json | null;
  readonly decoder: Json;
  readonly model: Json;
  /** Put around a text, unless it is asked for without. */
  readonly bos: NamedToken | undefined;
  readonly eos: NamedToken | undefined;
}

export const tokenizerJson = (parts: TokenizerParts): Json => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: parts.added.map((token) => ({
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    ...token,
  })),
  normalizer: parts.normalizer,
  pre_tokenizer: parts.preTokenizer,
  post_processor: postProcessor(parts.bos, parts.eos),
  decoder: parts.decoder,
  model: parts.model,
});

function postProcessor(bos: NamedToken | undefined, eos: NamedToken | undefined): Json | null {
  if (!bos && !eos) return null;
  const piece = (token: NamedToken | undefined): Json[] =>
    token ? [{ SpecialToken: { id: token.content, type_id: 0 } }] : [];
  const template = (...texts: string[]): Json[] =>
    texts.flatMap((id, type_id) => [...piece(bos), { Sequence: { id, type_id } }, ...piece(eos)]);
  const tokens = [bos, eos].filter((token) => token !== undefined);
  return {
    type: 'TemplateProcessing',
    single: template('A'),
    pair: template('A', 'B'),
    special_tokens: Object.fromEntries(
      tokens.map(({ id, content }) => [content, { id: content, ids: [id], tokens: [content] }]),
    ),
  };
}
