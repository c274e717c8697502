import { readFileSync } from 'node:fs';
import { type Fields, parseFields, readBytes } from './body.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext, HttpError, noSuchPath, wrongMethod } from './http-error.js';
import { chooseModel, nameInPath, type ServedModel } from './models.js';
import { generate, generateStream } from './triton-generate.js';
import { infer } from './triton-infer.js';
import { modelConfig, modelMetadata, modelStatistics, VERSION } from './triton-model.js';

/** What the routes of Triton's protocol serve. */
export interface TritonServer {
  readonly served: ReadonlyMap<string, ServedModel>;
  readonly maxBodyBytes: number;
  isReady(): boolean;
}

/** Answers all below /v2 but the server's health. */
export async function triton(exchange: Exchange, server: TritonServer): Promise<Response> {
  const { path } = exchange;
  const serverRoute = SERVER_ROUTES.get(path);
  if (serverRoute) {
    checkMethod(exchange, serverRoute.method);
    return exchange.run({}, async () => serverRoute.answer(server, exchange));
  }
  const [, name, version, action = ''] = MODEL_PATH.exec(path) ?? [];
  const route = MODEL_ROUTES.get(action);
  if (name === undefined || !route) throw noSuchPath(path);
  checkMethod(exchange, route.method);
  const model = chooseModel(server.served, nameInPath(name));
  exchange.model = model;
  if (version !== undefined && version !== VERSION) {
    throw new HttpError(404, `version is ${JSON.stringify(version)}; expected ${VERSION}.`);
  }
  return exchange.run(route.context ?? {}, async () => route.answer(model, server, exchange));
}

const MODEL_PATH = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/([a-z_]+))?$/;

function checkMethod({ request, path }: Exchange, expected: 'GET' | 'POST'): void {
  const { method } = request;
  if (method === expected || (method === 'HEAD' && expected === 'GET')) return;
  throw wrongMethod(path, method, expected === 'GET' ? 'GET, HEAD' : expected);
}

interface ServerRoute {
  readonly method: 'GET' | 'POST';
  answer(server: TritonServer, exchange: Exchange): Response | Promise<Response>;
}

const SERVER_ROUTES: ReadonlyMap<string, ServerRoute> = new Map<string, ServerRoute>([
  ['/v2', { method: 'GET', answer: () => Response.json(serverMetadata()) }],
  ['/v2/models/stats', { method: 'GET', answer: ({ served }) => statistics([...served.values()]) }],
  ['/v2/repository/index', { method: 'POST', answer: repositoryIndex }],
]);

interface ModelRoute {
  readonly method: 'GET' | 'POST';
  readonly context?: FailureContext;
  answer(model: ServedModel, server: TritonServer, exchange: Exchange): Response | Promise<Response>;
}

const MODEL_ROUTES: ReadonlyMap<string, ModelRoute> = new Map<string, ModelRoute>([
  ['', { method: 'GET', answer: (model) => Response.json(modelMetadata(model)) }],
  [
    'ready',
    {
      method: 'GET',
      answer: (model, server) => new Response(null, { status: stateOf(model, server).state === 'READY' ? 200 : 400 }),
    },
  ],
  ['config', { method: 'GET', answer: (model) => Response.json(modelConfig(model)) }],
  ['stats', { method: 'GET', answer: (model) => statistics([model]) }],
  ['generate', jsonRoute(generate)],
  ['generate_stream', jsonRoute(generateStream)],
  [
    'infer',
    {
      method: 'POST',
      context: infer.context,
      answer: async (model, { maxBodyBytes }, exchange) => {
        const body = await readBytes(exchange.request, maxBodyBytes);
        return exchange.withAdapter(() => infer(body, model, exchange));
      },
    },
  ],
]);

function jsonRoute(route: typeof generate): ModelRoute {
  return {
    method: 'POST',
    context: route.context,
    answer: async (model, { maxBodyBytes }, exchange) => {
      const body = parseFields(await readBytes(exchange.request, maxBodyBytes));
      return exchange.withAdapter(() => route(body, model, exchange));
    },
  };
}

function serverMetadata(): object {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Fields;
  const extensions = ['binary_tensor_data', 'model_configuration', 'statistics', 'generate'];
  return { name: 'node-tensorrt-llm', version, extensions };
}

const statistics = (models: readonly ServedModel[]): Response =>
  Response.json({ model_stats: models.map(modelStatistics) });

async function repositoryIndex(server: TritonServer, exchange: Exchange): Promise<Response> {
  const body = await readBytes(exchange.request, server.maxBodyBytes);
  const { ready = false } = body.length === 0 ? {} : parseFields(body);
  if (typeof ready !== 'boolean') throw badField('ready', `is ${JSON.stringify(ready)}; expected true or false.`);
  const models = [...server.served.values()].map((model) => ({
    name: model.name,
    version: VERSION,
    ...stateOf(model, server),
  }));
  return Response.json(models.filter(({ state }) => !ready || state === 'READY'));
}

function stateOf({ llm }: ServedModel, { isReady }: TritonServer): { state: string; reason: string } {
  if (!isReady()) return { state: 'UNAVAILABLE', reason: 'shutting down' };
  return llm.isAsleep ? { state: 'UNAVAILABLE', reason: 'asleep' } : { state: 'READY', reason: '' };
}
