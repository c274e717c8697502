// Logs every request in the process, and what the executor logs, as one JSON object per line: node examples/request-log.mjs ENGINE
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

// A logger has these four methods, as console, pino and winston do.
const levels = ['error', 'warn', 'info', 'debug'];
const logger = Object.fromEntries(levels.map((level) => [level, (message) => log(level, { message })]));
const llm = await LLM.load(process.argv[2], { logger });
await llm.generate('Once upon a time', { maxTokens: 16 });
await llm.generate('').catch(() => {}); // fails, and the log shows it
await llm.close();
