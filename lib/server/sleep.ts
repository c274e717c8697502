import type { Exchange } from './exchange.js';
import { wrongMethod } from './http-error.js';
import { chooseModel, refuseAdapter, type ServedModel } from './models.js';

/** What the routes of vLLM's sleep mode do; their `level` counts for nothing, because the weights are always given back. */
const ROUTES: ReadonlyMap<string, { method: 'GET' | 'POST'; answer: (model: ServedModel) => Promise<Response> }> =
  new Map([
    [
      '/sleep',
      {
        method: 'POST',
        answer: async ({ llm }) => {
          await llm.sleep();
          return new Response(null, { status: 200 });
        },
      },
    ],
    [
      '/wake_up',
      {
        method: 'POST',
        answer: async ({ llm }) => {
          await llm.wake();
          return new Response(null, { status: 200 });
        },
      },
    ],
    ['/is_sleeping', { method: 'GET', answer: async ({ llm }) => Response.json({ is_sleeping: llm.isAsleep }) }],
  ]);

/** Undefined for any other path. */
export function sleepMode(
  exchange: Exchange,
  query: URLSearchParams,
  models: ReadonlyMap<string, ServedModel>,
): Promise<Response> | undefined {
  const { path, request } = exchange;
  const route = ROUTES.get(path);
  if (!route) return undefined;
  if (request.method !== route.method) throw wrongMethod(path, request.method, route.method);
  return exchange.run({}, () => {
    const model = chooseModel(models, query.get('model') ?? undefined);
    exchange.model = model;
    refuseAdapter(model);
    return route.answer(model);
  });
}
