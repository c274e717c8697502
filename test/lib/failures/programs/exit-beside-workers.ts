import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { given, LONG, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** Who calls process.exit(). */
  exits: 'main thread' | 'workers';
}

const { engine, exits } = given<Work>();
const llm = await LLM.load(engine);

const startWorkers = (): Worker[] =>
  Array.from(
    { length: 4 },
    () => new Worker(new URL('./streaming-worker.js', import.meta.url), { workerData: llm.handle }),
  );

if (exits === 'main thread') {
  const workers = startWorkers();
  llm.stream('x', LONG).result;
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  process.exit(7);
}

const options = { ...LONG, maxTokens: 1500 };
const { text } = await llm.generate('x', options);
const running = llm.generate('x', options);
const statuses = await Promise.all(
  startWorkers().map(async (worker) => {
    await once(worker, 'message');
    worker.postMessage('exit');
    const [status] = await once(worker, 'exit');
    return status;
  }),
);
tell({ statuses, sameText: (await running).text === text });
await llm.close();
