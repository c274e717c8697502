import { open, rm, stat } from 'node:fs/promises';
import { isError, LLMError, messageOf } from '../../base/errors.js';
import { isNotFound, isSystemError } from '../../base/file-errors.js';
import { hashFile } from '../directory/manifest.js';
import type { PinnedFile } from './models.js';

export interface DownloadOptions {
  /** Milliseconds until the server must have begun to answer. */
  readonly answerTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called with the number of bytes downloaded so far. */
  readonly onBytes: (bytes: number) => void;
}

const ATTEMPTS = 3;

/**
 * Fetches `url` into `target`, going on where an earlier try left `target`, and checks size and hash.
 * @throws {LLMError} `ERR_DOWNLOAD`; errors of the file system go through. What has come stays in `target` for a later try, unless its hash is wrong.
 */
export async function download(
  url: string,
  target: string,
  pinned: PinnedFile,
  options: DownloadOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      await fetchRest(url, target, pinned, options);
      break;
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (LLMError.is(cause) || isSystemError(cause)) throw cause;
      // Only a transfer that had begun is tried again: a server that cannot be reached is an error at once.
      if (attempt === ATTEMPTS || (await sizeOf(target)) === 0) {
        throw new LLMError(
          'ERR_DOWNLOAD',
          `${url} could not be fetched: ${causesOf(cause)}. Check the network and try again.`,
          { cause },
        );
      }
    }
  }
  const { sha256 } = await hashFile(target, options.signal);
  if (sha256 === pinned.sha256) return;
  await rm(target);
  throw new LLMError(
    'ERR_DOWNLOAD',
    `${url} has the sha256 ${sha256}; expected ${pinned.sha256}. Try again; if it stays so, the server gives another file.`,
  );
}

/** A failed fetch says why in its cause, and that one in its own. */
const causesOf = (error: unknown): string =>
  isError(error) && error.cause !== undefined ? `${error.message}: ${causesOf(error.cause)}` : messageOf(error);

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isNotFound(error)) return 0;
    throw error;
  }
}

async function fetchRest(url: string, target: string, pinned: PinnedFile, options: DownloadOptions): Promise<void> {
  const have = await sizeOf(target);
  if (have === pinned.bytes) return;
  const { response, stop } = await request(url, have < pinned.bytes ? have : 0, options);
  const resumes = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${have}-`);
  if (!response.body || (response.status !== 200 && !resumes)) {
    stop();
    throw new LLMError(
      'ERR_DOWNLOAD',
      `${url} was answered with ${response.status} ${response.statusText}; expected the file. Check the address.`,
    );
  }
  let at = resumes ? have : 0;
  const file = await open(target, resumes ? 'a' : 'w');
  try {
    for await (const chunk of response.body) {
      if (at + chunk.length > pinned.bytes) {
        throw new LLMError('ERR_DOWNLOAD', `${url} is longer than its ${pinned.bytes} bytes. Check the address.`);
      }
      await file.appendFile(chunk);
      at += chunk.length;
      options.onBytes(at);
    }
  } finally {
    stop();
    await file.close();
  }
  if (at < pinned.bytes) throw new Error(`it ended after ${at} of ${pinned.bytes} bytes`);
}

/** The time limit holds until the answer begins; the user's signal for all of it. `stop` ends what is left of the transfer. */
async function request(
  url: string,
  from: number,
  { answerTimeoutMs, signal }: DownloadOptions,
): Promise<{ response: Response; stop: () => void }> {
  const ours = new AbortController();
  const late = (): void => ours.abort(new Error(`no answer within ${answerTimeoutMs / 1000} s`));
  const timer = setTimeout(late, answerTimeoutMs);
  const signals = signal ? [ours.signal, signal] : [ours.signal];
  try {
    const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    const response = await fetch(url, { headers, signal: AbortSignal.any(signals) });
    return { response, stop: () => ours.abort() };
  } finally {
    clearTimeout(timer);
  }
}
