import { type GenerateOptions, LLMError, type Usage } from '../index.js';
import { type FailureContext, HttpError, toHttpError } from './http-error.js';
import type { ServedModel } from './models.js';

/** One HTTP request that has been answered, or whose client has left. */
export interface ServedRequest {
  method: string;
  path: string;
  /** 499 if the client left before the answer began. */
  status: number;
  /** Name of the model; undefined if the request reached none. */
  model: string | undefined;
  /** Tokens of the request, all its prompts together; undefined if it did not run to its end. */
  usage: Usage | undefined;
  /** From the call of the handler to the last byte, in ms. */
  durationMs: number;
  /** Whether the client left before the end. */
  aborted: boolean;
  /** What failed, with the details that the client is not told. */
  error: unknown;
}

/** What the server allows each request. */
export type Limits = Pick<GenerateOptions, 'timeoutMs' | 'queueTimeoutMs'>;

/** The client has left. */
const LEFT = 499;

/** A request on its way through the handler; it ends once. */
export class Exchange {
  model: ServedModel | undefined;
  usage: Usage | undefined;
  #error: unknown;
  #status = LEFT;
  readonly #started = performance.now();
  readonly #abort = new AbortController();
  #ended = false;

  constructor(
    readonly request: Request,
    readonly path: string,
    readonly limits: Limits,
    readonly onEnd: ((request: ServedRequest) => void) | undefined,
  ) {
    const { signal } = request;
    if (signal.aborted) this.abort();
    else signal.addEventListener('abort', () => this.abort(), { once: true });
  }

  /** Of a request to the LLM: its signal aborts when the client leaves. */
  get options(): Limits & Pick<GenerateOptions, 'lora'> & { signal: AbortSignal } {
    return { ...this.limits, lora: this.model?.lora, signal: this.signal };
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  abort(): void {
    if (!this.#ended) this.#abort.abort();
  }

  answered(response: Response): Response {
    if (!this.signal.aborted) this.#status = response.status;
    return response;
  }

  /** What `answer` gives. If the executor has lost the model's adapter, it is called once more, and sends the weights. */
  async withAdapter(answer: () => Promise<Response>): Promise<Response> {
    const lora = this.model?.lora;
    try {
      return await answer();
    } catch (thrown) {
      const isLost = lora && !lora.weights && LLMError.is(thrown) && thrown.option === 'lora';
      if (!isLost) throw thrown;
      this.model?.lostAdapter();
      return answer();
    }
  }

  /** What `run` gives; what it throws becomes an HttpError. */
  async run<T>(context: FailureContext, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (thrown) {
      throw toHttpError(thrown, { ...context, retryAfter: () => this.model?.retryAfter() ?? 1 });
    }
  }

  failed(error: unknown): void {
    const { cause } = error instanceof HttpError ? error : { cause: undefined };
    this.#error = LLMError.is(cause) || cause instanceof Error ? cause : error;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const durationMs = performance.now() - this.#started;
    const error = this.signal.aborted ? undefined : this.#error;
    if (this.usage || error) this.model?.ended(durationMs / 1000, !this.usage);
    this.onEnd?.({
      method: this.request.method,
      path: this.path,
      status: this.#status,
      model: this.model?.name,
      usage: this.usage,
      durationMs,
      aborted: this.signal.aborted,
      error,
    });
  }
}
