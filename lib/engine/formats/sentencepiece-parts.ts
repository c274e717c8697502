import type { Json } from './tokenizer-parts.js';

/** What a token of a SentencePiece vocabulary is, by the numbers that its files and GGUF have. */
export const PieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A token of a SentencePiece vocabulary; its id is its place. */
export interface Piece {
  readonly text: string;
  /** Of neighbours that may be joined, those come first that make the token of the highest score. */
  readonly score: number;
  /** A {@link PieceType}. */
  readonly type: number;
}

/** What SentencePiece writes for a space. */
export const SPACE = '▁';

/** How it writes a text: spaces as {@link SPACE}, one of them before a text if `prefix`. */
export const spacesAsPieces = (prefix: boolean): Json[] => [
  ...(prefix ? [{ type: 'Prepend', prepend: SPACE }] : []),
  { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
];

/** Back to text. `<0x0A>` is a byte; the space that `prefix` put before the text is taken away. */
export const sentencePieceDecoder = (prefix: boolean): Json => ({
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ],
});

const isJoined = (type: number): boolean =>
  type === PieceType.normal || type === PieceType.userDefined || type === PieceType.unused;

/** The first token that is too long for {@link bpeOfPieces}; one that is found whole in a text may have any length. */
export const tooLongPiece = (pieces: readonly Piece[]): number =>
  pieces.findIndex(({ text, type }) => type !== PieceType.userDefined && isJoined(type) && text.length > MAX_JOINED);

/**
 * Byte pair encoding as SentencePiece does it, as a model of tokenizer.json. SentencePiece has no merges: it joins any two neighbours
 * that make a token, those with the highest score first and the leftmost of equals. Merges are made of that, and where an order
 * alone would not say the same, `merge_ties` has a number for each: those with the same number rank alike. `tokenizers` does not
 * know that field and goes by the order.
 */
export function bpeOfPieces(pieces: readonly Piece[], unk: string | undefined, byteFallback: boolean): Json {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const merges: { pair: [string, string]; score: number }[] = [];
  let hasTies = false;
  for (const { text, score, type } of pieces) {
    if (!isJoined(type) || text.length > MAX_JOINED) continue;
    const pairs = splitsOf(text, ids);
    const lefts = new Set(pairs.map(([left]) => left));
    // "aaa" is a|aa and aa|a: in a|aa|a both are there at once.
    hasTies ||= pairs.some(([, right]) => lefts.has(right));
    for (const pair of pairs) merges.push({ pair, score });
  }
  merges.sort((a, b) => b.score - a.score);
  const ties: number[] = [];
  let ranks = 0;
  for (const [index, { pair, score }] of merges.entries()) {
    const before = merges[index - 1];
    const isTied = before?.score === score;
    if (index > 0 && !isTied) ranks++;
    hasTies ||= isTied && before.pair.join('') !== pair.join('');
    ties.push(ranks);
  }
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unk ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(ids),
    merges: merges.map(({ pair }) => pair),
    ...(hasTies && { merge_ties: ties }),
  };
}

/** Characters of a token that others are joined to, at most; SentencePiece makes 16 unless told otherwise. */
export const MAX_JOINED = 256;

/** The pairs of tokens that make a token, in the order of their ids. */
function splitsOf(text: string, ids: ReadonlyMap<string, number>): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0xdc00 && code <= 0xdfff) continue; // within a character
    const left = text.slice(0, at);
    const right = text.slice(at);
    if (ids.has(left) && ids.has(right)) pairs.push([left, right]);
  }
  const idOf = (token: string): number => ids.get(token) as number;
  return pairs.sort((a, b) => idOf(a[0]) - idOf(b[0]) || idOf(a[1]) - idOf(b[1]));
}
