import { setTimeout as sleep } from 'node:timers/promises';
import { type Generation, LLM } from 'node-tensorrt-llm';
import { given, LONG, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** Each of its requests fails. */
  failing: string;
}

const work = given<Work>();
const llm = await LLM.load(work.engine, { maxSeqLen: 64, maxBatchSize: 1 });
const failing = await LLM.load(work.failing, SCRIPTED);
const aborted = new AbortController();
const fail: (() => Generation)[] = [
  () => llm.stream(''),
  () => llm.stream('x'.repeat(64)),
  () => llm.stream({ tokens: [9999] }),
  () => llm.stream(null as unknown as string),
  () => llm.stream('x', { topK: -1 }),
  () => llm.stream('x', { signal: AbortSignal.abort() }),
  () => llm.stream('x', { signal: aborted.signal }),
  () => llm.stream('x', { queueTimeoutMs: 1 }),
  () => failing.stream({ tokens: [0] }, { maxTokens: 5 }), // the executor fails it
];
for (const start of fail) {
  start();
  start().result;
  start().textStream;
  start().toReadableStream();
  start()[Symbol.asyncIterator]();
}
llm.stream('x', LONG).result; // the last ones wait for it
setTimeout(() => aborted.abort(), 1);
await sleep(20);
llm.stream('x', LONG).result; // ends by the close
await Promise.all([llm.close(), failing.close()]);
llm.stream('x').result;
await sleep(20);
tell('no rejection');
