import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Check, check, show } from './checks.js';
import { LLMError, messageOf } from './errors.js';

/** An option that pathOf reads. */
export const path = (): Check<string | URL> =>
  check('a path or a file: URL', (value) => typeof value === 'string' || value instanceof URL);

/** An argument that names a file or directory, as an absolute path. */
export function pathOf(name: string, value: string | URL): string {
  if (typeof value === 'string' && value !== '') return absolute(name, value);
  if (value instanceof URL && value.protocol === 'file:') return fileURLToPath(value);
  throw new LLMError('ERR_INVALID_OPTION', `${name} is ${show(value)}; expected a path or a file: URL.`);
}

/** @throws {LLMError} `ERR_INVALID_OPTION` if the path is relative to a current directory that is gone. */
function absolute(name: string, path: string): string {
  try {
    return resolve(path);
  } catch (cause) {
    const found = `${show(path)}, and the current directory cannot be found: ${messageOf(cause)}`;
    const fix = 'Pass an absolute path, or change to a directory that exists.';
    throw new LLMError('ERR_INVALID_OPTION', `${name} is ${found}; expected a path. ${fix}`, { option: name, cause });
  }
}
