import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { LLM } from 'node-tensorrt-llm';
import { type Instrumentation, instrument, withTraceContext } from 'node-tensorrt-llm/otel';
import { createHandler } from 'node-tensorrt-llm/server';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';

const spans = new InMemorySpanExporter();
const points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: points });
const tracer = trace.getTracer('test');

let llm: LLM;
let instrumentation: Instrumentation;
before(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  llm = await LLM.load(await scriptedEngine({ step_ms: 1 }), { executor: { library: SCRIPTED_LIBRARY } });
  instrumentation = instrument({ tiny: llm });
});
after(async () => {
  instrumentation.stop();
  await llm.close();
  await reader.shutdown();
});
beforeEach(() => spans.reset());

function onlySpan(): ReadableSpan {
  const [span, ...more] = spans.getFinishedSpans();
  assert.ok(span && more.length === 0, `${more.length + 1} spans`);
  return span;
}

const GREEDY = { temperature: 0, ignoreEos: true };

test('a request is a span with the attributes of the conventions, and without what was said', async () => {
  const messages = [{ role: 'user', content: 'a secret' }];
  const options = { ...GREEDY, maxTokens: 5, n: 2, topK: 7, topP: 0.5, seed: 3, stop: ['\u0000'] };
  const { usage, text, timing } = await llm.generate({ messages }, options);
  const span = onlySpan();
  assert.deepEqual([span.name, span.kind, span.status.code], ['chat tiny', SpanKind.INTERNAL, SpanStatusCode.UNSET]);
  assert.equal(span.instrumentationScope.name, 'node-tensorrt-llm');
  assert.deepEqual(span.attributes, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'node-tensorrt-llm',
    'gen_ai.request.model': 'tiny',
    'gen_ai.request.max_tokens': 5,
    'gen_ai.request.choice.count': 2,
    'gen_ai.request.temperature': 0,
    'gen_ai.request.top_k': 7,
    'gen_ai.request.top_p': 0.5,
    'gen_ai.request.seed': 3,
    'gen_ai.request.presence_penalty': 0,
    'gen_ai.request.frequency_penalty': 0,
    'gen_ai.request.stop_sequences': ['\u0000'],
    'gen_ai.response.model': 'tiny',
    'gen_ai.response.finish_reasons': ['length'],
    'gen_ai.response.time_to_first_chunk': timing.timeToFirstTokenMs / 1000,
    'gen_ai.usage.input_tokens': usage.promptTokens,
    'gen_ai.usage.output_tokens': 10,
    'gen_ai.usage.cache_read.input_tokens': 0,
  });
  const written = JSON.stringify([span.attributes, span.events, span.status]);
  assert.ok(!written.includes('secret') && !written.includes(text));
  await llm.generate('Once', { ...GREEDY, maxTokens: 1 });
  assert.equal(spans.getFinishedSpans()[1]?.name, 'text_completion tiny');
});

test('a span is the child of the one that is active where the request is made', async () => {
  await tracer.startActiveSpan('caller', async (caller) => {
    await Promise.all([1, 2].map(() => llm.generate('Once', { ...GREEDY, maxTokens: 2 })));
    caller.end();
  });
  const [first, second, caller] = spans.getFinishedSpans();
  assert.equal(caller?.name, 'caller');
  for (const span of [first, second]) {
    assert.equal(span?.parentSpanContext?.spanId, caller?.spanContext().spanId);
  }
});

test('the span of a request that fails has the code and not the message, and an abort is no failure', async () => {
  await assert.rejects(llm.generate('a secret', { stop: [7] as unknown as string[] }));
  const failed = onlySpan();
  assert.deepEqual(failed.status, { code: SpanStatusCode.ERROR, message: 'ERR_INVALID_OPTION' });
  assert.equal(failed.attributes['error.type'], 'ERR_INVALID_OPTION');
  assert.deepEqual(failed.attributes['gen_ai.response.finish_reasons'], ['error']);
  spans.reset();
  await assert.rejects(llm.generate('Once', { signal: AbortSignal.abort() }));
  const aborted = onlySpan();
  assert.equal(aborted.status.code, SpanStatusCode.UNSET);
  assert.equal(aborted.attributes['error.type'], undefined);
  assert.deepEqual(aborted.attributes['gen_ai.response.finish_reasons'], ['cancelled']);
});

test('withTraceContext puts the requests of a handler into the trace of their traceparent', async () => {
  const handler = withTraceContext(createHandler(llm));
  const ask = (stream: boolean) => {
    const body = JSON.stringify({ prompt: 'Once', max_tokens: 2, stream });
    const traceId = (stream ? 'b' : 'a').repeat(32);
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    return handler(new Request('http://localhost/v1/completions', { method: 'POST', body, headers }));
  };
  for (const stream of [false, true]) {
    spans.reset();
    await (await ask(stream)).text();
    const span = onlySpan();
    assert.equal(span.spanContext().traceId, (stream ? 'b' : 'a').repeat(32));
    assert.equal(span.parentSpanContext?.spanId, '00f067aa0ba902b7');
  }
  spans.reset();
  await tracer.startActiveSpan('http', async (http) => {
    await (await ask(false)).text();
    http.end();
  });
  const [inner, http] = spans.getFinishedSpans();
  assert.equal(inner?.parentSpanContext?.spanId, http?.spanContext().spanId, 'an HTTP instrumentation comes first');
});

test('the metrics add up to what the requests did', async () => {
  const histogram = async (name: string): Promise<Map<string, Histogram>> => {
    await reader.forceFlush();
    const all =
      points
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
    const found = all.find(({ descriptor }) => descriptor.name === name);
    return new Map(
      found?.dataPoints.map(({ attributes, value }) => [
        String(attributes['gen_ai.token.type'] ?? attributes['error.type'] ?? ''),
        value as Histogram,
      ]),
    );
  };
  const names = ['request.duration', 'time_to_first_token', 'time_per_output_token'].map(
    (name) => `gen_ai.server.${name}`,
  );
  const earlier = await Promise.all([...names, 'gen_ai.client.token.usage'].map(histogram));
  const results = await llm.generate(['Once', 'upon'], { ...GREEDY, maxTokens: 3 });
  await assert.rejects(llm.generate('Once', { topP: 2 }));
  const later = await Promise.all([...names, 'gen_ai.client.token.usage'].map(histogram));
  const grown = (at: number, key: string) => {
    const [from, to] = [earlier[at]?.get(key), later[at]?.get(key)];
    return { count: (to?.count ?? 0) - (from?.count ?? 0), sum: (to?.sum ?? 0) - (from?.sum ?? 0) };
  };
  assert.deepEqual(
    [0, 1, 2].map((at) => grown(at, '').count),
    [2, 2, 2],
  );
  assert.equal(grown(0, 'ERR_INVALID_OPTION').count, 1);
  const seconds = results.reduce((sum, { timing }) => sum + timing.totalMs / 1000, 0);
  assert.ok(Math.abs(grown(0, '').sum - seconds) < 1e-9);
  assert.deepEqual(grown(3, 'output'), { count: 3, sum: 6 });
  assert.equal(
    grown(3, 'input').sum,
    results.reduce((sum, { usage }) => sum + usage.promptTokens, 0),
  );
  assert.equal(later[0]?.get('')?.buckets.boundaries.at(-1), 81.92);
});

test('after stop() requests have no spans, and what still runs has ended its own', async () => {
  const generation = llm.stream('Once', { ...GREEDY, maxTokens: 100_000 });
  await generation[Symbol.asyncIterator]().next();
  instrumentation.stop();
  onlySpan();
  generation.abort();
  await llm.generate('Once', { ...GREEDY, maxTokens: 1 });
  onlySpan();
});

test('instrument refuses what is not an LLM', () => {
  assert.throws(() => instrument({}), failsWith('ERR_INVALID_INPUT', 'no model'));
  assert.throws(() => instrument({ a: {} as LLM }), failsWith('ERR_INVALID_INPUT', '"a"'));
});
