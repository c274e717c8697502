import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { given, LONG, leave, tell, type Way } from '../../../tools/program.js';

export interface Work {
  engine: string;
  way: Way;
}

// The worker, which alone has loaded the addon, ends while it streams.
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: given<Work>() });
  worker.on('error', () => {});
  worker.on('exit', (status) => tell({ exit: status }));
} else {
  const { engine, way } = workerData as Work;
  const llm = await LLM.load(engine);
  for await (const _ of llm.stream('x', LONG)) {
    if (way === 'an uncaught throw') throw new Error('mine');
    leave(way);
    break;
  }
}
