import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { performance } from 'node:perf_hooks';
import {
  LLMError,
  type RequestEndEvent,
  type RequestFirstTokenEvent,
  type RequestStartEvent,
  type Stats,
} from '../../index.js';
import type { ServedRequest } from '../exchange.js';
import { type Models, readModels, type ServedModel } from '../models.js';
import { HttpDurations } from './http-durations.js';
import { type MetricNames, NAMINGS } from './names.js';
import { type Labels, NumberMetric } from './prometheus.js';
import { RequestMetrics } from './request-metrics.js';

/** How the metrics are written. */
export interface MetricsOptions {
  /**
   * Whose names the metrics have: this package's, with the prefix `node_trtllm_`, or vLLM's for those that vLLM has too.
   * Default: `'node-tensorrt-llm'`.
   */
  names?: MetricNames | undefined;
}

/** Metrics of one or several LLMs in Prometheus's text format. */
export interface Metrics {
  /** The `content-type` of `text()`. */
  readonly contentType: string;
  /** What has been counted so far, and how busy the LLMs are now. */
  text(): string;
  /** Counts an HTTP request. createHandler does it where it has these metrics. */
  requestEnded(request: ServedRequest): void;
  /** Counts no more requests. */
  close(): void;
}

/**
 * Counts the requests that this thread makes from now on.
 * @throws {LLMError} `ERR_INVALID_INPUT` if `models` holds no LLM, `ERR_INVALID_OPTION`.
 */
export function createMetrics(models: Models, options?: MetricsOptions): Metrics {
  const naming = NAMINGS[readNames(options)];
  const served = readModels(models);
  const labelsBySession = new Map<number, Labels>();
  for (const { name, llm } of served.values()) {
    if (!labelsBySession.has(llm.handle.sessionId)) labelsBySession.set(llm.handle.sessionId, naming.model(name));
  }
  const maxSeqLen = Math.max(...[...served.values()].map(({ llm }) => llm.info.maxSeqLen));
  const requests = new RequestMetrics(naming, { labelsBySession, maxSeqLen });
  const durations = new HttpDurations(naming);

  const listeners = {
    start: (event: unknown): void => requests.started(event as RequestStartEvent),
    'first-token': (event: unknown): void => requests.hasToken(event as RequestFirstTokenEvent),
    end: (event: unknown): void => requests.ended(event as RequestEndEvent),
  };
  for (const [name, listener] of Object.entries(listeners)) subscribe(`node-tensorrt-llm:request:${name}`, listener);

  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    text: () => {
      const gauges = STATS.map(({ type, stem, help, of }) => {
        const metric = new NumberMetric(type, { name: naming.metric(stem), help });
        for (const model of served.values()) {
          const stats = statsOf(model);
          if (stats) metric.set(naming.model(model.name), of(stats));
        }
        return metric;
      });
      const loop = new NumberMetric('counter', { name: naming.metric('event_loop_seconds_total'), help: LOOP_HELP });
      const { active, idle } = performance.eventLoopUtilization();
      for (const [state, ms] of Object.entries({ active, idle })) loop.set({ state }, ms / 1000);
      const metrics = [...gauges, ...requests.metrics, durations.metric, loop];
      return `${metrics.flatMap((metric) => metric.lines()).join('\n')}\n`;
    },
    requestEnded: (request) => durations.ended(request),
    close: () => {
      for (const [name, listener] of Object.entries(listeners)) {
        unsubscribe(`node-tensorrt-llm:request:${name}`, listener);
      }
    },
  };
}

const LOOP_HELP = "Time that this thread's event loop has worked and waited.";

/** What `llm.stats()` says. */
const STATS: readonly { type: 'counter' | 'gauge'; stem: string; help: string; of: (stats: Stats) => number }[] = [
  {
    type: 'gauge',
    stem: 'num_requests_running',
    help: 'Requests in the running batch.',
    of: (stats) => stats.activeRequests,
  },
  {
    type: 'gauge',
    stem: 'num_requests_waiting',
    help: 'Requests waiting to join the running batch.',
    of: (stats) => stats.queuedRequests,
  },
  {
    type: 'gauge',
    stem: 'kv_cache_usage_ratio',
    help: 'Fraction of the KV blocks that are in use.',
    of: ({ kvBlocks, kvBlocksUsed }) => (kvBlocks > 0 ? kvBlocksUsed / kvBlocks : 0),
  },
  { type: 'gauge', stem: 'step_seconds', help: 'Duration of the latest step.', of: (stats) => stats.stepMs / 1000 },
  { type: 'counter', stem: 'steps_total', help: 'Passes of the model over a batch.', of: (stats) => stats.steps },
  {
    type: 'counter',
    stem: 'preemptions_total',
    help: 'Sequences that gave up their KV blocks, to be computed again later.',
    of: (stats) => stats.preemptions,
  },
  {
    type: 'counter',
    stem: 'draft_tokens_total',
    help: 'Draft tokens that were verified.',
    of: (stats) => stats.draftTokens,
  },
  {
    type: 'counter',
    stem: 'draft_tokens_accepted_total',
    help: 'Draft tokens that were accepted.',
    of: (stats) => stats.draftTokensAccepted,
  },
];

/** Undefined of an LLM that is closed, or whose executor does not answer. */
function statsOf({ llm }: ServedModel): Stats | undefined {
  try {
    return llm.stats();
  } catch {
    return undefined;
  }
}

function readNames(options: MetricsOptions | undefined): MetricNames {
  const unknown = Object.keys(options ?? {}).find((name) => name !== 'names');
  const names = options?.names ?? 'node-tensorrt-llm';
  if (unknown === undefined && Object.hasOwn(NAMINGS, names)) return names;
  const option = unknown ?? 'names';
  const rest =
    unknown === undefined ? `is ${JSON.stringify(names)}; expected one of` : 'is not an option; expected names,';
  const expected = Object.keys(NAMINGS)
    .map((each) => JSON.stringify(each))
    .join(' or ');
  throw new LLMError('ERR_INVALID_OPTION', `${option} ${rest} ${expected}. See createMetrics in docs/api.md.`, {
    option,
  });
}
