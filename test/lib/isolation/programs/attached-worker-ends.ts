import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { given, LONG, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

async function main(): Promise<void> {
  const llm = await LLM.load(given<Work>().engine, { isolation: 'process' });
  const worker = new Worker(new URL(import.meta.url), { workerData: llm.handle });
  await once(worker, 'message');
  await worker.terminate();
  tell((await llm.generate('x', { ...LONG, maxTokens: 5 })).usage.completionTokens);
  await llm.close();
}

async function stream(): Promise<void> {
  for await (const _ of LLM.attach(workerData).stream('x', LONG)) parentPort?.postMessage('streams');
}

await (isMainThread ? main() : stream());
