import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import type { RequestEndEvent, RequestFirstTokenEvent, RequestStartEvent } from 'node-tensorrt-llm';

interface Entry {
  end?: RequestEndEvent;
  onEnd?: () => void;
  hasToken: boolean;
}

/** The events of this thread's requests. What comes twice, too late or for nobody is told to `onFailure`. */
export class EventLog {
  readonly #entries = new Map<number, Entry>();
  readonly #onFailure: (message: string) => void;
  /** Of the call that startedBy() makes. */
  #started: number[] | undefined;

  constructor(onFailure: (message: string) => void) {
    this.#onFailure = onFailure;
    subscribe('node-tensorrt-llm:request:start', (event) => this.#start(event as RequestStartEvent));
    subscribe('node-tensorrt-llm:request:first-token', (event) => this.#firstToken(event as RequestFirstTokenEvent));
    subscribe('node-tensorrt-llm:request:end', (event) => this.#end(event as RequestEndEvent));
  }

  /** Requests that nobody has taken out. */
  get size(): number {
    return this.#entries.size;
  }

  /** The ids of the requests that `call` starts. */
  startedBy(call: () => void): number[] {
    const started: number[] = [];
    this.#started = started;
    call();
    this.#started = undefined;
    return started;
  }

  /** Takes a request out, which must have ended. One that was refused because the LLM is closed has no id, but 0. */
  take(id: number): RequestEndEvent | undefined {
    if (id === 0) return undefined;
    const end = this.#entries.get(id)?.end;
    assert.ok(end, `request ${id} has no end event, though it ended for its reader`);
    this.#entries.delete(id);
    return end;
  }

  whenEnded(id: number): Promise<void> {
    return new Promise((resolve) => {
      const entry = this.#entries.get(id);
      if (!entry || entry.end) resolve();
      else entry.onEnd = resolve;
    });
  }

  #start({ requestId }: RequestStartEvent): void {
    if (requestId === 0) return;
    if (this.#entries.has(requestId)) this.#onFailure(`a second start event of request ${requestId}`);
    this.#entries.set(requestId, { hasToken: false });
    this.#started?.push(requestId);
  }

  #firstToken({ requestId }: RequestFirstTokenEvent): void {
    const entry = this.#entries.get(requestId);
    if (!entry || entry.end || entry.hasToken) {
      this.#onFailure(`a first-token event of request ${requestId}, which does not run or had one`);
    } else {
      entry.hasToken = true;
    }
  }

  #end(event: RequestEndEvent): void {
    if (event.requestId === 0) return;
    const entry = this.#entries.get(event.requestId);
    if (!entry || entry.end) {
      this.#onFailure(`an end event of request ${event.requestId}, which has ended or never started`);
      return;
    }
    entry.end = event;
    entry.onEnd?.();
  }
}
