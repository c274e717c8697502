// Worker threads that share one engine: its weights, its KV cache and its batches: node examples/worker-threads.mjs ENGINE
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';

async function main(dir) {
  const llm = await LLM.load(dir);
  const answers = ['Once upon a time', 'In the beginning', 'Dear Sir or Madam'].map(async (prompt) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { handle: llm.handle, prompt } });
    const [text] = await once(worker, 'message');
    return { prompt, text };
  });
  for (const answer of await Promise.all(answers)) console.log(JSON.stringify(answer));
  await llm.close();
}

async function work({ handle, prompt }) {
  const llm = LLM.attach(handle);
  const { text } = await llm.generate(prompt, { maxTokens: 32 });
  parentPort.postMessage(text);
  await llm.close(); // closes this thread's LLM; the engine is freed with the last one
}

await (isMainThread ? main(process.argv[2]) : work(workerData));
