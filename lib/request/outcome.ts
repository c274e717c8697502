import type { Result } from '../base/types.js';

/** How a request ended: with a result, or with what the iterator and the result's promise throw. */
export type Outcome = { readonly result: Result } | { readonly error: unknown };
