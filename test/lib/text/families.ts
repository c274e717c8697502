import { Tokenizer as HuggingFaceTokenizer } from 'tokenizers';
import type { Tokenizer } from '#lib/text/tokenizer.js';
import { randomIntegers } from './fixtures.js';
import { randomText } from './random-text.js';

export type TokenizerJson = Record<string, unknown> & { added_tokens: { content: string }[] };

const byteLevel = (use_regex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});
const split = (Regex: string, settings: object = {}) => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
  ...settings,
});
const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const START = '[^\\r\\n\\p{L}\\p{N}]?';
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const words = (digits: string) => `${CONTRACTIONS}|${START}\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${REST}`;
const cased = (contractions: string, digits: string) =>
  `${START}${UPPER}*${LOWER}+${contractions}|${START}${UPPER}+${LOWER}*${contractions}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${REST}`;

/** How families of models cut a text before byte-level BPE. */
export const BYTE_LEVEL_FAMILIES: Readonly<Record<string, object>> = {
  'gpt-2': { pre_tokenizer: byteLevel(true) },
  smollm: { pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) },
  'llama-bpe': { pre_tokenizer: sequence(split(words('\\p{N}{1,3}')), byteLevel(false)) },
  qwen2: { normalizer: { type: 'NFC' }, pre_tokenizer: sequence(split(words('\\p{N}')), byteLevel(false)) },
  tekken: { pre_tokenizer: sequence(split(cased('', '\\p{N}')), byteLevel(false)) },
  o200k: {
    pre_tokenizer: sequence(
      split(cased(`${CONTRACTIONS}?`, '\\p{N}{1,3}'), { behavior: 'Removed', invert: true }),
      byteLevel(false),
    ),
  },
  deepseek: {
    pre_tokenizer: sequence(
      split('\\p{N}{1,3}'),
      split('[一-龥぀-ゟ゠-ヿ]+'),
      split(
        `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`,
      ),
      byteLevel(false),
    ),
  },
  falcon: {
    pre_tokenizer: sequence(
      { type: 'Punctuation', behavior: 'Contiguous' },
      byteLevel(true),
      { type: 'Digits', individual_digits: false },
      split('[0-9][0-9][0-9]'),
    ),
  },
};

const metaspace = (prepend_scheme: string, isSplit: boolean) => ({
  type: 'Metaspace',
  replacement: '▁',
  prepend_scheme,
  split: isSplit,
});
const replaceSpaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };

/** How SentencePiece's are written down. */
export const SENTENCEPIECE_FAMILIES: Readonly<Record<string, object>> = {
  llama2: { normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replaceSpaces] } },
  'metaspace-first': { normalizer: null, pre_tokenizer: metaspace('first', false) },
  'metaspace-always': { normalizer: { type: 'NFKC' }, pre_tokenizer: metaspace('always', true) },
  gemma: {
    normalizer: replaceSpaces,
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  },
  words: { normalizer: { type: 'Strip', strip_left: true, strip_right: true }, pre_tokenizer: { type: 'Whitespace' } },
};

const precompiled = (json: TokenizerJson): object =>
  (json.normalizer as { normalizers: object[] }).normalizers[0] as object;

/** How those of Unigram are written down, of a tokenizer whose normalizer begins with a map of characters. */
export const UNIGRAM_FAMILIES: Readonly<Record<string, (json: TokenizerJson) => object>> = {
  'unigram by words': () => ({}),
  'unigram after the map alone': (json) => ({
    normalizer: precompiled(json),
    pre_tokenizer: metaspace('first', false),
  }),
  'unigram with byte fallback': (json) => ({
    normalizer: SENTENCEPIECE_FAMILIES.llama2 && (SENTENCEPIECE_FAMILIES.llama2 as { normalizer: object }).normalizer,
    pre_tokenizer: null,
    model: withBytes(json.model as UnigramModel),
  }),
  'unigram without a type': (json) => ({ model: { ...(json.model as object), type: undefined } }),
};

interface UnigramModel {
  vocab: [token: string, score: number][];
}
const withBytes = (model: UnigramModel): object => ({
  ...model,
  byte_fallback: true,
  vocab: [
    ...model.vocab,
    ...Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0]),
  ],
});

/** Texts whose ids differ, of `count` random ones; each is shown with both. */
export async function differences(
  ours: Tokenizer,
  json: TokenizerJson,
  count: number,
  seed: number,
): Promise<string[]> {
  const theirs = HuggingFaceTokenizer.fromString(JSON.stringify(json));
  theirs.disableTruncation();
  theirs.disablePadding();
  const added = json.added_tokens.map(({ content }) => content);
  const random = randomIntegers(seed);
  const found: string[] = [];
  for (let i = 0; i < count; i++) {
    const text = randomText(random, added);
    const addSpecialTokens = random(2) === 0;
    const ids = (await ours.encode(text, { addSpecialTokens })).join();
    const expected = (await theirs.encode(text, null, { addSpecialTokens })).getIds().join();
    if (ids !== expected) found.push(`${JSON.stringify(text)}: ours ${ids}, theirs ${expected}`);
  }
  return found;
}
