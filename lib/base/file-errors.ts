import { LLMError } from './errors.js';

/** Whether a file-system call failed because there is nothing of that name. */
export const isNotFound = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/** Whether a call of the file system failed. Errors of the network come wrapped in those of `fetch`. */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error;

/** An error of the file system as one that a user can fix; any other as it is. */
export function asWriteError(cause: unknown, out: string): unknown {
  if (!isSystemError(cause)) return cause;
  const fix = 'Free space there, or choose another directory.';
  return new LLMError('ERR_NOT_WRITABLE', `${out} cannot be written: ${cause.message}. ${fix}`, { cause });
}
