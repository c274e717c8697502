import type { ServedRequest } from '../exchange.js';
import type { Naming } from './names.js';
import { HistogramMetric } from './prometheus.js';

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480];

const MAX_ROUTES = 100; // more than there are

/** Anybody can send these to any path. */
const SAYS_NOTHING_OF_THE_ROUTE: ReadonlySet<number> = new Set([401, 403, 404, 405, 499]);

/** How long HTTP requests take, by route and status. */
export class HttpDurations {
  readonly metric: HistogramMetric;
  /** Only these are labels, so that no client can make many of them. */
  readonly #routes = new Set<string>();

  constructor(naming: Naming) {
    this.metric = new HistogramMetric(BOUNDS, {
      name: naming.metric('http_request_duration_seconds'),
      help: 'From the call of the handler to the last byte of the answer.',
    });
  }

  ended({ path, status, model, durationMs }: ServedRequest): void {
    const route = routeOf(path, model);
    if (!SAYS_NOTHING_OF_THE_ROUTE.has(status) && this.#routes.size < MAX_ROUTES) this.#routes.add(route);
    const labels = { route: this.#routes.has(route) ? route : 'other', status: String(status) };
    this.metric.observe(labels, durationMs / 1000);
  }
}

/** The path, with MODEL for the name of the model. */
const routeOf = (path: string, model: string | undefined): string =>
  model === undefined
    ? path
    : path
        .split('/')
        .map((segment) => (segment === encodeURIComponent(model) || segment === model ? 'MODEL' : segment))
        .join('/');
