import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type ServedRequest } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { tinyEngine } from '../tools/engines.js';
import { serveHandler } from '../tools/serve-handler.js';

const fieldsOf = (i: number) => ({
  model: 'tiny',
  messages: [{ role: 'user' as const, content: `Request ${i % 40}` }],
  max_tokens: 20 + (i % 60),
  temperature: 1,
  seed: i,
});

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
  async 'breaks off its body'(client: OpenAI) {
    const { hostname, port } = new URL(client.baseURL);
    const socket = connect(Number(port), hostname);
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"messages": [');
    socket.end();
    socket.resume();
    await once(socket, 'close');
  },
  async 'sends nonsense'(client: OpenAI, i: number) {
    const body = ['{', '[]', '{"messages": 1}', '\0'][i % 4] as string;
    assert.equal((await fetch(`${client.baseURL}/chat/completions`, { method: 'POST', body })).status, 400);
  },
} satisfies Record<string, (client: OpenAI, i: number) => Promise<unknown>>;

const KINDS = Object.values(CLIENT_KINDS);

/** A server of the tiny model, and clients of all kinds. */
export class HttpSoak {
  readonly #llm: LLM;
  readonly #client: OpenAI;
  readonly #close: () => Promise<void>;
  readonly #counts: { begun: number; ended: number };
  /** The text of each request made alone, by its number. */
  readonly #alone = new Map<number, string>();
  readonly statuses = new Set<number>();

  private constructor(
    llm: LLM,
    { url, close, counts }: { url: string; close: () => Promise<void>; counts: { begun: number; ended: number } },
  ) {
    this.#llm = llm;
    this.#close = close;
    this.#counts = counts;
    this.#client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  }

  static async open(): Promise<HttpSoak> {
    const llm = await LLM.load(await tinyEngine(), { maxBatchSize: 8 });
    const counts = { begun: 0, ended: 0 };
    let soak: HttpSoak | undefined;
    const onRequestEnd = ({ status }: ServedRequest): void => {
      counts.ended++;
      soak?.statuses.add(status);
    };
    const handler = createHandler({ tiny: llm }, { onRequestEnd });
    const { url, close } = await serveHandler((request) => {
      counts.begun++;
      return handler(request);
    });
    soak = new HttpSoak(llm, { url, close, counts });
    return soak;
  }

  /**
   * Makes the requests with these numbers, so many at a time. Throws unless each text that was read is that of the request made alone,
   * every request has ended once, and the engine is free again. Answers how many texts were read.
   */
  async round(from: number, count: number, clients: number): Promise<number> {
    const texts = new Map<number, string>();
    let next = from;
    const work = async (): Promise<void> => {
      for (let i = next++; i < from + count; i = next++) {
        const text = await (KINDS[i % KINDS.length] as (typeof KINDS)[0])(this.#client, i);
        if (typeof text === 'string') texts.set(i, text);
      }
    };
    await Promise.all(Array.from({ length: clients }, work));
    for (const [i, text] of texts) assert.equal(text, await this.#textAlone(i), `request ${i}`);
    while (this.#llm.stats().activeRequests + this.#llm.stats().queuedRequests > 0) await new Promise(setImmediate);
    const { kvBlocksUsed, unknownRows } = this.#llm.stats();
    assert.deepEqual({ kvBlocksUsed, unknownRows }, { kvBlocksUsed: 0, unknownRows: 0 });
    while (this.#counts.ended < this.#counts.begun) await new Promise(setImmediate);
    assert.equal(this.#counts.ended, this.#counts.begun, 'requests that ended');
    return texts.size;
  }

  async #textAlone(i: number): Promise<string> {
    const { messages, max_tokens: maxTokens, temperature, seed } = fieldsOf(i);
    const known = this.#alone.get(i) ?? (await this.#llm.generate({ messages }, { maxTokens, temperature, seed })).text;
    this.#alone.set(i, known);
    return known;
  }

  async close(): Promise<void> {
    await this.#close();
    await this.#llm.close();
  }
}
