// How streams reach Node's response where srvx converts the handler.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler, type ServedRequest } from 'node-tensorrt-llm/server';
import { toNodeHandler } from 'srvx/node';
import { tinyEngine } from '../../tools/engines.js';
import { serveHandler } from '../../tools/serve-handler.js';

const FIELDS = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 40, ignore_eos: true, stream: true };

let llm: LLM;
let handler: Handler;
const ended: ServedRequest[] = [];
before(async () => {
  llm = await LLM.load(await tinyEngine());
  handler = createHandler(llm, { onRequestEnd: (request) => ended.push(request) });
});
after(() => llm.close());

const ask = (url = 'http://localhost'): Request =>
  new Request(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(FIELDS) });

/** What srvx does with the response of a stream. */
function pipe(response: Response, to: PassThrough): void {
  const { body } = (
    response as unknown as { _toNodeResponse(): { body: { pipe(to: PassThrough): void } } }
  )._toNodeResponse();
  body.pipe(to);
}

const contentOf = (events: string): string =>
  events
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)).choices[0].delta.content ?? '')
    .join('');

test('srvx writes a stream to the response of Node, with the headers of the Response, and leaves its web stream unread', async () => {
  let given: Response | undefined;
  const server = await serveHandler(async (request) => {
    given = await handler(request);
    given.headers.set('x-added', 'yes');
    return given;
  });
  const response = await fetch(ask(server.url));
  assert.match(String(response.headers.get('content-type')), /^text\/event-stream/);
  assert.equal(response.headers.get('x-added'), 'yes');
  const events = await response.text();
  assert.ok(events.endsWith('data: [DONE]\n\n'));
  assert.equal(contentOf(events), contentOf(await (await handler(ask())).text()));
  assert.deepEqual([given?.bodyUsed, given?.body?.locked], [false, false]);
  await server.close();
});

test('a middleware that takes over write gets every event', async () => {
  const written: string[] = [];
  const listener = toNodeHandler(handler) as RequestListener;
  const server = createServer((request, response) => {
    const write = response.write.bind(response) as (chunk: string) => boolean;
    response.write = (chunk: unknown) => {
      written.push(String(chunk));
      return write(String(chunk).toUpperCase());
    };
    listener(request, response);
  });
  await once(server.listen(0), 'listening');
  const { port } = server.address() as AddressInfo;
  const events = await (await fetch(ask(`http://127.0.0.1:${port}`))).text();
  assert.equal(events.replace(/data: \[DONE\]\n\n$/, ''), written.join('').toUpperCase());
  assert.equal(contentOf(written.join('')), contentOf(await (await handler(ask())).text()));
  server.close();
});

test('a client of HTTP/1.0 gets the events without chunks', async () => {
  const server = await serveHandler(handler);
  const body = JSON.stringify(FIELDS);
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(
    `POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const [, events = ''] = (await text(socket)).split('\r\n\r\n');
  assert.ok(events.startsWith('data: {') && events.endsWith('data: [DONE]\n\n'));
  assert.equal(contentOf(events), contentOf(await (await handler(ask())).text()));
  await server.close();
});

test('a client that stops reading leaves its tokens in the engine', async () => {
  const response = new PassThrough({ highWaterMark: 1 });
  pipe(await handler(ask()), response);
  await once(response, 'readable');
  while (llm.stats().activeRequests > 0) await new Promise(setImmediate);
  const first = String(response.read());
  assert.equal(first.match(/data:/g)?.length, 2); // the role and one token
  assert.equal(contentOf(first + (await text(response))), contentOf(await (await handler(ask())).text()));
});

test('a client that leaves while it does not read ends its request', async () => {
  const response = new PassThrough({ highWaterMark: 1 });
  pipe(await handler(ask()), response);
  await once(response, 'readable');
  response.destroy();
  await once(response, 'close');
  while (llm.stats().activeRequests > 0) await new Promise(setImmediate);
  assert.deepEqual([ended.at(-1)?.status, ended.at(-1)?.aborted], [200, true]);
});

test('a client that left before its stream began ends its request', async () => {
  const server = await serveHandler(async (request) => {
    const answer = await handler(request);
    left.abort();
    await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
    return answer;
  });
  const left = new AbortController();
  await assert.rejects(fetch(ask(server.url), { signal: left.signal }));
  while (llm.stats().activeRequests > 0) await new Promise(setImmediate);
  assert.equal(ended.at(-1)?.aborted, true);
  await server.close();
});
