// What a server beside the CUDA executor feels: latency of GET /ping while 64 streams generate, and without a model.
//   node bench/gpu-ping.mjs         # Llama-3.1-8B's shape, dummy weights
//   node bench/gpu-ping.mjs DIR     # an engine directory
import { once } from 'node:events';
import http from 'node:http';
import { Worker } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { shapeDirectory } from './shapes.mjs';

const STREAMS = 64;
const SECONDS = 8;
const server = http.createServer((_request, response) => response.end('pong'));
server.listen(0, '127.0.0.1');
await once(server, 'listening');

// In a thread of its own, so that the measuring does not wait for what it measures.
const CLIENT = `
const http = require('node:http');
const { parentPort, workerData: { port, seconds } } = require('node:worker_threads');
const agent = new http.Agent({ keepAlive: true });
const ping = () => new Promise((resolve, reject) => {
  const start = performance.now();
  http.get({ port, host: '127.0.0.1', path: '/ping', agent }, (response) => {
    response.resume().on('end', () => resolve(performance.now() - start));
  }).on('error', reject);
});
(async () => {
  const times = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    times.push(await ping());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (part) => Number(times[Math.floor(times.length * part)].toFixed(3));
  parentPort.postMessage({ pings: times.length, p50: at(0.5), p99: at(0.99), max: at(0.99999) });
})();
`;

async function measure() {
  const worker = new Worker(CLIENT, { eval: true, workerData: { port: server.address().port, seconds: SECONDS } });
  const [milliseconds] = await once(worker, 'message');
  return milliseconds;
}

const control = await measure();
const [, , dir] = process.argv;
const llm = await LLM.load(dir ?? shapeDirectory('8b'), {
  executor: 'cuda',
  loadFormat: dir === undefined ? 'dummy' : 'auto',
});
let running = true;
const readers = Array.from({ length: STREAMS }, async (_, i) => {
  while (running) {
    const tokens = Int32Array.from({ length: 128 }, (_, j) => (i * 131 + j * 7) % llm.info.vocabSize);
    for await (const _chunk of llm.stream({ tokens }, { maxTokens: 400, ignoreEos: true, temperature: 0 }))
      if (!running) break;
  }
});
await measure(); // warm-up
const beside = await measure();
running = false;
await Promise.all(readers);
await llm.close();
server.close();
console.table({ 'without a model': control, [`beside ${STREAMS} streams`]: beside });
