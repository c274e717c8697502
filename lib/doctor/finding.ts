import { messageOf } from '../base/errors.js';

/** One thing that was checked. */
export interface Finding {
  /** What was checked: `'glibc'`, `'GPU 0'`. */
  name: string;
  /** `'missing'`: not there; `'wrong'`: there, but not usable. */
  state: 'ok' | 'missing' | 'wrong';
  /** What was found, for people. */
  found: string;
  /** How to fix it; undefined if there is nothing to fix, or `found` says how. */
  fix?: string | undefined;
}

/** What executors need on this machine, and what was found. */
export interface Diagnosis {
  /** Whether the default executor works or, if an engine was given, whether its executor works and the engine fits this machine. */
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
