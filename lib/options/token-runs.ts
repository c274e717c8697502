import { check, readAs } from '../base/checks.js';
import { isTokenId } from './token-lists.js';

/** A run of token ids; one id alone is a run of one. */
export type TokenRun = number | readonly number[];

export const tokenRuns = readAs(
  check('an array of token ids and of non-empty arrays of token ids', isTokenRuns),
  (runs) => runs.map((run) => (typeof run === 'number' ? [run] : [...run])),
);

/** One string or several. */
export const texts = readAs(check('a non-empty string, or an array of non-empty strings', isTexts), (value) =>
  typeof value === 'string' ? [value] : [...value],
);

function isTexts(value: unknown): value is string | readonly string[] {
  const isText = (each: unknown): each is string => typeof each === 'string' && each !== '';
  return Array.isArray(value) ? value.every(isText) : isText(value);
}

function isTokenRuns(value: unknown): value is readonly TokenRun[] {
  const isRun = (run: unknown): boolean =>
    isTokenId(run) || (Array.isArray(run) && run.length > 0 && run.every(isTokenId));
  return Array.isArray(value) && value.every(isRun);
}
