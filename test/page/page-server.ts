import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { toNodeHandler } from 'srvx/node';
import { tinyEngine } from '../tools/engines.js';

/** What the page sends for an answer. */
export interface Asked {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly [setting: string]: unknown;
}

/** One answer, which a test writes as it likes. */
export class Writer {
  readonly asked: Promise<Asked>;
  readonly #response: ServerResponse;
  /** Settles when the page has left. */
  readonly left: Promise<unknown>;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#response = response;
    this.left = once(response, 'close');
    this.asked = text(request).then((body) => JSON.parse(body) as Asked);
  }

  delta(delta: object): this {
    if (!this.#response.headersSent) this.#response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.#response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`);
    return this;
  }

  text(content: string): this {
    return this.delta({ content });
  }

  end(tokens = 3, finish = 'stop'): void {
    this.delta({});
    this.#response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: finish }] })}\n\n`);
    this.#response.write(`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: tokens } })}\n\n`);
    this.#response.end('data: [DONE]\n\n');
  }

  fail(status: number, error: object, headers: Record<string, string> = {}): void {
    this.#response.writeHead(status, { 'content-type': 'application/json', ...headers });
    this.#response.end(JSON.stringify({ error }));
  }

  cut(): void {
    this.#response.destroy();
  }
}

/** The page, from the handler that serves it; the tests write the answers. */
export class PageServer {
  readonly url: string;
  private constructor(
    readonly server: Server,
    readonly llm: LLM,
    readonly waiting: ((writer: Writer) => void)[],
  ) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async start(): Promise<PageServer> {
    const llm = await LLM.load(await tinyEngine());
    const listener = toNodeHandler(createHandler({ small: llm, large: llm }, { page: true })) as RequestListener;
    const waiting: ((writer: Writer) => void)[] = [];
    const server = createServer((request, response) => {
      const next = request.url === '/v1/chat/completions' ? waiting.shift() : undefined;
      if (next) next(new Writer(request, response));
      else listener(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new PageServer(server, llm, waiting);
  }

  /** The next answer that the page asks for. */
  next(): Promise<Writer> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  async close(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
    await this.llm.close();
  }
}
