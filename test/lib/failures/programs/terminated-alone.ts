import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { LoadOptions } from 'node-tensorrt-llm';
import { hostsOf } from '../../../tools/hosts.js';
import { given, tell } from '../../../tools/program.js';
import type { Loading } from './loading-worker.js';

export interface Work {
  engine: string;
  load: LoadOptions;
  times: number;
}

// A worker is terminated while it loads or streams, time after time.
const { engine, load, times } = given<Work>();
for (let i = 0; i < times; i++) {
  const workerData: Loading = { engine, load };
  const worker = new Worker(new URL('./loading-worker.js', import.meta.url), { workerData });
  await once(worker, 'message');
  if (i % 4 === 3)
    await sleep((20 * i) / times); // somewhere in the load
  else await once(worker, 'message');
  await worker.terminate();
}
while (hostsOf(process.pid).length > 0) await sleep(5);
tell('alive');
