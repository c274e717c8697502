import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Handler } from 'node-tensorrt-llm/server';
import { toNodeHandler } from 'srvx/node';

/** A server for one test file. */
export interface HandlerServer {
  url: string;
  close(): Promise<void>;
}

export async function serveHandler(handler: Handler): Promise<HandlerServer> {
  const server = createServer(toNodeHandler(handler) as RequestListener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
