import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { ask, given, residentMb, SCRIPTED, tell, threadCount } from '../../../tools/program.js';

export interface Work {
  /** Whose executor takes 33 MB. */
  large: string;
}

const { large } = given<Work>();

const codeOf = (error: unknown): string => (LLMError.is(error) ? error.code : String(error));

/** What happened, in its order. */
async function round(): Promise<unknown[]> {
  const seen: unknown[] = [];
  const llm = await LLM.load(large, SCRIPTED);
  const { handle } = llm;
  const worker = new Worker(new URL('./answering-worker.js', import.meta.url), { workerData: handle });
  seen.push(await ask(worker, 'generate'));
  const running = llm.generate({ tokens: [0] }, { maxTokens: 100_000 }).catch((error) => seen.push(codeOf(error)));
  await llm.close();
  await running;
  seen.push(await ask(worker, 'generate'));
  const exited = once(worker, 'exit'); // it can come together with the answer
  await ask(worker, 'close');
  try {
    LLM.attach(handle);
  } catch (error) {
    seen.push(codeOf(error));
  }
  await exited;
  return seen;
}

tell(await round());
const before = { threads: threadCount(), residentMb: residentMb() };
for (let i = 0; i < 5; i++) await round();
for (let i = 0; i < 2000 && threadCount() > before.threads; i++) await sleep(10);
tell({ moreThreads: Math.max(0, threadCount() - before.threads) });
const growthMb = residentMb() - before.residentMb;
tell(growthMb < 100 ? 'memory returned' : `memory grew by ${growthMb} MB`);
