// What a program has that a test runs in a process of its own (programs.ts), or in a worker.
import { once } from 'node:events';
import { readdirSync, writeSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import type { Generation } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY } from './project.js';

/** What the test gave the process. */
export const given = <Work>(): Work => JSON.parse(process.argv[2] ?? '{}') as Work;

/** Tells the test a value of JSON; at once, since the process may end before a stream is flushed. */
export const tell = (value: unknown): void => void writeSync(1, `${JSON.stringify(value)}\n`);

export const SCRIPTED = { executor: { library: SCRIPTED_LIBRARY } } as const;
export const LONG = { maxTokens: 8000, temperature: 0, ignoreEos: true } as const;

/** Resolves with the first chunk, and leaves the rest. */
export async function hasChunk(generation: Generation): Promise<void> {
  await generation[Symbol.asyncIterator]().next();
}

/** How a process or a worker ends itself. */
export type Way = 'process.exit()' | 'an uncaught throw' | 'a natural exit' | 'SIGKILL';

export function leave(way: Way): void {
  if (way === 'process.exit()') process.exit(7);
  if (way === 'SIGKILL') process.kill(process.pid, 'SIGKILL');
  if (way === 'an uncaught throw') {
    setImmediate(() => {
      throw new Error('mine');
    });
  }
}

/** A logger that calls this for each error, and drops the rest. */
export const onError = (error: () => void) => ({ error, warn() {}, info() {}, debug() {} });

/** Of a process that was started with --expose-gc. */
export function collectGarbage(): void {
  if (!globalThis.gc) throw new Error('start it with --expose-gc');
  globalThis.gc();
}

export const threadCount = (): number => readdirSync('/proc/self/task').length;
export const residentMb = (): number => process.memoryUsage.rss() / 2 ** 20;

/** Sends a worker a message, and resolves with its next one. */
export async function ask(worker: Worker, message: unknown): Promise<unknown> {
  worker.postMessage(message);
  const [answer] = await once(worker, 'message');
  return answer;
}
