import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { tinyEngine } from '../../tools/engines.js';

const main = join(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'), '../dist/cli/main.js');

let engine: string;
before(async () => {
  engine = await tinyEngine();
});

const started: ChildProcess[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
});

function start(...args: string[]): { child: ChildProcess; lines: Interface; err: () => string } {
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TEST_KEY: 'secret' },
  });
  started.push(child);
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return { child, lines: createInterface(child.stdout), err: () => err };
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = (await once(lines, 'line')) as [string];
  return line;
}
const nextJson = async (lines: Interface) => JSON.parse(await nextLine(lines)) as Record<string, unknown>;

const messages = [{ role: 'user' as const, content: 'hi' }];

test('serve says where it listens, asks for the key, answers, and prints a line for each request', async () => {
  const { child, lines } = start(engine, '--port', '0', '--name', 'tiny', '--api-key-env', 'TEST_KEY', '--metrics-key');
  const [url, text] = (await nextLine(lines)).split(' ', 2);
  assert.equal(text, 'serves');
  const client = (apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  const refused = nextLine(lines);
  await assert.rejects(client('guess').models.list(), OpenAI.AuthenticationError);
  assert.match(await refused, /^\S+Z GET \/v1\/models 401 \d+ ms The API key is wrong/);
  const answered = nextLine(lines);
  const request = { model: 'tiny', messages, max_tokens: 5, ignore_eos: true };
  const { usage } = await client('secret').chat.completions.create(request);
  assert.equal((await fetch(`${url}/metrics`)).status, 401);
  assert.match(await answered, new RegExp(`POST /v1/chat/completions 200 tiny ${usage?.prompt_tokens}\\+5 tokens`));
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('on loopback a request for another host is answered 403, and / is the chat page', async () => {
  const { child, lines } = start(engine, '--port', '0', '--json', '--metrics-names', 'vllm', '--sleep-routes');
  const { url, models } = (await nextJson(lines)) as { url: string; models: string[] };
  assert.deepEqual(models, ['engine']);
  const origin = { headers: { origin: 'http://evil.example' } };
  assert.equal((await fetch(`${url}/v1/models`, origin)).status, 403);
  assert.equal((await fetch(`${url}/v1/models`)).status, 200);
  assert.equal((await fetch(`${url}/is_sleeping`)).status, 200);
  assert.match(await (await fetch(url)).text(), /<title>Chat<\/title>/);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /^vllm:num_requests_running\{model_name="engine",engine="0"\} 0$/m);
  assert.match(metrics, /^node_trtllm_http_request_duration_seconds_count\{route="\/v1\/models",status="200"\} 1$/m);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('SIGTERM lets a running stream end, and then the status is 0; with --no-page there is no page', async () => {
  const { child, lines } = start(engine, '--port', '0', '--json', '--no-page');
  const { url } = (await nextJson(lines)) as { url: string };
  assert.equal((await fetch(url)).status, 404);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  const asked = { model: 'engine', messages, stream: true as const, ignore_eos: true };
  let chunks = 0;
  let finish: string | null | undefined;
  const exited = once(child, 'exit');
  for await (const { choices } of await client.chat.completions.create(asked)) {
    if (chunks++ === 0) child.kill('SIGTERM');
    finish = choices[0]?.finish_reason;
  }
  assert.equal(finish, 'length');
  assert.deepEqual(await exited, [0, null]);
});

test('serve refuses arguments that do not fit with status 2', async () => {
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const { port } = busy.address() as AddressInfo;
  for (const [args, said] of [
    [[], /DIR is missing/],
    [[engine, '--name', 'a', '--name', 'b'], /2 --name/],
    [[engine, '--adapter', 'pirate'], /--adapter is "pirate"; expected NAME=DIR/],
    [[engine, engine], /Two models have the name "engine"/],
    [[engine, '--api-key-env', 'NO_SUCH_VARIABLE'], /NO_SUCH_VARIABLE is not set/],
    [[engine, '--port', String(port)], /is in use/],
    [[engine, '--metrics-names', 'ours'], /--metrics-names is "ours"; expected node-tensorrt-llm, vllm/],
  ] as const) {
    const { child, err } = start(...args);
    assert.deepEqual(await once(child, 'close'), [2, null]);
    assert.match(err(), said);
  }
  busy.close();
});
