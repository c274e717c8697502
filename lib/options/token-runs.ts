import { boundedLength, check, fail, invalidOption, ownItem, readAs, show } from '../base/checks.js';
import { isTokenId, MAX_TOKENS } from './token-lists.js';

/** A run of token ids; one id alone is a run of one. */
export type TokenRun = number | readonly number[];

const isArray = (value: unknown): value is readonly TokenRun[] => Array.isArray(value);
const runs = check('an array of token ids and of non-empty arrays of token ids', isArray);

export const tokenRuns = readAs(runs, (given, name): number[][] => {
  const length = boundedLength(given, MAX_TOKENS, name);
  let left = MAX_TOKENS;
  const read: number[][] = [];
  for (let i = 0; i < length; i++) {
    const run = ownItem(given, i);
    const items: readonly unknown[] = Array.isArray(run) ? run : [run];
    left -= items.length;
    if (left < 0) throw invalidOption(name, `has more than ${MAX_TOKENS} tokens; expected at most ${MAX_TOKENS}.`);
    const copy: number[] = [];
    for (let j = 0; j < items.length; j++) {
      const token = ownItem(items, j);
      copy.push(isTokenId(token) ? token : fail(name, show(given), runs));
    }
    read.push(copy.length > 0 ? copy : fail(name, show(given), runs));
  }
  return read;
});

const MAX_TEXTS = 4096;
const MAX_TEXTS_LENGTH = 262_144; // of all together, in UTF-16 code units

const isTexts = (value: unknown): value is string | readonly string[] =>
  typeof value === 'string' || Array.isArray(value);
const textOrTexts = check('a non-empty string, or an array of non-empty strings', isTexts);

/** One string or several. */
export const texts = readAs(textOrTexts, (given, name): string[] => {
  const list: readonly unknown[] = typeof given === 'string' ? [given] : given;
  const length = boundedLength(list, MAX_TEXTS, name);
  let left = MAX_TEXTS_LENGTH;
  return Array.from({ length }, (_, i) => {
    const text = ownItem(list, i);
    if (typeof text !== 'string' || text === '') fail(name, show(given), textOrTexts);
    left -= text.length;
    if (left >= 0) return text;
    const expected = `expected at most ${MAX_TEXTS_LENGTH}`;
    throw invalidOption(name, `has more than ${MAX_TEXTS_LENGTH} characters in all; ${expected}.`);
  });
});
