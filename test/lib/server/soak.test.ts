// A few hundred requests with aborts, slow readers and broken bodies; `npm run soak` is the long one, without HTTP.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type ServedRequest } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { tinyEngine } from '../../tools/engines.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

const REQUESTS = 400;
const CLIENTS = 32;

let llm: LLM;
let server: HandlerServer;
let begun = 0;
const ended: ServedRequest[] = [];
before(async () => {
  llm = await LLM.load(await tinyEngine(), { maxBatchSize: 8 });
  const handler = createHandler({ tiny: llm }, { onRequestEnd: (request) => ended.push(request) });
  server = await serveHandler((request) => {
    begun++;
    return handler(request);
  });
});
after(async () => {
  await server.close();
  await llm.close();
});

const fieldsOf = (i: number) => ({
  model: 'tiny',
  messages: [{ role: 'user' as const, content: `Request ${i % 40}` }],
  max_tokens: 20 + (i % 60),
  temperature: 1,
  seed: i,
});

/** The text of the same request made alone. */
const alone = async (i: number): Promise<string> => {
  const { messages, max_tokens: maxTokens, temperature, seed } = fieldsOf(i);
  return (await llm.generate({ messages }, { maxTokens, temperature, seed })).text;
};

/** How a client behaves, and the text that it has read: all of it, or undefined if it left or was refused. */
const CLIENT_KINDS = {
  async whole(client: OpenAI, i: number) {
    return (await client.chat.completions.create(fieldsOf(i))).choices[0]?.message.content;
  },
  async stream(client: OpenAI, i: number) {
    let text = '';
    const stream = await client.chat.completions.create({ ...fieldsOf(i), stream: true });
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
    return text;
  },
  async 'slow reader'(client: OpenAI, i: number) {
    let text = '';
    const stream = await client.chat.completions.create({ ...fieldsOf(i), stream: true });
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    }
    return text;
  },
  async 'leaves a stream'(client: OpenAI, i: number) {
    for await (const _ of await client.chat.completions.create({ ...fieldsOf(i), stream: true })) break;
  },
  async 'leaves before an answer'(client: OpenAI, i: number) {
    const controller = new AbortController();
    const answer = client.chat.completions.create(fieldsOf(i), { signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(answer, OpenAI.APIUserAbortError);
  },
  async 'breaks off its body'() {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"messages": [');
    socket.end();
    socket.resume();
    await once(socket, 'close');
  },
  async 'sends nonsense'(_client: OpenAI, i: number) {
    const body = ['{', '[]', '{"messages": 1}', '\0'][i % 4] as string;
    assert.equal((await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body })).status, 400);
  },
} satisfies Record<string, (client: OpenAI, i: number) => Promise<unknown>>;

test(`among ${REQUESTS} requests of ${CLIENTS} clients that leave, dawdle or send nonsense, each text is that of the request made alone`, async () => {
  const kinds = Object.values(CLIENT_KINDS);
  const texts = new Map<number, string>();
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < REQUESTS; i = next++) {
      const text = await (kinds[i % kinds.length] as (typeof kinds)[0])(client, i);
      if (typeof text === 'string') texts.set(i, text);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, work));

  assert.ok(texts.size > REQUESTS / 3);
  for (const [i, text] of texts) assert.equal(text, await alone(i), `request ${i}`);
  while (llm.stats().activeRequests + llm.stats().queuedRequests > 0) await new Promise(setImmediate);
  const { kvBlocksUsed, unknownRows } = llm.stats();
  assert.deepEqual({ kvBlocksUsed, unknownRows }, { kvBlocksUsed: 0, unknownRows: 0 });
  while (ended.length < begun) await new Promise(setImmediate);
  const statuses = new Set(ended.map(({ status }) => status));
  assert.deepEqual([...statuses].toSorted(), [200, 400, 499]);
});
