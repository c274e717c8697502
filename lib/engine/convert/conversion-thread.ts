import { Worker } from 'node:worker_threads';
import { whenAborted } from '../../base/abort.js';
import { isError, LLMError, messageOf } from '../../base/errors.js';
import type { OnProgress } from '../../base/progress.js';
import { type PackedError, unpackError } from './packed-error.js';

/** What a conversion is told and tells while it runs. */
export interface ConversionEvents {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** Calls `write` with the directory to write to, once the source has been checked. */
export type Build = (write: (dir: string) => Promise<void>) => Promise<void>;

/** What the thread of a conversion tells. After 'opened' it waits for the directory to write to. */
export type ThreadMessage =
  | { readonly kind: 'opened' | 'written' }
  | { readonly kind: 'progress'; readonly progress: Parameters<OnProgress>[0] }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'failed'; readonly error: PackedError };

/**
 * Converts in a thread of its own, which ends at once when the signal aborts or a callback throws.
 * @param job plain data, for conversion-worker.ts.
 * @returns false if no thread can be started.
 */
export async function convertInThread(
  job: object,
  { signal, onProgress, onWarning }: ConversionEvents,
  build: Build,
): Promise<boolean> {
  const worker = startThread(job);
  if (!worker) return false;
  let told: (message: ThreadMessage) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => {}); // it may come while nobody waits
  const stopListening = signal && whenAborted(signal, () => fail(signal.reason));
  const wait = async (kind: ThreadMessage['kind']): Promise<void> => {
    const came = new Promise<void>((resolve) => {
      told = (message) => {
        if (message.kind === kind) resolve();
      };
    });
    await Promise.race([failed, came]);
    signal?.throwIfAborted();
  };
  let hasFailed = false;
  worker.on('message', (message: ThreadMessage) => {
    if (hasFailed || signal?.aborted) return;
    try {
      if (message.kind === 'progress') onProgress?.(message.progress);
      else if (message.kind === 'warning') onWarning?.(message.message);
      else if (message.kind === 'failed') fail(unpackError(message.error));
      else told(message);
    } catch (error) {
      hasFailed = true;
      fail(error);
    }
  });
  worker.on('error', (error) => fail(cannotStart(error) ? new NoThread() : ended(error)));
  worker.on('exit', () => fail(ended('without a result')));
  try {
    await wait('opened');
    await build(async (dir) => {
      try {
        worker.postMessage(dir);
        await wait('written');
      } finally {
        await worker.terminate(); // before the directory is removed
      }
    });
    return true;
  } catch (error) {
    if (error instanceof NoThread) return false;
    throw error;
  } finally {
    stopListening?.();
    await worker.terminate();
  }
}

class NoThread extends Error {}

function startThread(job: object): Worker | undefined {
  try {
    // The flags of this process may load modules that its threads have no use for.
    return new Worker(new URL('./conversion-worker.js', import.meta.url), { workerData: job, execArgv: [] });
  } catch (error) {
    if (cannotStart(error)) return undefined;
    throw error;
  }
}

/** By Node's permission model, by a limit of threads, or because a bundler left the file out. */
const cannotStart = (error: unknown): boolean =>
  isError(error) &&
  'code' in error &&
  ['ERR_ACCESS_DENIED', 'ERR_WORKER_INIT_FAILED', 'ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(
    String(error.code),
  );

const ended = (cause: unknown): LLMError =>
  new LLMError('ERR_INTERNAL', `The thread of a conversion ended: ${messageOf(cause)}.`, { cause });
