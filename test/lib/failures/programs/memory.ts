// Resident memory after a warm-up of as many rounds, and again at the end. What V8 keeps in reserve is not counted: it grows by
// steps that have nothing to do with what is in use.
import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, hasChunk, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  rounds: 'loads' | 'loads of the scripted executor' | 'requests';
  count: number;
  /** What it may grow by. */
  boundMb: number;
}

const { engine, rounds, count, boundMb } = given<Work>();

async function inUseMb(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await sleep(10);
    const { rss, heapTotal, heapUsed } = process.memoryUsage();
    least = Math.min(least, (rss - heapTotal + heapUsed) / 2 ** 20);
  }
  return least;
}

async function measure(round: (index: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i++) await round(i);
  const before = await inUseMb();
  for (let i = 0; i < count; i++) await round(i);
  const growthMb = (await inUseMb()) - before;
  tell(growthMb < boundMb ? 'flat' : `grew by ${growthMb} MB`);
}

if (rounds === 'loads') {
  await measure(async () => {
    const llm = await LLM.load(engine);
    await llm.generate('x', { maxTokens: 2 });
    await llm.close();
  });
} else if (rounds === 'loads of the scripted executor') {
  await measure(async (index) => {
    const llm = await LLM.load(engine, SCRIPTED);
    if (index % 2 === 0) await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 100_000 }));
    await llm.close();
  });
} else {
  const llm = await LLM.load(engine, SCRIPTED);
  await measure(() =>
    Promise.all(Array.from({ length: 100 }, (_, i) => llm.generate({ tokens: [i] }, { maxTokens: 50 }))),
  );
  await llm.close();
}
