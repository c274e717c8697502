import type { ServerResponse } from 'node:http';
import type { Exchange } from './exchange.js';
import { type FailureContext, type HttpError, openAIBody, toHttpError } from './http-error.js';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no', // nginx passes each event on
};

export const serverSentEvent = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/** How a stream ends. */
export interface StreamEnd {
  /** The last event of a stream that did not fail. */
  readonly done: string;
  /** The last event of one that did. */
  failure(error: HttpError): string;
}

const OPENAI_END: StreamEnd = {
  done: 'data: [DONE]\n\n',
  failure: (error) => serverSentEvent(openAIBody(error)),
};

/** Makes events of one answer from the JSON of one choice. What they share becomes JSON once: there is one for each token. */
export function choiceEvent(head: object, includeUsage: boolean): (choice: string) => string {
  const before = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
  const after = includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  return (choice) => before + choice + after;
}

/**
 * Server-sent events. What fails before the first one is thrown, and so has a status; later failures are an event. A reader that
 * stops reading holds nothing up: its chunks merge.
 */
export async function eventStream(
  events: AsyncGenerator<string, void, undefined>,
  exchange: Exchange,
  context: FailureContext,
  end: StreamEnd = OPENAI_END,
): Promise<Response> {
  const first = events.next();
  await first;
  return new EventResponse(new EventReader(events, first, { exchange, context, end }));
}

interface Step {
  readonly text: string;
  readonly isLast: boolean;
}

/** The events of one answer up to its end. Each client has one reader, which never reads ahead. */
class EventReader {
  readonly #events: AsyncGenerator<string, void, undefined>;
  #first: Promise<IteratorResult<string, void>> | undefined;
  readonly #exchange: Exchange;
  readonly #context: FailureContext;
  readonly #end: StreamEnd;

  constructor(
    events: AsyncGenerator<string, void, undefined>,
    first: Promise<IteratorResult<string, void>>,
    { exchange, context, end }: { exchange: Exchange; context: FailureContext; end: StreamEnd },
  ) {
    this.#events = events;
    this.#first = first;
    this.#exchange = exchange;
    this.#context = context;
    this.#end = end;
  }

  /** Rejects once the client has left. */
  next(): Promise<Step> {
    const next = this.#first ?? this.#events.next();
    this.#first = undefined;
    return next.then(this.#step, this.#failure);
  }

  /** The client has left. */
  cancel(): void {
    this.#exchange.abort();
    this.#exchange.end();
  }

  readonly #step = ({ done, value }: IteratorResult<string, void>): Step => {
    this.#exchange.signal.throwIfAborted();
    if (!done) return { text: value, isLast: false };
    this.#exchange.end();
    return { text: this.#end.done, isLast: true };
  };

  readonly #failure = (thrown: unknown): Step => {
    this.#exchange.signal.throwIfAborted();
    const error = toHttpError(thrown, this.#context);
    this.#exchange.failed(error);
    this.#exchange.end();
    return { text: this.#end.failure(error), isLast: true };
  };
}

/** A Response like any other, which srvx can also write to Node's response without a web stream in between. */
class EventResponse extends Response {
  readonly #reader: EventReader;

  constructor(reader: EventReader) {
    super(webStream(reader), { headers: HEADERS });
    this.#reader = reader;
  }

  /** Where a response has this, srvx calls it instead of reading the body, and then `pipe` or `destroy` of what it returns. */
  _toNodeResponse() {
    const reader = this.#reader;
    return {
      status: this.status,
      statusText: this.statusText,
      headers: [...this.headers].flat(),
      body: { pipe: (response: ServerResponse) => writeTo(response, reader), destroy: () => reader.cancel() },
    };
  }
}

function webStream(reader: EventReader): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { text, isLast } = await reader.next();
          if (text !== '') controller.enqueue(encoder.encode(text));
          if (isLast) controller.close();
        } catch (thrown) {
          controller.error(thrown);
          reader.cancel();
        }
      },
      cancel: () => reader.cancel(),
    },
    { highWaterMark: 0 },
  );
}

/** What is written within one turn of the event loop leaves in one packet. */
function writeTo(response: ServerResponse, reader: EventReader): void {
  const write = async (): Promise<void> => {
    try {
      for (;;) {
        const { text, isLast } = await reader.next();
        if (isLast) return void response.end(text);
        if (!response.write(text)) return;
      }
    } catch {
      response.destroy();
    }
  };
  response.once('close', () => reader.cancel()); // after its end too, where that does nothing
  response.on('drain', write);
  void write();
}
