import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { basename } from 'node:path';
import {
  type Attributes,
  type Histogram,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import {
  type LLM,
  LLMError,
  type RequestEndEvent,
  type RequestFirstTokenEvent,
  type RequestStartEvent,
} from '../../index.js';
import { operationOf, requestAttributes, responseAttributes } from './attributes.js';

/** What `instrument` started. */
export interface Instrumentation {
  /** Ends it, and the spans of requests that still run. */
  stop(): void;
}

interface Running {
  readonly span: Span;
  readonly model: string;
  readonly operation: Attributes;
  readonly n: number;
}

const SCOPE = 'node-tensorrt-llm';

const DURATION = Array.from({ length: 14 }, (_, i) => 0.01 * 2 ** i);
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const TOKENS = Array.from({ length: 14 }, (_, i) => 4 ** i);

/**
 * Makes a span and metrics of each request that this thread makes to one LLM, named after its directory, or to several by name.
 * They go to the providers that are registered with `@opentelemetry/api`, so start the SDK first.
 * @throws {LLMError} `ERR_INVALID_INPUT` if `models` holds no LLM.
 */
export function instrument(models: LLM | Readonly<Record<string, LLM>>): Instrumentation {
  const names = readNames(models);
  const tracer = trace.getTracer(SCOPE);
  const histograms = makeHistograms();
  const running = new Map<number, Running>();

  const started = (event: RequestStartEvent): void => {
    const model = names.get(event.sessionId);
    if (model === undefined) return;
    const operation = operationOf(event, model);
    const attributes = { ...operation, ...requestAttributes(event) };
    const span = tracer.startSpan(`${operation['gen_ai.operation.name']} ${model}`, {
      kind: SpanKind.INTERNAL,
      attributes,
    });
    running.set(event.requestId, { span, model, operation, n: event.options?.n ?? 1 });
  };

  const hasToken = ({ requestId, timeToFirstTokenMs }: RequestFirstTokenEvent): void => {
    const request = running.get(requestId);
    if (!request) return;
    request.span.setAttribute('gen_ai.response.time_to_first_chunk', timeToFirstTokenMs / 1000);
    histograms.firstToken.record(timeToFirstTokenMs / 1000, request.operation);
  };

  const ended = (event: RequestEndEvent): void => {
    const request = running.get(event.requestId);
    if (!request) return;
    running.delete(event.requestId);
    const { span, model, operation, n } = request;
    // A message may quote what the user sent. What a signal aborted did not fail.
    const errorType = LLMError.is(event.error) ? event.error.code : undefined;
    span.setAttributes(responseAttributes(event, { model, errorType }));
    if (errorType !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: errorType });
    span.end();
    const { usage, timing } = event;
    histograms.duration.record(
      timing.totalMs / 1000,
      errorType === undefined ? operation : { ...operation, 'error.type': errorType },
    );
    histograms.tokens.record(usage.promptTokens, { ...operation, 'gen_ai.token.type': 'input' });
    histograms.tokens.record(usage.completionTokens, { ...operation, 'gen_ai.token.type': 'output' });
    const steps = usage.completionTokens / n - 1;
    if (steps > 0) histograms.perToken.record((timing.totalMs - timing.timeToFirstTokenMs) / 1000 / steps, operation);
  };

  const listeners = Object.entries({ start: started, 'first-token': hasToken, end: ended }).map(
    ([name, listener]) => [`${SCOPE}:request:${name}`, listener as (event: unknown) => void] as const,
  );
  for (const [name, listener] of listeners) subscribe(name, listener);
  return {
    stop() {
      for (const [name, listener] of listeners) unsubscribe(name, listener);
      for (const { span } of running.values()) span.end();
      running.clear();
    },
  };
}

interface Histograms {
  readonly duration: Histogram;
  readonly firstToken: Histogram;
  readonly perToken: Histogram;
  readonly tokens: Histogram;
}

function makeHistograms(): Histograms {
  const meter = metrics.getMeter(SCOPE);
  const histogram = (name: string, unit: string, description: string, explicitBucketBoundaries: number[]) =>
    meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries } });
  return {
    duration: histogram('gen_ai.server.request.duration', 's', 'Until the end of a request.', DURATION),
    firstToken: histogram('gen_ai.server.time_to_first_token', 's', 'Until the first token of a request.', FIRST_TOKEN),
    perToken: histogram(
      'gen_ai.server.time_per_output_token',
      's',
      'Mean time between two tokens of an output, one value for each request.',
      PER_TOKEN,
    ),
    tokens: histogram('gen_ai.client.token.usage', '{token}', 'Tokens of a request.', TOKENS),
  };
}

// One of another installed copy of the package will do.
const isLLM = (value: unknown): value is LLM => typeof (value as LLM | undefined)?.stream === 'function';

/** Names of the models by their sessions. */
function readNames(models: LLM | Readonly<Record<string, LLM>>): ReadonlyMap<number, string> {
  const named = isLLM(models) ? { [basename(models.info.dir)]: models } : models;
  const names = new Map<number, string>();
  for (const [name, llm] of Object.entries(named)) {
    if (!isLLM(llm)) {
      const message = `The model ${JSON.stringify(name)} is not an LLM; expected one of LLM.load.`;
      throw new LLMError('ERR_INVALID_INPUT', message);
    }
    if (!names.has(llm.handle.sessionId)) names.set(llm.handle.sessionId, name);
  }
  if (names.size > 0) return names;
  throw new LLMError('ERR_INVALID_INPUT', 'There is no model; expected an LLM, or an object of LLMs by their names.');
}
