import * as v from 'valibot';
import { LLMError } from '../index.js';
import { hostCheck, keyCheck } from './access.js';
import { type Fields, parseFields, readBytes } from './body.js';
import { chatCompletions } from './chat.js';
import { completions } from './completions.js';
import { embeddings } from './embeddings.js';
import { Exchange, type ServedRequest } from './exchange.js';
import { type FailureContext, noSuchPath, toHttpError, tritonBody, wrongMethod } from './http-error.js';
import type { Metrics } from './metrics/index.js';
import { chooseModel, type Models, nameInPath, readModels, type ServedAdapter, type ServedModel } from './models.js';
import { readPage } from './page.js';
import { responses } from './responses.js';
import { score } from './score.js';
import { sleepMode } from './sleep.js';
import { detokenize, tokenize, tokenizerInfo } from './tokenize.js';
import { triton } from './triton.js';

/** How createHandler answers. */
export interface HandlerOptions {
  /** LoRA adapters by the names that clients use as `model`; the engines were loaded with `peftCache`. Default: none. */
  adapters?: Readonly<Record<string, ServedAdapter>> | undefined;
  /** Keys, one of which a request must have: `Authorization: Bearer KEY`. Default: none, and no key is asked for. */
  apiKeys?: readonly string[] | undefined;
  /** Maximum size of a request's body in bytes; a larger one is answered with 413. Default: 1048576. */
  maxBodyBytes?: number | undefined;
  /** How long a request may take, in ms; then its answer ends, with finish reason `length`. Default: none. */
  timeoutMs?: number | undefined;
  /** How long a request may wait to start, in ms; then it is answered with 429. Default: none. */
  queueTimeoutMs?: number | undefined;
  /**
   * Host names that a request may be for and, from a browser, come from; any other is answered with 403. Name those of a server
   * on loopback: `['localhost', '127.0.0.1', '[::1]']`, or any web page can reach it. Default: all.
   */
  allowedHosts?: readonly string[] | undefined;
  /** Whether `/` is a web page to chat with the models; it asks for the key where one is needed. Default: false. */
  page?: boolean | undefined;
  /** Whether `/ready` answers 200; 503 otherwise, and while all models are asleep, and 400 for `/v2/health/ready`. Default: always. */
  isReady?: (() => boolean) | undefined;
  /** Called when a request has been answered or its client has left, for a log; it must not throw. Default: none. */
  onRequestEnd?: ((request: ServedRequest) => void) | undefined;
  /** What `GET /metrics` answers with; it also counts the requests to this handler. Default: none, and there is no such route. */
  metrics?: Metrics | undefined;
  /**
   * Whether `POST /sleep`, `POST /wake_up` and `GET /is_sleeping` are answered, as vLLM does; of several models, the query names
   * one: `?model=NAME`. Whoever may make requests may call them. Default: false.
   */
  sleepRoutes?: boolean | undefined;
  /** Ask for a key at `/metrics` too, if there are `apiKeys`. Default: false. */
  metricsNeedKey?: boolean | undefined;
}

/** Answers a web-standard Request; never rejects. */
export type Handler = (request: Request) => Promise<Response>;

const DEFAULT_MAX_BODY_BYTES = 2 ** 20; // JSON.parse of the worst one takes 0.15 s, of 4 MiB more than a second
const MAX_MS = 2 ** 31 - 1; // what setTimeout takes

const isFunction = v.custom<(...args: never[]) => unknown>((value) => typeof value === 'function');
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const texts = v.array(v.pipe(v.string(), v.nonEmpty()));
const optionsSchema = v.strictObject({
  adapters: v.nullish(
    v.record(v.string(), v.strictObject({ lora: v.looseObject({ id: v.number() }), model: v.optional(v.string()) })),
  ),
  apiKeys: v.nullish(texts),
  maxBodyBytes: v.nullish(positive),
  timeoutMs: v.nullish(v.pipe(positive, v.maxValue(MAX_MS))),
  queueTimeoutMs: v.nullish(v.pipe(positive, v.maxValue(MAX_MS))),
  allowedHosts: v.nullish(texts),
  page: v.nullish(v.boolean()),
  sleepRoutes: v.nullish(v.boolean()),
  isReady: v.nullish(isFunction),
  onRequestEnd: v.nullish(isFunction),
  metrics: v.nullish(v.looseObject({ text: isFunction, requestEnded: isFunction })),
  metricsNeedKey: v.nullish(v.boolean()),
});

function readHandlerOptions(options: HandlerOptions): HandlerOptions {
  const { success, issues } = v.safeParse(optionsSchema, options ?? {}, { abortEarly: true });
  if (success) return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== null));
  const [{ path, received, expected }] = issues;
  const name = path?.map(({ key }) => String(key)).join('.') ?? 'options';
  const rest =
    expected === 'never'
      ? 'is not an option'
      : `is ${received}; expected ${expected === 'unknown' ? 'a function' : expected}`;
  throw new LLMError('ERR_INVALID_OPTION', `${name} ${rest}. See createHandler in docs/api.md.`, { option: name });
}

interface PostRoute {
  (body: Fields, model: ServedModel, exchange: Exchange): Promise<Response>;
  readonly context: FailureContext;
}

const POST: ReadonlyMap<string, PostRoute> = new Map<string, PostRoute>([
  ['/v1/chat/completions', chatCompletions],
  ['/v1/completions', completions],
  ['/v1/responses', responses],
  ['/v1/embeddings', embeddings],
  ['/v1/score', score],
  ['/tokenize', tokenize],
  ['/detokenize', detokenize],
]);

/**
 * Serves one LLM, or several by name, over OpenAI's HTTP API and, below /v2, that of Triton.
 * @throws {LLMError} `ERR_INVALID_INPUT` if `models` holds no LLM, `ERR_INVALID_OPTION`.
 */
export function createHandler(models: Models, options: HandlerOptions = {}): Handler {
  const read = readHandlerOptions(options);
  const {
    apiKeys = [],
    maxBodyBytes = DEFAULT_MAX_BODY_BYTES,
    allowedHosts,
    isReady = () => true,
    onRequestEnd,
  } = read;
  const { timeoutMs, queueTimeoutMs, metrics, metricsNeedKey = false, sleepRoutes = false } = read;
  const served = readModels(models, read.adapters);
  const checkKey = keyCheck(apiKeys);
  const checkHost = hostCheck(allowedHosts);
  const page = read.page ? readPage() : undefined;
  const created = Math.floor(Date.now() / 1000);

  const modelObject = ({ name, llm, adapter }: ServedModel): object => ({
    id: name,
    object: 'model',
    created,
    owned_by: 'node-tensorrt-llm',
    root: name,
    parent: adapter?.parent ?? null,
    max_model_len: llm.info.maxSeqLen,
  });

  const get = (path: string, query: URLSearchParams, exchange: Exchange): Response | undefined => {
    if (path === '/v1/models') return Response.json({ object: 'list', data: [...served.values()].map(modelObject) });
    const named = path.startsWith('/v1/models/') ? nameInPath(path.slice('/v1/models/'.length)) : undefined;
    if (named === undefined && path !== '/tokenizer_info') return undefined;
    exchange.model = chooseModel(served, named ?? query.get('model') ?? undefined);
    return named === undefined ? tokenizerInfo(exchange.model) : Response.json(modelObject(exchange.model));
  };

  const post = (route: PostRoute, exchange: Exchange): Promise<Response> =>
    exchange.run(route.context, async () => {
      const body = parseFields(await readBytes(exchange.request, maxBodyBytes));
      const { model } = body;
      const chosen = chooseModel(served, typeof model === 'string' ? model : undefined);
      exchange.model = chosen;
      return exchange.withAdapter(() => route(body, chosen, exchange));
    });

  const areAllAsleep = (): boolean => [...served.values()].every(({ llm }) => llm.isAsleep);

  /** Of all models that are awake: whether each computes. */
  const deepHealth = async (exchange: Exchange): Promise<Response> => {
    const failed: object[] = [];
    await Promise.all(
      [...served.values()].map(async (model) => {
        const error = model.llm.isAsleep || model.adapter ? undefined : await model.failure();
        if (error === undefined) return;
        exchange.failed(error);
        failed.push({ model: model.name, code: LLMError.is(error) ? error.code : null });
      }),
    );
    if (failed.length > 0) return Response.json({ status: 'failing', failed }, { status: 503 });
    return Response.json({ status: areAllAsleep() ? 'asleep' : 'ok' });
  };

  const answer = async (exchange: Exchange, url: URL): Promise<Response> => {
    const { request, path } = exchange;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    checkHost(request);
    if (
      method === 'GET' &&
      (path === '/health_generate' || (path === '/health' && url.searchParams.get('deep') === 'true'))
    ) {
      return deepHealth(exchange);
    }
    if (method === 'GET' && HEALTH.has(path)) {
      const isAsleep = areAllAsleep();
      const isUp = HEALTH.get(path) === 'live' || (isReady() && !isAsleep);
      if (isOfTriton(path)) return new Response(null, { status: isUp ? 200 : 400 });
      return Response.json({ status: isAsleep ? 'asleep' : isUp ? 'ok' : 'not ready' }, { status: isUp ? 200 : 503 });
    }
    const pageFile = page?.get(path);
    if (method === 'GET' && pageFile) return pageFile(request);
    const isMetrics = metrics !== undefined && path === '/metrics';
    if (!isMetrics || metricsNeedKey) checkKey(request);
    if (isMetrics && method === 'GET') {
      return new Response(metrics.text(), { headers: { 'content-type': metrics.contentType } });
    }
    if (isOfTriton(path) && !HEALTH.has(path)) return triton(exchange, { served, maxBodyBytes, isReady });
    const slept = sleepRoutes ? sleepMode(exchange, url.searchParams, served) : undefined;
    if (slept) return slept;
    const route = POST.get(path);
    if (route && method === 'POST') return post(route, exchange);
    const got = method === 'GET' ? get(path, url.searchParams, exchange) : undefined;
    if (got) return got;
    const isGet =
      path.startsWith('/v1/models') ||
      path === '/tokenizer_info' ||
      path === '/health_generate' ||
      HEALTH.has(path) ||
      pageFile ||
      isMetrics;
    const allow = route ? 'POST' : isGet ? 'GET, HEAD' : undefined;
    throw allow === undefined ? noSuchPath(path) : wrongMethod(path, request.method, allow);
  };

  const onEnd = (request: ServedRequest): void => {
    metrics?.requestEnded(request);
    onRequestEnd?.(request);
  };

  return async (request) => {
    const url = new URL(request.url);
    const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
    const exchange = new Exchange(request, path, { timeoutMs, queueTimeoutMs }, onEnd);
    let response: Response;
    try {
      response = exchange.answered(await answer(exchange, url));
    } catch (thrown) {
      const error = toHttpError(thrown);
      exchange.failed(error);
      response = exchange.answered(error.toResponse(isOfTriton(path) ? tritonBody : undefined));
    }
    // A stream ends the exchange itself.
    if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) exchange.end();
    return response;
  };
}

const isOfTriton = (path: string): boolean => path === '/v2' || path.startsWith('/v2/');

const HEALTH: ReadonlyMap<string, 'live' | 'ready'> = new Map([
  ['/health', 'live'],
  ['/v1/health/live', 'live'],
  ['/v2/health/live', 'live'],
  ['/ready', 'ready'],
  ['/v1/health/ready', 'ready'],
  ['/v2/health/ready', 'ready'],
]);
