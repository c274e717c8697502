import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { LLM, LLMError, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  load: LoadOptions;
  /** How many threads can still be started when the load begins: by THREAD_LIMIT, or none by ulimit -u. */
  threads: number | 'none by ulimit -u';
  /** How the LLM ends. */
  end: 'close' | 'collected' | 'exit';
}

const { engine, load, threads, end } = given<Work>();

// Node's own threads start at their first use, and it ends the process if they cannot.
await Promise.all(Array.from({ length: 8 }, () => stat(engine)));
const worker = new Worker("require('node:worker_threads').parentPort.once('message', () => {})", { eval: true });
await once(worker, 'online');
if (threads === 'none by ulimit -u') {
  execFileSync('prlimit', [`--pid=${process.pid}`, '--nproc=1:1']);
} else {
  process.env.THREAD_LIMIT = String(threads);
}

async function use(): Promise<void> {
  let llm: LLM;
  try {
    llm = await LLM.load(engine, load);
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    return tell({ load: error.code, saysWhat: /limit/.test(error.message) });
  }
  const attached = LLM.attach(llm.handle);
  const { usage } = await attached.generate('Once', { maxTokens: 3, ignoreEos: true });
  tell({ completionTokens: usage.completionTokens });
  if (end === 'collected') return;
  await attached.close();
  if (end === 'exit') process.exit();
  await llm.close();
}

await use();
worker.postMessage('end');
if (end === 'collected') {
  globalThis.gc?.();
  await stat(engine);
}
tell('done');
