// Resident memory after a warm-up of as many rounds, and again after as many more. What V8 keeps in reserve is not counted: it
// grows by steps that have nothing to do with what is in use. So does what malloc keeps for threads that have ended, which
// wanders up and down by several MB: a leak is what grows every time it is measured.
import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, hasChunk, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  rounds: 'loads' | 'loads of the scripted executor' | 'requests';
  count: number;
  /** What it may grow by, at least once in three times. */
  boundMb: number;
}

const TIMES = 3;
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
  const afterRoundsMb = async () => {
    for (let i = 0; i < count; i++) await round(i);
    return inUseMb();
  };
  const growthsMb: number[] = [];
  let beforeMb = await afterRoundsMb();
  while (growthsMb.length < TIMES) {
    const afterMb = await afterRoundsMb();
    if (afterMb - beforeMb < boundMb) return tell('flat');
    growthsMb.push(afterMb - beforeMb);
    beforeMb = afterMb;
  }
  tell(`grew by ${growthsMb.join(', then by ')} MB`);
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
