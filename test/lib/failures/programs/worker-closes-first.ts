import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { ask, given, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  scripted: string;
}

const llm = await LLM.load(given<Work>().scripted, SCRIPTED);
const running = llm.generate({ tokens: [0] }, { maxTokens: 500 });
const startWorker = (name: string): Worker =>
  new Worker(new URL(`./${name}.js`, import.meta.url), { workerData: llm.handle });

const closing = startWorker('answering-worker');
tell([await ask(closing, 'generate'), await ask(closing, 'close')]);
await once(startWorker('leaving-worker'), 'exit');
const { usage } = await running;
tell([usage.completionTokens, (await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text]);
while (llm.stats().activeRequests > 0) await turn(); // that of the worker is cancelled
await llm.close();
