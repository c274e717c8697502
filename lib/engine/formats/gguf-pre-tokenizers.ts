import { byteLevel, type Json, sequence, split } from './tokenizer-parts.js';

/** How a text is cut into words before byte-level BPE. */
export interface PreTokenizer {
  readonly json: Json;
  readonly normalizer?: Json;
  /** A word that is a token as a whole is taken as it is, whatever the merges. */
  readonly ignoreMerges?: true;
  readonly addsBos?: true;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const START = '[^\\r\\n\\p{L}\\p{N}]?';
const words = (digits: string): string =>
  `${CONTRACTIONS}|${START}\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const CASED = `${START}${UPPER}*${LOWER}+|${START}${UPPER}+${LOWER}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;

const bytesOf = (...splits: string[]): Json => sequence(...splits.map(split), byteLevel({ useRegex: false }));
const llama3 = bytesOf(words('\\p{N}{1,3}'));

const BY_NAME: readonly [names: readonly string[], rules: PreTokenizer][] = [
  // llama.cpp's own, for files that do not say.
  [['default'], { json: bytesOf('[\\p{P}$+<=>^~|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]') }],
  [['gpt-2'], { json: byteLevel({ useRegex: true }) }],
  [
    ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'midm-2.0'],
    { json: llama3, ignoreMerges: true, addsBos: true },
  ],
  [['smaug-bpe', 'dbrx'], { json: llama3 }],
  // The models normalize; llama.cpp does not.
  [['qwen2', 'deepseek-r1-qwen', 'megrez'], { json: bytesOf(words('\\p{N}')), normalizer: { type: 'NFC' } }],
  [
    ['smollm', 'starcoder', 'refact', 'minerva-7b'],
    { json: sequence({ type: 'Digits', individual_digits: true }, byteLevel({ useRegex: true })) },
  ],
  [['tekken'], { json: bytesOf(CASED), ignoreMerges: true, addsBos: true }],
];

/** By what `tokenizer.ggml.pre` says. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map(
  BY_NAME.flatMap(([names, rules]) => names.map((name) => [name, rules] as const)),
);
