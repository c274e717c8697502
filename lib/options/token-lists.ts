import { check, integer, MAX_COUNT, readAs } from '../base/checks.js';

export const isTokenId = integer(0, MAX_COUNT).holds;

/** Runs of tokens back to back; run i ends before `offsets[i + 1]`. */
export interface NativeTokenLists {
  tokens: Int32Array;
  offsets: Int32Array;
}

/** Lists of integers back to back, as the addon takes them. */
export function packLists(lists: readonly ArrayLike<number>[]): NativeTokenLists {
  const offsets = new Int32Array(lists.length + 1);
  for (const [i, list] of lists.entries()) offsets[i + 1] = (offsets[i] as number) + list.length;
  const tokens = new Int32Array(offsets[lists.length] as number);
  for (const [i, list] of lists.entries()) tokens.set(list, offsets[i] as number);
  return { tokens, offsets };
}

/** Paths of a tree of draft tokens: each a list of positions among the likeliest tokens, from the root. */
export const paths = readAs(
  check(
    'a non-empty array of non-empty arrays of integers from 0',
    (value): value is readonly (readonly number[])[] =>
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((path) => Array.isArray(path) && path.length > 0 && path.every(isTokenId)),
  ),
  packLists,
);
