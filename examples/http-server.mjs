// Answers POST with server-sent events, and GET with statistics: node examples/http-server.mjs ENGINE [PORT]
//   curl -N localhost:8080 -d 'Once upon a time'
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { LLM } from 'node-tensorrt-llm';

const STATUS = { ERR_EMPTY_PROMPT: 400, ERR_PROMPT_TOO_LONG: 413, ERR_QUEUE_FULL: 503, ERR_QUEUE_TIMEOUT: 503 };
const [dir, port = '8080'] = process.argv.slice(2);
const llm = await LLM.load(dir, { maxQueueSize: 100 });

async function answer(request, response) {
  const client = new AbortController();
  response.once('close', () => client.abort()); // the client left, or has everything
  const { signal } = client;
  try {
    const prompt = await readText(request);
    for await (const { text, finishReason } of llm.stream(prompt, { queueTimeoutMs: 10_000, signal })) {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
      const event = `data: ${JSON.stringify({ text, finishReason })}\n\n`;
      if (!response.write(event)) await once(response, 'drain', { signal });
    }
    response.end();
  } catch (error) {
    if (signal.aborted) return; // nobody is left to tell
    const { code, message } = error;
    if (response.headersSent) response.end(`event: error\ndata: ${JSON.stringify({ code, message })}\n\n`);
    else response.writeHead(STATUS[code] ?? 500).end(`${code}: ${message}\n`);
  }
}

const server = createServer((request, response) => {
  if (request.method === 'POST') answer(request, response);
  else response.end(JSON.stringify(llm.stats()));
});
server.listen(Number(port), () => console.log(`http://localhost:${server.address().port}`));
process.once('SIGTERM', () => {
  server.close();
  llm.close({ drainMs: 10_000 });
});
