import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { given, onError, residentMb, SCRIPTED, tell, threadCount } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

async function main(): Promise<void> {
  const deaths: readonly ((worker: Worker) => Promise<unknown>)[] = [
    (worker) => worker.terminate(),
    (worker) => {
      worker.postMessage('exit');
      return once(worker, 'exit');
    },
    (worker) => {
      worker.postMessage('throw');
      return once(worker, 'error');
    },
  ];
  const dieWhileLoading = async (die: (worker: Worker) => Promise<unknown>): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), { workerData: given<Work>().engine });
    await once(worker, 'message');
    await die(worker);
  };
  for (const die of deaths) await dieWhileLoading(die);
  const before = { threads: threadCount(), residentMb: residentMb() };
  for (let round = 0; round < 3; round++) {
    for (const die of deaths) await dieWhileLoading(die);
  }
  for (let i = 0; i < 2000 && threadCount() > before.threads; i++) await sleep(10);
  tell({ moreThreads: Math.max(0, threadCount() - before.threads) });
  const growthMb = residentMb() - before.residentMb;
  tell(growthMb < 150 ? 'memory returned' : `memory grew by ${growthMb} MB`);
}

function loadUntilTold(): void {
  parentPort?.on('message', (what) => {
    if (what === 'exit') process.exit();
    throw new Error(what);
  });
  LLM.load(workerData, { ...SCRIPTED, logger: onError(() => parentPort?.postMessage('loads')) });
}

if (isMainThread) await main();
else loadUntilTold();
