import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LLM, LLMError, type LLMHandle, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

// The life of an engine, in this process and in one of its own: each stage tells that it went well or the code it failed with.
// The process must then end by itself.
export interface Work {
  engine: string;
  /** File descriptors this process may have, once it has loaded its modules. Default: no other limit than it has. */
  files?: number | undefined;
  /** Megabytes of address space it may have beyond what it has then. Default: no limit. */
  addressSpaceMb?: number | undefined;
}

const codeOf = (error: unknown): string => {
  if (LLMError.is(error)) return error.code;
  const { code } = error as { code?: string };
  return code === undefined ? String(error) : `Node's ${code}`;
};

/** Bytes. */
const addressSpace = (): number => Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * 4096;

async function stage<Value>(name: string, run: () => Promise<Value>): Promise<Value | undefined> {
  try {
    const value = await run();
    tell([name, 'ok']);
    return value;
  } catch (error) {
    tell([name, codeOf(error)]);
    return undefined;
  }
}

async function generate(llm: LLM): Promise<void> {
  const prompts = ['abc', 'Once upon a time', 'x'.repeat(500)];
  const results = await llm.generate(prompts, { maxTokens: 20, ignoreEos: true });
  if (results.some(({ usage }) => usage.completionTokens !== 20)) throw new Error('a request lacks tokens');
}

async function live(name: string, { engine, addressSpaceMb }: Work, options: LoadOptions): Promise<void> {
  const load = () => LLM.load(engine, { threads: 4, executor: 'cpu', ...options });
  const llm = await stage(`${name}: load`, load);
  if (!llm) return;
  await stage(`${name}: generate`, () => generate(llm));
  const inWorker = async (): Promise<void> => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: llm.handle });
    const [outcome] = await once(worker, 'message');
    if (outcome !== 'ok') throw Object.assign(new Error('in the worker'), { code: outcome });
  };
  // V8 itself ends the process where it finds no address space for a worker.
  if (addressSpaceMb === undefined) await stage(`${name}: worker`, inWorker);
  await stage(`${name}: close`, () => llm.close());
}

if (isMainThread) {
  const work = given<Work>();
  const { files, addressSpaceMb } = work;
  tell('started');
  const limit = (what: string): unknown => spawnSync('prlimit', ['--pid', String(process.pid), what]);
  if (files !== undefined) limit(`--nofile=${files}`);
  if (addressSpaceMb !== undefined) limit(`--as=${addressSpace() + addressSpaceMb * 2 ** 20}`);
  await live('in process', work, {});
  await live('isolated', work, { isolation: 'process' });
  tell('done');
} else {
  let outcome = 'ok';
  try {
    const llm = LLM.attach(workerData as LLMHandle);
    await generate(llm);
    await llm.close();
  } catch (error) {
    outcome = codeOf(error);
  }
  parentPort?.postMessage(outcome);
}
