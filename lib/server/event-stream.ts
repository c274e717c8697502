import type { Exchange } from './exchange.js';
import { type FailureContext, toHttpError } from './http-error.js';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no', // nginx passes each event on
};

export const serverSentEvent = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/**
 * Server-sent events. What fails before the first one is thrown, and so has a status; later failures are an event. A reader that
 * stops reading holds nothing up: its chunks merge.
 */
export async function eventStream(
  events: AsyncGenerator<string, void, undefined>,
  exchange: Exchange,
  context: FailureContext,
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
          controller.enqueue(encoder.encode(done ? 'data: [DONE]\n\n' : value));
          if (!done) return;
        } catch (thrown) {
          if (exchange.signal.aborted) {
            controller.error(thrown);
            return exchange.end();
          }
          const error = toHttpError(thrown, context);
          exchange.failed(error);
          controller.enqueue(encoder.encode(serverSentEvent(error.body)));
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
