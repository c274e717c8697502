import { LLMError, type RequestEndEvent, type RequestFirstTokenEvent, type RequestStartEvent } from '../../index.js';
import type { Naming } from './names.js';
import { HistogramMetric, type Labels, NumberMetric } from './prometheus.js';

// vLLM's, in seconds.
const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const LATENCY = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const OUTPUTS = [1, 2, 5, 10, 20];

/** 1, 2, 5, 10 and so on, up to `max`. */
function oneTwoFive(max: number): number[] {
  const bounds: number[] = [];
  for (let power = 1; power <= max; power *= 10) bounds.push(power, 2 * power, 5 * power);
  return bounds.filter((bound) => bound <= max);
}

interface Running {
  readonly model: Labels;
  readonly n: number;
}

/** What requests did, from their events. */
export class RequestMetrics {
  readonly metrics: readonly (NumberMetric | HistogramMetric)[];
  readonly #naming: Naming;
  readonly #labelsBySession: ReadonlyMap<number, Labels>;
  /** By id. */
  readonly #running = new Map<number, Running>();
  readonly #promptTokens: NumberMetric;
  readonly #cachedTokens: NumberMetric;
  readonly #generationTokens: NumberMetric;
  readonly #requests: NumberMetric;
  readonly #errors: NumberMetric;
  readonly #firstToken: HistogramMetric;
  readonly #perToken: HistogramMetric;
  readonly #latency: HistogramMetric;
  readonly #queue: HistogramMetric;
  readonly #prefill: HistogramMetric;
  readonly #decode: HistogramMetric;
  readonly #inference: HistogramMetric;
  readonly #promptLength: HistogramMetric;
  readonly #outputLength: HistogramMetric;
  readonly #n: HistogramMetric;

  constructor(
    naming: Naming,
    { labelsBySession, maxSeqLen }: { labelsBySession: ReadonlyMap<number, Labels>; maxSeqLen: number },
  ) {
    this.#naming = naming;
    this.#labelsBySession = labelsBySession;
    const counter = (stem: string, help: string) => new NumberMetric('counter', { name: naming.metric(stem), help });
    const histogram = (bounds: readonly number[], stem: string, help: string) =>
      new HistogramMetric(bounds, { name: naming.metric(stem), help });
    const lengths = oneTwoFive(maxSeqLen);
    this.#promptTokens = counter('prompt_tokens_total', 'Tokens of prompts.');
    this.#cachedTokens = counter('cached_tokens_total', 'Tokens of prompts that were found in the KV cache.');
    this.#generationTokens = counter('generation_tokens_total', 'Tokens that were generated.');
    this.#requests = counter('requests_total', 'Requests that have ended.');
    this.#errors = counter('request_errors_total', 'Requests that failed.');
    this.#firstToken = histogram(FIRST_TOKEN, 'time_to_first_token_seconds', 'Until the first token.');
    this.#perToken = histogram(
      PER_TOKEN,
      'request_time_per_output_token_seconds',
      'Mean time between two tokens of an output, one value for each request.',
    );
    this.#latency = histogram(LATENCY, 'e2e_request_latency_seconds', 'Until the end of a request.');
    this.#queue = histogram(LATENCY, 'request_queue_time_seconds', 'Until a request joined the running batch.');
    this.#prefill = histogram(LATENCY, 'request_prefill_time_seconds', 'From then to the first token.');
    this.#decode = histogram(LATENCY, 'request_decode_time_seconds', 'From the first token to the end.');
    this.#inference = histogram(LATENCY, 'request_inference_time_seconds', 'In the running batch.');
    this.#promptLength = histogram(lengths, 'request_prompt_tokens', 'Tokens of a prompt.');
    this.#outputLength = histogram(lengths, 'request_generation_tokens', 'Tokens of the outputs of a request.');
    this.#n = histogram(OUTPUTS, 'request_params_n', 'Outputs that a request asked for.');
    const counters = [this.#promptTokens, this.#cachedTokens, this.#generationTokens];
    const times = [this.#firstToken, this.#perToken, this.#latency, this.#queue, this.#prefill, this.#decode];
    const histograms = [...times, this.#inference, this.#promptLength, this.#outputLength, this.#n];
    for (const model of labelsBySession.values()) {
      for (const metric of counters) metric.add(model, 0);
      for (const metric of histograms) metric.start(model);
    }
    this.metrics = [...counters, this.#requests, this.#errors, ...histograms];
  }

  started({ requestId, sessionId, options }: RequestStartEvent): void {
    const model = this.#labelsBySession.get(sessionId);
    if (model) this.#running.set(requestId, { model, n: options?.n ?? 1 });
  }

  hasToken({ requestId, timeToFirstTokenMs }: RequestFirstTokenEvent): void {
    const running = this.#running.get(requestId);
    if (running) this.#firstToken.observe(running.model, timeToFirstTokenMs / 1000);
  }

  ended({ requestId, finishReason, usage, timing, error }: RequestEndEvent): void {
    const running = this.#running.get(requestId);
    if (!running) return;
    this.#running.delete(requestId);
    const { model, n } = running;
    const isFailure = LLMError.is(error);
    // Of a signal that aborted the error is whatever it says.
    const reason = finishReason ?? (isFailure ? 'error' : 'cancelled');
    this.#requests.add({ ...model, ...this.#naming.finishReason(reason) }, 1);
    if (isFailure) this.#errors.add({ ...model, code: error.code }, 1);
    this.#promptTokens.add(model, usage.promptTokens);
    this.#cachedTokens.add(model, usage.cachedTokens);
    this.#generationTokens.add(model, usage.completionTokens);
    if (finishReason === undefined) return;
    const seconds = {
      queue: timing.queueMs / 1000,
      first: timing.timeToFirstTokenMs / 1000,
      total: timing.totalMs / 1000,
    };
    this.#latency.observe(model, seconds.total);
    this.#promptLength.observe(model, usage.promptTokens);
    this.#outputLength.observe(model, usage.completionTokens);
    this.#n.observe(model, n);
    if (usage.completionTokens === 0) return;
    const decode = seconds.total - seconds.first;
    this.#queue.observe(model, seconds.queue);
    this.#prefill.observe(model, seconds.first - seconds.queue);
    this.#decode.observe(model, decode);
    this.#inference.observe(model, seconds.total - seconds.queue);
    const steps = usage.completionTokens / n - 1;
    if (steps > 0) this.#perToken.observe(model, decode / steps);
  }
}
