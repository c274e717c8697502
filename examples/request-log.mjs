// Logs each request as a line of JSON, whoever makes it: node examples/request-log.mjs ENGINE
import { subscribe } from 'node:diagnostics_channel';
import { LLM } from 'node-tensorrt-llm';

const log = (event, fields) => console.log(JSON.stringify({ time: new Date().toISOString(), event, ...fields }));

subscribe('node-tensorrt-llm:request:start', ({ requestId, executor }) => log('start', { requestId, executor }));
subscribe('node-tensorrt-llm:request:first-token', ({ requestId, timeToFirstTokenMs }) =>
  log('first-token', { requestId, timeToFirstTokenMs }),
);
subscribe('node-tensorrt-llm:request:end', ({ requestId, finishReason, usage, timing, error }) =>
  log('end', { requestId, finishReason, ...usage, ...timing, code: error?.code }),
);

// What the executor itself has to say goes to a logger: console, pino and winston are such.
const llm = await LLM.load(process.argv[2], { logger: console });
await llm.generate('Once upon a time', { maxTokens: 16 });
await llm.generate('').catch(() => {}); // fails, which the log shows
await llm.close();
