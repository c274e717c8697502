import { parentPort, workerData } from 'node:worker_threads';
import { type GenerateOptions, LLM, type LLMHandle } from 'node-tensorrt-llm';

/** What the worker of attached-worker.ts is told. */
export interface AttachedWork {
  readonly handle: LLMHandle;
  readonly prompt: string;
  readonly options: GenerateOptions;
}

// Runs one request on the engine of another thread, and posts its text as it comes.
const { handle, prompt, options } = workerData as AttachedWork;
const llm = LLM.attach(handle);
for await (const text of llm.stream(prompt, options).textStream) parentPort?.postMessage(text);
await llm.close();
