import { LLMError } from './errors.js';
import type { RunningRequest } from './running-request.js';
import type { Chunk, Result } from './types.js';

/** One running request: iterate it, or await its `result`, or both. It has one consumer. */
export interface Generation extends AsyncIterable<Chunk>, AsyncDisposable {
  readonly id: number;
  /** All that came, whether it was iterated or not. A failure nobody reads is no unhandledRejection. */
  readonly result: Promise<Result>;
  /** The text alone; it is the consumer. */
  readonly textStream: AsyncIterable<string>;
  /** Ends the request now: the iterator ends, and `result` resolves with what there is, `'cancelled'`. */
  abort(reason?: unknown): void;
  /** As a web stream; it is the consumer, and cancelling it aborts the request. */
  toReadableStream(): ReadableStream<Chunk>;
}

type Step = IteratorResult<Chunk, undefined>;
const DONE: Step = { done: true, value: undefined };

export class RequestGeneration implements Generation {
  readonly id: number;
  readonly #request: RunningRequest;
  readonly #cancel: () => void;
  #result: Promise<Result> | undefined;
  #settleResult: (() => void) | undefined;
  #reader: ChunkReader | undefined;

  /** `cancel` ends the request, in the executor too. */
  constructor(request: RunningRequest, cancel: () => void) {
    this.id = request.id;
    this.#request = request;
    this.#cancel = cancel;
    request.onNews = () => {
      this.#reader?.wake();
      if (request.outcome) this.#settleResult?.();
    };
  }

  get result(): Promise<Result> {
    this.#result ??= this.#makeResult();
    return this.#result;
  }

  get textStream(): AsyncIterable<string> {
    return textOf(this);
  }

  abort(_reason?: unknown): void {
    this.#cancel();
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
    if (this.#reader) {
      throw new LLMError(
        'ERR_ALREADY_READ',
        'This Generation has been iterated before, and it has one consumer. Start another with stream(), or read result.',
        { requestId: this.id },
      );
    }
    this.#reader = new ChunkReader(this.#request, this.#cancel);
    return this.#reader;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#cancel();
    return Promise.resolve();
  }

  #makeResult(): Promise<Result> {
    const promise = new Promise<Result>((resolve, reject) => {
      this.#settleResult = () => {
        const outcome = this.#request.outcome;
        if (!outcome) return;
        if ('result' in outcome) resolve(outcome.result);
        else reject(outcome.error);
      };
    });
    promise.catch(() => {}); // the iterator tells the failure too, and a reader may have chosen that
    this.#settleResult?.();
    return promise;
  }
}

/** The reader's end of one request. wake() runs no user code: settling a promise only queues a microtask. */
class ChunkReader implements AsyncIterator<Chunk, undefined> {
  readonly #request: RunningRequest;
  readonly #cancel: () => void;
  #waiting: ((step: Step | Promise<Step>) => void) | undefined; // the next() that came before its chunk
  #left = false;

  constructor(request: RunningRequest, cancel: () => void) {
    this.#request = request;
    this.#cancel = cancel;
  }

  next(): Promise<Step> {
    if (this.#waiting) {
      return Promise.reject(
        new LLMError('ERR_READ_PENDING', 'next() was called before the last one settled; await it first.', {
          requestId: this.#request.id,
        }),
      );
    }
    const step = this.#step();
    if (step) return Promise.resolve(step);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** The loop was left: the request is cancelled, and whoever still waits is at the end. */
  return(): Promise<Step> {
    this.#left = true;
    this.wake();
    this.#cancel();
    return Promise.resolve(DONE);
  }

  wake(): void {
    if (!this.#waiting) return;
    const step = this.#step();
    if (!step) return;
    this.#waiting(step);
    this.#waiting = undefined;
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
  for await (const { text } of generation) if (text !== '') yield text;
}
