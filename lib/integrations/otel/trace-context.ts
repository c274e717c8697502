import { context, propagation, type TextMapGetter, trace } from '@opentelemetry/api';

const getter: TextMapGetter<Headers> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers.keys()],
};

/**
 * A handler whose requests are in the trace that their `traceparent` header names, for servers whose own instrumentation does
 * not see to it. A span that is active already stays the parent.
 */
export function withTraceContext(
  handler: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return (request) => {
    const active = context.active();
    if (trace.getSpan(active)) return handler(request);
    return context.with(propagation.extract(active, request.headers, getter), () => handler(request));
  };
}
