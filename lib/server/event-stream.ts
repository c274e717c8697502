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
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string, void>> | undefined = events.next();
  await next;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await (next ?? events.next());
          next = undefined;
          exchange.signal.throwIfAborted();
          const event = done ? end.done : value;
          if (event !== '') controller.enqueue(encoder.encode(event));
          if (!done) return;
        } catch (thrown) {
          if (exchange.signal.aborted) {
            controller.error(thrown);
            return exchange.end();
          }
          const error = toHttpError(thrown, context);
          exchange.failed(error);
          controller.enqueue(encoder.encode(end.failure(error)));
        }
        controller.close();
        exchange.end();
      },
      cancel() {
        exchange.abort();
        exchange.end();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: HEADERS });
}
