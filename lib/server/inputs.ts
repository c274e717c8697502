import * as v from 'valibot';
import { badField } from './http-error.js';

/** Of one request: embeddings, continuations, prompts. */
export const MAX_INPUTS = 1024;

/** A text, token ids, or several of either. The LLM checks token ids, at once and up to its limit. */
export const textsOrTokens = v.custom<string | unknown[]>((value) => typeof value === 'string' || Array.isArray(value));

/** Several, even if one was given alone. */
export function severalOf(given: string | unknown[], field: string, most = MAX_INPUTS): unknown[] {
  const isOne = typeof given === 'string' || typeof given[0] === 'number';
  const several = isOne ? [given] : given;
  if (several.length === 0) throw badField(field, 'is empty; expected a text, token ids, or several of either.');
  if (several.length <= most) return several;
  throw badField(field, `has ${several.length} items; expected at most ${most}. Send fewer in a request.`);
}

/** As an LLM takes it. */
export function textOrTokens(given: unknown, field: string): string | { tokens: readonly number[] } {
  if (typeof given === 'string') return given;
  if (Array.isArray(given)) return { tokens: given };
  throw badField(field, 'is neither a text nor token ids; expected one of them.');
}
