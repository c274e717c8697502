import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { LLM, type RequestEndEvent } from 'node-tensorrt-llm';
import { collectGarbage, given, hasChunk, LONG, tell } from '../../../tools/program.js';

// Without the cancel each would run for 8000 tokens and end by 'length'.
const DROPS = {
  'was never read': async (llm: LLM) => void llm.stream('x', LONG),
  'was read for one chunk': (llm: LLM) => hasChunk(llm.stream('x', LONG)),
  'has a textStream that was never read': async (llm: LLM) => void llm.stream('x', LONG).textStream,
  'has a web stream that was never read': async (llm: LLM) => void llm.stream('x', LONG).toReadableStream(),
};

export interface Work {
  engine: string;
  drop: keyof typeof DROPS;
}

const { engine, drop } = given<Work>();
subscribe('node-tensorrt-llm:request:end', (event) => tell((event as RequestEndEvent).finishReason));
const llm = await LLM.load(engine);
await DROPS[drop](llm);
while (llm.stats().activeRequests === 0) await turn();
while (llm.stats().activeRequests > 0 || llm.stats().kvBlocksUsed > 0) {
  collectGarbage();
  await sleep(1);
}
await llm.close();
