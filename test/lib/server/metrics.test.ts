import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import { LLM, type RequestEndEvent } from 'node-tensorrt-llm';
import { createMetrics, type Metrics, type MetricsOptions } from 'node-tensorrt-llm/metrics';
import { createHandler } from 'node-tensorrt-llm/server';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { type Family, parseMetrics } from '../../tools/prometheus.js';

let llm: LLM;
before(async () => {
  llm = await LLM.load(await scriptedEngine({ step_ms: 1 }), { executor: { library: SCRIPTED_LIBRARY } });
});
after(() => llm.close());

const GREEDY = { temperature: 0, ignoreEos: true };
const LONG = { ...GREEDY, maxTokens: 100_000 };

/** The value of a sample of a metric, by the labels that it must have. */
function sampleOf(families: ReadonlyMap<string, Family>, name: string, labels: Readonly<Record<string, string>> = {}) {
  const family = families.get(name.replace(/_(sum|count|bucket)$/, '')) ?? families.get(name);
  const found = family?.samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found?.length === 1 ? found[0]?.value : `${found?.length} samples`;
}

async function withMetrics(use: (metrics: Metrics) => Promise<void>, options?: MetricsOptions): Promise<void> {
  const metrics = createMetrics({ 'a "model"\\\n': llm }, options);
  try {
    await use(metrics);
  } finally {
    metrics.close();
  }
}

const P = 'node_trtllm_';

/** Three that end at maxTokens, one of them with two outputs, one that stops, one cancelled, one aborted, one refused. */
async function knownTraffic(): Promise<RequestEndEvent[]> {
  const ended: RequestEndEvent[] = [];
  const listener = (event: unknown): void => void ended.push(event as RequestEndEvent);
  subscribe('node-tensorrt-llm:request:end', listener);
  await llm.generate(['Once', 'upon'], { ...GREEDY, maxTokens: 5 });
  await llm.generate('a time', { ...GREEDY, maxTokens: 4, n: 2 });
  const { text } = await llm.generate('Once', { ...GREEDY, maxTokens: 5 });
  await llm.generate('Once', { ...GREEDY, maxTokens: 50, stop: text.slice(0, 1) });
  for await (const _ of llm.stream('Once', LONG)) break;
  await assert.rejects(llm.generate('Once', { signal: AbortSignal.abort() }));
  await assert.rejects(llm.generate('Once', { topP: 2 }));
  unsubscribe('node-tensorrt-llm:request:end', listener);
  return ended;
}

test('the counters and histograms add up to what the requests did', () =>
  withMetrics(async (metrics) => {
    const before = parseMetrics(metrics.text());
    assert.equal(sampleOf(before, `${P}prompt_tokens_total`), 0);
    assert.equal(sampleOf(before, `${P}time_to_first_token_seconds_count`), 0);
    const ended = await knownTraffic();
    const now = parseMetrics(metrics.text());
    const model = { model: 'a "model"\\\n' };
    const sum = (of: (event: RequestEndEvent) => number) => ended.reduce((total, event) => total + of(event), 0);
    const finished = ended.filter(({ finishReason }) => finishReason !== undefined);
    const totalSeconds = finished.reduce((total, { timing }) => total + timing.totalMs / 1000, 0);
    for (const [name, labels, expected] of [
      ['requests_total', { finish_reason: 'length' }, 4],
      ['requests_total', { finish_reason: 'stop' }, 1],
      ['requests_total', { finish_reason: 'cancelled' }, 2],
      ['requests_total', { finish_reason: 'error' }, 1],
      ['request_errors_total', { code: 'ERR_INVALID_OPTION' }, 1],
      ['prompt_tokens_total', {}, sum(({ usage }) => usage.promptTokens)],
      ['generation_tokens_total', {}, sum(({ usage }) => usage.completionTokens)],
      ['cached_tokens_total', {}, sum(({ usage }) => usage.cachedTokens)],
      ['time_to_first_token_seconds_count', {}, 6],
      ['e2e_request_latency_seconds_count', {}, 6],
      ['request_generation_tokens_count', {}, 6],
      ['request_params_n_sum', {}, 7],
      ['request_params_n_bucket', { le: '1' }, 5],
      ['request_params_n_bucket', { le: '2' }, 6],
    ] as const) {
      assert.equal(sampleOf(now, P + name, { ...model, ...labels }), expected, `${name} ${JSON.stringify(labels)}`);
    }
    const near = (name: string, expected: number) => {
      const value = sampleOf(now, P + name);
      assert.ok(typeof value === 'number' && Math.abs(value - expected) < 1e-9, `${name} is ${value}, not ${expected}`);
    };
    near('e2e_request_latency_seconds_sum', totalSeconds);
    const part = (name: string) => sampleOf(now, `${P}request_${name}_time_seconds_sum`) as number;
    near('request_inference_time_seconds_sum', part('prefill') + part('decode'));
    near('e2e_request_latency_seconds_sum', part('queue') + part('inference'));
  }));

test('the gauges are those of llm.stats()', () => {
  const stats = {
    activeRequests: 2,
    queuedRequests: 3,
    kvBlocks: 8,
    kvBlocksUsed: 2,
    stepMs: 5,
    steps: 7,
    preemptions: 1,
    draftTokens: 9,
    draftTokensAccepted: 6,
  };
  const info = { dir: '/busy', maxSeqLen: 64 };
  const busy = { stream() {}, info, handle: { sessionId: -1 }, stats: () => stats } as unknown as LLM;
  const metrics = createMetrics(busy);
  const families = parseMetrics(metrics.text());
  metrics.close();
  for (const [name, type, expected] of [
    ['num_requests_running', 'gauge', 2],
    ['num_requests_waiting', 'gauge', 3],
    ['kv_cache_usage_ratio', 'gauge', 0.25],
    ['step_seconds', 'gauge', 0.005],
    ['steps_total', 'counter', 7],
    ['preemptions_total', 'counter', 1],
    ['draft_tokens_total', 'counter', 9],
    ['draft_tokens_accepted_total', 'counter', 6],
  ] as const) {
    assert.equal(sampleOf(families, P + name, { model: 'busy' }), expected, name);
    assert.equal(families.get(P + name)?.type, type);
  }
  assert.ok((sampleOf(families, `${P}event_loop_seconds_total`, { state: 'active' }) as number) > 0);
});

test("with names: 'vllm' the metrics that vLLM has have its names, labels and reasons", () =>
  withMetrics(
    async (metrics) => {
      await llm.generate('Once', { ...GREEDY, maxTokens: 2 });
      for await (const _ of llm.stream('Once', LONG)) break;
      const families = parseMetrics(metrics.text());
      const model = { model_name: 'a "model"\\\n', engine: '0' };
      assert.equal(sampleOf(families, 'vllm:request_success_total', { ...model, finished_reason: 'length' }), 1);
      assert.equal(sampleOf(families, 'vllm:request_success_total', { ...model, finished_reason: 'abort' }), 1);
      for (const [name, type] of [
        ['num_requests_running', 'gauge'],
        ['num_requests_waiting', 'gauge'],
        ['kv_cache_usage_perc', 'gauge'],
        ['num_preemptions_total', 'counter'],
        ['spec_decode_num_draft_tokens_total', 'counter'],
        ['spec_decode_num_accepted_tokens_total', 'counter'],
        ['prompt_tokens_total', 'counter'],
        ['prefix_cache_hits_total', 'counter'],
        ['generation_tokens_total', 'counter'],
        ['time_to_first_token_seconds', 'histogram'],
        ['e2e_request_latency_seconds', 'histogram'],
        ['request_prompt_tokens', 'histogram'],
      ] as const) {
        assert.equal(families.get(`vllm:${name}`)?.type, type, name);
      }
      assert.ok(families.has(`${P}steps_total`), 'what vLLM does not have keeps our name');
    },
    { names: 'vllm' },
  ));

test('requests of other engines, and those after close(), are not counted', async () => {
  const other = await LLM.load(await tinyEngine());
  const metrics = createMetrics(llm);
  await other.generate('Once', { maxTokens: 1 });
  await other.close();
  assert.equal(sampleOf(parseMetrics(metrics.text()), `${P}generation_tokens_total`, { model: 'engine' }), 0);
  metrics.close();
  await llm.generate('Once', { maxTokens: 1 });
  assert.equal(sampleOf(parseMetrics(metrics.text()), `${P}generation_tokens_total`), 0);
});

test('a closed LLM has no gauges, and its counters stay', async () => {
  const closed = await LLM.load(await tinyEngine());
  const metrics = createMetrics({ closed, llm });
  await closed.generate('Once', { ...GREEDY, maxTokens: 3 });
  await closed.close();
  const families = parseMetrics(metrics.text());
  assert.equal(sampleOf(families, `${P}num_requests_running`, { model: 'closed' }), '0 samples');
  assert.equal(typeof sampleOf(families, `${P}num_requests_running`, { model: 'llm' }), 'number');
  assert.equal(sampleOf(families, `${P}generation_tokens_total`, { model: 'closed' }), 3);
  metrics.close();
});

test('createMetrics refuses what is not an option', () => {
  assert.throws(
    () => createMetrics(llm, { names: 'vLLM' } as object),
    failsWith('ERR_INVALID_OPTION', /^names is "vLLM"; expected one of/),
  );
  assert.throws(
    () => createMetrics(llm, { prefix: 'x' } as object),
    failsWith('ERR_INVALID_OPTION', /^prefix is not an option/),
  );
  assert.throws(() => createMetrics({}), failsWith('ERR_INVALID_INPUT', 'no model'));
});

test('the handler answers /metrics without a key, and counts its requests by route and status', () =>
  withMetrics(async (metrics) => {
    const handler = createHandler({ tiny: llm }, { apiKeys: ['secret'], metrics });
    const ask = (path: string, init: RequestInit = {}) =>
      handler(new Request(`http://localhost${path}`, { headers: { authorization: 'Bearer secret' }, ...init }));
    const body = JSON.stringify({ prompt: 'Once', max_tokens: 3, stream: true });
    await (await ask('/v1/completions', { method: 'POST', body })).text();
    await ask('/v1/completions', { method: 'POST', body: '{}' });
    await ask('/v1/models/tiny');
    for (const path of ['/v1/models/other', '/secret/1', '/secret/2']) await ask(path);
    await ask('/v1/unknown', { headers: {} });
    await ask('/v1/completions', { method: 'POST', body, headers: {} });
    const response = await handler(new Request('http://localhost/metrics'));
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    const families = parseMetrics(await response.text());
    const counted = (families.get(`${P}http_request_duration_seconds`)?.samples ?? [])
      .filter(({ name }) => name.endsWith('_count'))
      .map(({ labels, value }) => [labels.route, labels.status, value]);
    assert.deepEqual(counted.sort(), [
      ['/v1/completions', '200', 1],
      ['/v1/completions', '400', 1],
      ['/v1/completions', '401', 1],
      ['/v1/models/MODEL', '200', 1],
      ['other', '401', 1],
      ['other', '404', 3],
    ]);
    assert.equal((await ask('/metrics', { method: 'POST' })).status, 405);
  }));

test('with metricsNeedKey /metrics asks for the key, and without metrics there is no such route', () =>
  withMetrics(async (metrics) => {
    const request = () => new Request('http://localhost/metrics');
    const keyed = createHandler(llm, { apiKeys: ['secret'], metrics, metricsNeedKey: true });
    assert.equal((await keyed(request())).status, 401);
    const headers = { authorization: 'Bearer secret' };
    assert.equal((await keyed(new Request('http://localhost/metrics', { headers }))).status, 200);
    assert.equal((await createHandler(llm)(request())).status, 404);
  }));
