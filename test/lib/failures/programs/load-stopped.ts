import { readdirSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { hostsOf } from '../../../tools/hosts.js';
import { collectGarbage, given, residentMb, SCRIPTED, tell, threadCount } from '../../../tools/program.js';

export interface Work {
  engine: string;
  scripted: boolean;
  isolation: 'none' | 'process';
  /** Into how many stages a load is cut. */
  stages: number;
}

const { engine, scripted, isolation, stages } = given<Work>();
const options: LoadOptions = { ...(scripted ? SCRIPTED : { executor: 'cpu' }), isolation };
const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** Stops a load by its signal after so many turns of the event loop, unless it has loaded by then. */
async function abortAfter(turns: number): Promise<void> {
  const controller = new AbortController();
  const loading = LLM.load(engine, { ...options, signal: controller.signal });
  const closed = loading.then((llm) => llm.close()).catch((reason) => reason === 'enough' || tell(String(reason)));
  for (let turn = 0; turn < turns; turn++) await setImmediate();
  controller.abort('enough');
  await closed;
}

async function timeOutAfter(ms: number): Promise<void> {
  const loading = LLM.load(engine, { ...options, loadTimeoutMs: ms });
  await loading.then((llm) => llm.close()).catch((error) => error.code === 'ERR_LOAD_TIMEOUT' || tell(String(error)));
}

async function throwAt(progress: number): Promise<void> {
  const onProgress = (done: number): void => {
    if (done >= progress) throw 'enough';
  };
  const loading = LLM.load(engine, { ...options, onProgress });
  await loading.then((llm) => llm.close()).catch((reason) => reason === 'enough' || tell(String(reason)));
}

async function round(): Promise<void> {
  for (let stage = 0; stage < stages; stage++) {
    await abortAfter(stage);
    await timeOutAfter(stage + 1);
    await throwAt(stage / stages);
  }
}

await round();
collectGarbage();
const before = { threads: threadCount(), descriptors: descriptors(), residentMb: residentMb() };
for (let i = 0; i < 3; i++) await round();
collectGarbage();
for (let i = 0; i < 1000 && (threadCount() > before.threads || descriptors() > before.descriptors); i++)
  await sleep(10);
tell({
  moreThreads: Math.max(0, threadCount() - before.threads),
  moreDescriptors: Math.max(0, descriptors() - before.descriptors),
  hosts: hostsOf(process.pid).length,
});
const growthMb = residentMb() - before.residentMb;
tell(growthMb < 60 ? 'memory returned' : `memory grew by ${growthMb} MB`);
