// Three replicas of `serve` on loopback behind vllm-router, which must be installed: `pip install -r examples/replicas/requirements.txt`.
// `node examples/replicas/replicas.mjs ENGINE_DIR` prints the URL for clients, and URL and process id of each replica. A replica that is
// killed gets no more requests. SIGTERM ends all.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const [engine] = process.argv.slice(2);
const REPLICAS = 3;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function startReplica() {
  const args = ['serve', engine, '--name', 'model', '--port', '0', '--threads', '1', '--json', '--no-page'];
  const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const [ready] = await once(lines, 'line');
  return { child, url: JSON.parse(ready).url };
}

const replicas = await Promise.all(Array.from({ length: REPLICAS }, startReplica));
const [port, metricsPort] = [await freePort(), await freePort()];
const routerArgs = {
  host: '127.0.0.1',
  port,
  policy: 'round_robin',
  'prometheus-port': metricsPort,
  'health-check-endpoint': '/ready', // a replica that drains gets no more requests
  'health-check-interval-secs': 1,
  'health-failure-threshold': 1,
  'cb-failure-threshold': 1,
};
const flags = Object.entries(routerArgs).flatMap(([name, value]) => [`--${name}`, String(value)]);
const router = spawn('vllm-router', ['--worker-urls', ...replicas.map(({ url }) => url), ...flags], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
const url = `http://127.0.0.1:${port}`;
while (
  !(await fetch(`${url}/v1/models`).then(
    ({ ok }) => ok,
    () => false,
  ))
) {
  if (router.exitCode !== null) throw new Error('vllm-router has ended.');
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.log(JSON.stringify({ url, replicas: replicas.map((each) => ({ url: each.url, pid: each.child.pid })) }));

process.once('SIGTERM', () => {
  router.kill();
  for (const { child } of replicas) child.kill();
});
