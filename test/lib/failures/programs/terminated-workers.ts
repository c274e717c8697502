// 24 workers check the text of request after request on one engine; 16 of them are terminated at some of these.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';
import type { Checking } from './checking-worker.js';

export interface Work {
  engine: string;
  load: LoadOptions;
}

const { engine, load } = given<Work>();
const options = { maxTokens: 40, temperature: 0, ignoreEos: true };
const llm = await LLM.load(engine, load);
const expected: string[] = [];
for (let token = 0; token < 20; token++) expected.push((await llm.generate({ tokens: [token] }, options)).text);

let state = 7;
const random = (below: number): number => {
  state = (state * 48271) % 2147483647;
  return state % below;
};

let checked = 0;
const wrong: unknown[] = [];
const start = (): Worker => {
  const workerData: Checking = { handle: llm.handle, expected, options };
  const worker = new Worker(new URL('./checking-worker.js', import.meta.url), { workerData });
  worker.on('message', (answer) => {
    checked++;
    if (answer !== 'right') wrong.push(answer);
  });
  worker.on('error', (error) => wrong.push(String(error)));
  return worker;
};
const checksMore = async (count: number): Promise<void> => {
  const until = checked + count;
  while (checked < until) await turn();
};

const workers = Array.from({ length: 8 }, start);
for (let i = 0; i < 16; i++) {
  await checksMore(random(40));
  const [worker] = workers.splice(random(8), 1);
  assert.ok(worker);
  await worker.terminate();
  workers.push(start());
}
await checksMore(200);
for (const worker of workers) worker.postMessage('stop');
await Promise.all(workers.map((worker) => once(worker, 'exit')));
for (const [token, text] of expected.entries()) {
  if ((await llm.generate({ tokens: [token] }, options)).text !== text) wrong.push(`token ${token} in the main thread`);
}
while (llm.stats().activeRequests > 0) await turn(); // those of the terminated are cancelled
const { unknownRows, kvBlocksUsed } = llm.stats();
tell({ wrong, unknownRows, kvBlocksUsed });
await llm.close();
