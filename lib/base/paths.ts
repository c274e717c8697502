import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Check, check, show } from './checks.js';
import { LLMError, messageOf } from './errors.js';

/** An option that pathOf reads. */
export const path = (): Check<string | URL> =>
  check('a path or a file: URL', (value) => typeof value === 'string' || value instanceof URL);

/** An argument that names a file or directory, as an absolute path. A `file:` URL may be a string, as import.meta.resolve gives it. */
export function pathOf(name: string, value: string | URL): string {
  if (typeof value === 'string' && value !== '')
    return FILE_URL.test(value) ? ofUrl(name, value) : absolute(name, value);
  if (value instanceof URL && value.protocol === 'file:') return ofUrl(name, value);
  throw new LLMError('ERR_INVALID_OPTION', `${name} is ${show(value)}; expected a path or a file: URL.`, {
    option: name,
  });
}

const FILE_URL = /^file:\//i;

/** @throws {LLMError} `ERR_INVALID_OPTION` if the URL names a host, or holds an encoded slash. */
function ofUrl(name: string, url: string | URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    const found = `${show(url)}, which is not a path on this machine: ${messageOf(cause)}`;
    throw new LLMError('ERR_INVALID_OPTION', `${name} is ${found}; expected a path or a file: URL.`, {
      option: name,
      cause,
    });
  }
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
