import { readdir } from 'node:fs/promises';
import { isError, LLMError, messageOf } from './errors.js';

/** Whether a file-system call failed because there is nothing of that name. */
export const isNotFound = (error: unknown): boolean =>
  isError(error) && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

const DENIED = 'ERR_ACCESS_DENIED'; // by Node's permission model

/** Whether a call of the file system failed. Errors of the network come wrapped in those of `fetch`. */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  isError(error) && ('syscall' in error || ('code' in error && error.code === DENIED));

class Denied extends Error {
  readonly code = DENIED;
  readonly permission: string;
  constructor(
    access: 'fs.read' | 'fs.write',
    readonly resource: string,
  ) {
    super('Access to this API has been restricted.');
    this.permission = access === 'fs.read' ? 'FileSystemRead' : 'FileSystemWrite';
  }
}

/** Throws what Node's permission model does, where fs/promises of Node.js 20 would end the process instead. */
export function requirePermission(access: 'fs.read' | 'fs.write', path: string): void {
  if (process.permission?.has(access, path) === false) throw new Denied(access, path);
}

/** The names in a directory. */
export async function listDirectory(dir: string): Promise<string[]> {
  requirePermission('fs.read', dir);
  return readdir(dir);
}

const FIXES: Readonly<Record<string, string>> = {
  EMFILE: 'Raise the limit of open files: ulimit -n.',
  ENFILE: 'Raise the limit of open files: fs.file-max.',
  EAGAIN: 'Raise the limit of processes: ulimit -u, or the pids limit of the container.',
  ENOMEM: 'Free memory, or raise its limit.',
  ERR_ACCESS_DENIED: 'Allow it, or run node without its permission model.',
};

/** How to fix what a system call failed of: by its code if this has one cause, else `otherwise`. */
export const fixOf = (cause: unknown, otherwise: string): string =>
  (isError(cause) && 'code' in cause ? FIXES[String(cause.code)] : undefined) ?? otherwise;

/** An error of the file system as one that a user can fix; any other as it is. */
export function asWriteError(cause: unknown, out: string): unknown {
  if (!isSystemError(cause)) return cause;
  const fix = fixOf(cause, 'Free space there, or choose another directory.');
  return new LLMError('ERR_NOT_WRITABLE', `${out} cannot be written: ${messageOf(cause)}. ${fix}`, { cause });
}
