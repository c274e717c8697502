import { type InspectOptions, inspect } from 'node:util';
import { LLMError } from '../base/errors.js';
import { endings } from '../base/turns.js';
import type { Chunk, Result } from '../base/types.js';
import type { Outcome } from './outcome.js';
import type { RunningRequest, Step } from './running-request.js';

/**
 * One running request: iterate it, await its `result`, or both. It can be iterated once. If you drop one that nobody is
 * waiting for, it is cancelled when it is garbage-collected.
 */
export interface Generation extends AsyncIterable<Chunk>, AsyncDisposable {
  /** Unique in the process. */
  readonly id: number;
  /** The whole result, whether or not it was iterated. If nobody reads it, a failure causes no unhandledRejection. */
  readonly result: Promise<Result>;
  /** Only the text of the first output. Reading it counts as the iteration. */
  readonly textStream: AsyncIterable<string>;
  /**
   * Ends the request now. The iterator ends, and `result` resolves with what there is, finish reason `'cancelled'`; with a
   * `reason` other than undefined both throw it, as if a signal had aborted with it.
   */
  abort(reason?: unknown): void;
  /** As a web stream. Reading it counts as the iteration; cancelling it aborts the request. */
  toReadableStream(): ReadableStream<Chunk>;
}

const DONE: Step = { done: true, value: undefined };

// A request is known to its engine, so it would run on for a reader that is gone.
const dropped = new FinalizationRegistry<RunningRequest>((request) => endings.once(() => request.cancel()));

/** The request has ended. Watched on, it would be held, and with it whatever its error or result leads to: its Generation too. */
export function stopWatching(request: RunningRequest): void {
  dropped.unregister(request);
}

export class RequestGeneration implements Generation {
  readonly id: number;
  readonly #request: RunningRequest;
  #result: Promise<Result> | undefined;
  #iterated = false;

  constructor(request: RunningRequest) {
    this.id = request.id;
    this.#request = request;
    dropped.register(this, request, request);
  }

  get result(): Promise<Result> {
    this.#result ??= this.#makeResult();
    return this.#result;
  }

  get textStream(): AsyncIterable<string> {
    return textOf(this);
  }

  abort(reason?: unknown): void {
    if (reason === undefined) this.#request.cancel();
    else this.#request.abort(reason);
  }

  toReadableStream(): ReadableStream<Chunk> {
    const reader = this[Symbol.asyncIterator]();
    return new ReadableStream<Chunk>(
      {
        async pull(controller) {
          const { done, value } = await reader.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await reader.return();
        },
      },
      { highWaterMark: 0 }, // chunks merge here while nobody reads, so nothing is read ahead
    );
  }

  [Symbol.asyncIterator](): ChunkReader {
    if (this.#iterated) {
      throw new LLMError(
        'ERR_ALREADY_READ',
        'This Generation was already iterated; it can be iterated once. Start another with stream(), or read result.',
        { requestId: this.id },
      );
    }
    this.#iterated = true;
    return new ChunkReader(this, this.#request);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    return Promise.resolve();
  }

  /** What console.log shows. */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `Generation ${inspect(this.#request.summary(), options)}`;
  }

  #makeResult(): Promise<Result> {
    const promise = new Promise<Result>((resolve, reject) => {
      const settle = (): void => {
        const outcome = this.#request.outcome as Outcome;
        if ('result' in outcome) resolve(outcome.result);
        else reject(outcome.error);
      };
      // While it runs the request holds this Generation: someone waits for it.
      if (this.#request.outcome) settle();
      else this.#request.onOutcome = settle;
    });
    promise.catch(() => {}); // not unhandled: a reader of the iterator gets the failure from it
    return promise;
  }
}

/** The reader's end of one request. wake() runs no user code: settling a promise only queues a microtask. */
class ChunkReader implements AsyncIterator<Chunk, undefined> {
  readonly #generation: Generation; // so that holding the reader keeps the Generation
  readonly #request: RunningRequest;
  #left = false;

  constructor(generation: Generation, request: RunningRequest) {
    this.#generation = generation;
    this.#request = request;
  }

  next(): Promise<Step> {
    if (this.#request.resolve) {
      return Promise.reject(
        new LLMError('ERR_READ_PENDING', 'next() was called before the previous call settled. Await each next().', {
          requestId: this.#request.id,
        }),
      );
    }
    const step = this.#step();
    if (step) return Promise.resolve(step);
    return new Promise((resolve) => {
      this.#request.resolve = resolve;
      this.#request.reader = this;
    });
  }

  /** The loop was left: cancels the request, and ends a `next()` that still waits. */
  return(): Promise<Step> {
    this.#left = true;
    this.wake();
    this.#generation.abort();
    return Promise.resolve(DONE);
  }

  wake(): void {
    const { resolve } = this.#request;
    if (!resolve) return;
    const step = this.#step();
    if (!step) return;
    this.#request.resolve = undefined;
    this.#request.reader = undefined;
    resolve(step);
  }

  #step(): Step | Promise<Step> | undefined {
    if (this.#left) return DONE;
    const value = this.#request.take();
    if (value) return { done: false, value };
    const { outcome } = this.#request;
    if (!outcome) return undefined;
    this.#left = true;
    return 'error' in outcome ? Promise.reject(outcome.error) : DONE;
  }
}

async function* textOf(generation: Generation): AsyncGenerator<string, void, undefined> {
  for await (const { index, text } of generation) if (index === 0 && text !== '') yield text;
}
