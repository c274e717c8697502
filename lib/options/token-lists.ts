import { check, integer, integers, listOf, MAX_COUNT, readAs } from '../base/checks.js';

/** The most tokens that an option can name: more than any model has. */
export const MAX_TOKENS = 65_536;

export const isTokenId = integer(0, MAX_COUNT).holds;

/** Runs of tokens back to back; run i ends before `offsets[i + 1]`. */
export interface NativeTokenLists {
  tokens: Int32Array;
  offsets: Int32Array;
}

/** Lists of integers back to back, as the addon takes them. */
export function packLists(lists: readonly ArrayLike<number>[]): NativeTokenLists {
  const offsets = new Int32Array(lists.length + 1);
  let end = 0;
  for (let i = 0; i < lists.length; i++) offsets[i + 1] = end += (lists[i] as ArrayLike<number>).length;
  const tokens = new Int32Array(end);
  for (let i = 0, at = 0; i < lists.length; i++) {
    const list = lists[i] as ArrayLike<number>;
    for (let j = 0; j < list.length; j++) tokens[at++] = list[j] as number; // set() takes longer for a short list
  }
  return { tokens, offsets };
}

const MAX_DEPTH = 64;
const path = integers(0, MAX_COUNT, MAX_DEPTH);
const isPath = (value: unknown): value is readonly number[] => Array.isArray(value) && path.holds(value);
const lists = listOf(
  readAs(check('a non-empty array of integers from 0', isPath), path.read),
  'non-empty arrays of integers from 0',
);

/** Paths of a tree of draft tokens: each a list of positions among the likeliest tokens, from the root. */
export const paths = readAs(lists, (given, name) => packLists(lists.read(given, name)));
