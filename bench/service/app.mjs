// The app of bench/service.mjs, in a process of its own: GET /ping, and POST /v1/completions of the engine that is named.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { toNodeHandler } from 'srvx/node';

const { engine, dir, gguf, peer, threads, sequences } = JSON.parse(process.argv[2]);

const ENGINES = {
  'node-tensorrt-llm': async () => toNodeHandler(createHandler(await LLM.load(dir, { threads }))),

  /** As its documentation streams: tokens from evaluate(), each detokenized after those before it. */
  'node-llama-cpp': async () => {
    const { getLlama } = await import(peer);
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads ?? 0 });
    const model = await llama.loadModel({ modelPath: gguf });
    const context = await model.createContext({ sequences, contextSize: 512, batchSize: 512, threads: threads ?? 0 });
    return async (request, response) => {
      const sequence = context.getSequence();
      let body = '';
      for await (const piece of request) body += piece;
      const { prompt, max_tokens: maxTokens } = JSON.parse(body);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const tokens = [];
      for await (const token of sequence.evaluate(model.tokenize(prompt), { temperature: 0, yieldEogToken: true })) {
        const text = model.detokenize([token], false, tokens.slice(-8));
        tokens.push(token);
        response.write(`data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: null }] })}\n\n`);
        if (tokens.length === maxTokens) break;
      }
      response.end('data: [DONE]\n\n');
      sequence.dispose();
    };
  },

  'no model': async () => (_request, response) => response.writeHead(404).end(),
};

const complete = await ENGINES[engine]();
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  if (request.url === '/ping') response.end('pong');
  else complete(request, response);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.on('message', () => process.send({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss() }));
process.on('disconnect', () => process.exit());
process.send({ port: server.address().port });
