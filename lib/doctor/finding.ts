import { messageOf } from '../base/errors.js';

/** One thing that was looked at. */
export interface Finding {
  /** What: `'glibc'`, `'GPU 0'`. */
  name: string;
  /** `'missing'`: it is not there; `'wrong'`: it is there and does not do. */
  state: 'ok' | 'missing' | 'wrong';
  /** What was found, for people. */
  found: string;
  /** How to fix it; undefined where nothing is to be fixed, or `found` says it. */
  fix?: string | undefined;
}

/** What this machine has of what executors need. */
export interface Diagnosis {
  /** Whether the default executor works; where an engine was given, whether its executor does and the engine fits. */
  ok: boolean;
  findings: readonly Finding[];
}

export const ok = (name: string, found: string): Finding => ({ name, state: 'ok', found });
export const missing = (name: string, found: string, fix?: string): Finding => ({
  name,
  state: 'missing',
  found,
  fix,
});
export const wrong = (name: string, found: string, fix?: string): Finding => ({ name, state: 'wrong', found, fix });

/** Of an LLMError, whose message says what was found and how to fix it. */
export const wrongBy = (name: string, error: unknown): Finding => wrong(name, messageOf(error));
