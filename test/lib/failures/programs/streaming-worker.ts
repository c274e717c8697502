import { parentPort, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { LONG } from '../../../tools/program.js';

// Posts a message for each chunk, and exits when it is sent one.
const llm = LLM.attach(workerData);
parentPort?.on('message', () => process.exit(5));
for await (const _ of llm.stream('x', LONG)) parentPort?.postMessage('streams');
