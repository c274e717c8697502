import { parentPort, workerData } from 'node:worker_threads';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { LONG } from '../../../tools/program.js';

export interface Loading {
  engine: string;
  load: LoadOptions;
}

// Posts a message before the load, and one for each chunk.
const { engine, load } = workerData as Loading;
parentPort?.postMessage('loads');
const llm = await LLM.load(engine, load);
for await (const _ of llm.stream('x', LONG)) parentPort?.postMessage('streams');
