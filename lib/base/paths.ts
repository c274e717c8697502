import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { show } from './checks.js';
import { LLMError } from './errors.js';

/** An argument that names a file or directory, as an absolute path. */
export function pathOf(name: string, value: string | URL): string {
  if (typeof value === 'string' && value !== '') return resolve(value);
  if (value instanceof URL && value.protocol === 'file:') return fileURLToPath(value);
  throw new LLMError('ERR_INVALID_OPTION', `${name} is ${show(value)}; expected a path or a file: URL.`);
}
