import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { basename, resolve } from 'node:path';
import { toNodeHandler } from 'srvx/node';
import { LLM } from '../index.js';
import { createHandler, type ServedAdapter, type ServedRequest } from '../server/index.js';
import { createMetrics } from '../server/metrics/index.js';
import { type Arguments, type Command, choice, number, printJson, text, UsageError } from './command.js';

const DEFAULT_PORT = 8000;
const DEFAULT_DRAIN_SECONDS = 25; // Kubernetes kills after 30
const FLUSH_MS = 1000;
// Longer than load balancers keep an idle connection, or they send a request into one that has just been closed.
const KEEP_ALIVE_MS = 75_000;

export const serve: Command = {
  name: 'serve',
  usage: 'serve DIR...',
  summary: "answer OpenAI's HTTP API",
  help: `Usage: node-tensorrt-llm serve DIR... [OPTIONS]

Serves the engines in the directories DIR over OpenAI's HTTP API, at /v1, and a page to chat with them, at /. It says so once they have
answered a first request, and prints a line for each request. SIGTERM lets running requests end, then ends it with status 0.

  --port N              port; 0 takes a free one (default: ${DEFAULT_PORT})
  --host HOST           address to listen on (default: 127.0.0.1; 0.0.0.0 for all)
  --name NAME           name of the model for clients; one for each DIR, in their order (default: the directory's)
  --adapter NAME=DIR    LoRA adapter in DIR, as PEFT saves it, by a name for clients; may be repeated; with one engine
  --api-key-env NAME    environment variable with the key that requests must have (default: no key)
  --allowed-host NAME   host name that requests may be for; may be repeated (default: all; on loopback only its own names)
  --max-queue N         requests of a model that may wait; more are answered with status 429 (default: no limit)
  --drain SECONDS       how long requests may run on after SIGTERM (default: ${DEFAULT_DRAIN_SECONDS})
  --threads N           number of CPU threads of each engine (default: all cores)
  --no-page             no chat page at /
  --metrics-names NAMES names of the metrics at /metrics: node-tensorrt-llm or vllm (default: node-tensorrt-llm)
  --sleep-routes        answer POST /sleep, POST /wake_up and GET /is_sleeping, as vLLM does (default: no)
  --metrics-key         ask for the key at /metrics too (default: no)
  --json                print {"type":"ready"}, then {"type":"request"} for each request
`,
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    name: { type: 'string', multiple: true },
    adapter: { type: 'string', multiple: true },
    'api-key-env': { type: 'string' },
    'allowed-host': { type: 'string', multiple: true },
    'max-queue': { type: 'string' },
    drain: { type: 'string' },
    threads: { type: 'string' },
    'no-page': { type: 'boolean' },
    'metrics-names': { type: 'string' },
    'metrics-key': { type: 'boolean' },
    'sleep-routes': { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(args, signal) {
    const { values } = args;
    const names = modelNames(args);
    const adapterDirs = adapterDirectories(args, names);
    const host = text(values, 'host') ?? '127.0.0.1';
    const apiKeys = apiKeysOf(values);
    if (!LOOPBACK.test(host) && apiKeys === undefined) {
      process.stderr.write(`${host} can be reached from other machines, and no key is asked for; see --api-key-env.\n`);
    }
    const metricNames = choice(values, 'metrics-names', ['node-tensorrt-llm', 'vllm']);
    const drainMs = 1000 * (number(values, 'drain') ?? DEFAULT_DRAIN_SECONDS);
    const ending = new AbortController();
    const terminate = (): void => ending.abort();
    const models: Record<string, LLM> = {};
    try {
      const loadOptions = {
        threads: number(values, 'threads'),
        maxQueueSize: number(values, 'max-queue'),
        peftCache: adapterDirs.size > 0 ? {} : undefined,
        signal,
      };
      for (const [i, name] of names.entries())
        models[name] = await LLM.load(args.positionals[i] as string, loadOptions);
      await Promise.all(Object.values(models).map((llm) => llm.generate({ tokens: [0] }, { maxTokens: 1, signal })));
      const adapters = await readAdapters(adapterDirs, models[names[0] as string] as LLM);
      const handler = createHandler(models, {
        adapters,
        apiKeys,
        allowedHosts: allowedHosts(values, host),
        page: !values['no-page'],
        sleepRoutes: values['sleep-routes'] === true,
        isReady: () => !ending.signal.aborted,
        metrics: createMetrics(models, { names: metricNames }),
        metricsNeedKey: values['metrics-key'] === true,
        onRequestEnd: values.json ? (request) => printJson({ type: 'request', ...logged(request) }) : printRequest,
      });
      process.once('SIGTERM', terminate);
      const listener = toNodeHandler(handler) as RequestListener;
      const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
        if (ending.signal.aborted) response.setHeader('connection', 'close');
        listener(request, response);
      });
      const url = await listen(server, number(values, 'port') ?? DEFAULT_PORT, host);
      const served = [...names, ...adapterDirs.keys()];
      if (values.json) printJson({ type: 'ready', url, models: served });
      else process.stdout.write(`${url} serves ${served.join(', ')}\n`);
      const end = AbortSignal.any([signal, ending.signal]);
      if (!end.aborted) await once(end, 'abort');
      await stop(server, Object.values(models), signal.aborted ? 0 : drainMs);
      signal.throwIfAborted();
    } finally {
      process.off('SIGTERM', terminate);
      await Promise.all(Object.values(models).map((llm) => llm.close()));
    }
  },
};

const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/;

function modelNames({ positionals, values }: Arguments): string[] {
  if (positionals.length === 0) throw new UsageError('DIR is missing.');
  const given = Array.isArray(values.name) ? values.name.map(String) : undefined;
  if (given && given.length !== positionals.length) {
    throw new UsageError(
      `There are ${given.length} --name; expected one for each of ${positionals.length} directories.`,
    );
  }
  const names = given ?? positionals.map((dir) => basename(resolve(dir)));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new UsageError(`Two models have the name "${twice}"; expected different ones. Name them with --name.`);
}

function adapterDirectories({ values }: Arguments, names: readonly string[]): ReadonlyMap<string, string> {
  const dirs = new Map<string, string>();
  for (const given of Array.isArray(values.adapter) ? values.adapter.map(String) : []) {
    const [, name, dir] = /^([^=]+)=(.+)$/.exec(given) ?? [];
    if (name === undefined || dir === undefined) throw new UsageError(`--adapter is "${given}"; expected NAME=DIR.`);
    if (dirs.has(name) || names.includes(name))
      throw new UsageError(`Two models have the name "${name}"; expected different ones.`);
    dirs.set(name, dir);
  }
  if (dirs.size === 0 || names.length === 1) return dirs;
  throw new UsageError(`There are ${names.length} engines; expected one with --adapter. Serve each with its adapters.`);
}

/** Each has answered a request. */
async function readAdapters(dirs: ReadonlyMap<string, string>, llm: LLM): Promise<Record<string, ServedAdapter>> {
  const adapters: Record<string, ServedAdapter> = {};
  for (const [name, dir] of dirs) {
    const lora = await llm.readAdapter(dir);
    await llm.generate({ tokens: [0] }, { maxTokens: 1, lora });
    adapters[name] = { lora };
  }
  return adapters;
}

function apiKeysOf(values: Arguments['values']): string[] | undefined {
  const name = text(values, 'api-key-env');
  if (name === undefined) return undefined;
  const key = process.env[name];
  if (key) return [key];
  throw new UsageError(
    `The environment variable ${name} is ${key === '' ? 'empty' : 'not set'}; expected the API key.`,
  );
}

function allowedHosts(values: Arguments['values'], host: string): string[] | undefined {
  const given = values['allowed-host'];
  const named = Array.isArray(given) ? given.map(String) : [];
  if (LOOPBACK.test(host)) return ['localhost', '127.0.0.1', '[::1]', host, ...named];
  return named.length > 0 ? named : undefined;
}

async function listen(server: Server, port: number, host: string): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw new UsageError(`Port ${port} of ${host} is in use. Choose another with --port.`);
    throw new UsageError(`Cannot listen on ${host}, port ${port}: ${message}.`);
  }
  const address = server.address() as { port: number };
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

/** Takes no more connections, lets requests run on for `drainMs`, and lets clients read their ends. */
async function stop(server: Server, models: readonly LLM[], drainMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  await Promise.all(models.map((llm) => llm.close({ drainMs })));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), FLUSH_MS);
  await closed;
  clearTimeout(timer);
}

const logged = ({ error, ...request }: ServedRequest): object => ({
  time: new Date().toISOString(),
  ...request,
  durationMs: Math.round(request.durationMs),
  error: error instanceof Error ? error.message : error,
});

function printRequest({ method, path, status, model, usage, durationMs, aborted, error }: ServedRequest): void {
  const tokens = usage ? ` ${usage.promptTokens}+${usage.completionTokens} tokens` : '';
  const end = aborted ? ' client left' : error instanceof Error ? ` ${error.message}` : '';
  const line = `${method} ${path} ${status}${model === undefined ? '' : ` ${model}`}${tokens} ${Math.round(durationMs)} ms${end}`;
  process.stdout.write(`${new Date().toISOString()} ${line.replaceAll(/\s+/g, ' ')}\n`);
}
