import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { given, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  scripted: string;
}

async function main(): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: given<Work>().scripted });
  const [handle] = await once(worker, 'message');
  const llm = LLM.attach(handle);
  const running = llm.generate({ tokens: [0] }, { maxTokens: 100 });
  worker.postMessage('exit');
  await once(worker, 'exit');
  const { usage } = await running;
  tell([usage.completionTokens, (await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text]);
  await llm.close();
}

async function loadAndExitWhenTold(): Promise<void> {
  const llm = await LLM.load(workerData, SCRIPTED);
  parentPort?.postMessage(llm.handle);
  parentPort?.once('message', () => process.exit());
}

await (isMainThread ? main() : loadAndExitWhenTold());
