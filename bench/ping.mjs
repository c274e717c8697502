// GET /ping of a server in this process, asked from a thread of its own, so that the measuring does not wait for what it measures.
import { once } from 'node:events';
import http from 'node:http';
import { Worker } from 'node:worker_threads';

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
  const at = (part) => Number(times[Math.floor(times.length * part)].toFixed(2));
  parentPort.postMessage({ pings: times.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(0.99999) });
})();
`;

const server = http.createServer((_request, response) => response.end('pong'));
server.listen(0, '127.0.0.1');
server.unref();
await once(server, 'listening');

/** Milliseconds of many pings, 2 ms between them, in so many seconds. */
export async function measurePings(seconds) {
  const worker = new Worker(CLIENT, { eval: true, workerData: { port: server.address().port, seconds } });
  const [milliseconds] = await once(worker, 'message');
  return milliseconds;
}
