import { test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';

// Resident memory after a warm-up of as many rounds, and again at the end. What V8 keeps in reserve is not counted: it grows by
// steps that have nothing to do with what is in use.
const FLAT = `
  const inUseMb = async () => {
    let least = Infinity;
    for (let i = 0; i < 5; i++) {
      gc();
      await sleep(10);
      const { rss, heapTotal, heapUsed } = process.memoryUsage();
      least = Math.min(least, (rss - heapTotal + heapUsed) / 2 ** 20);
    }
    return least;
  };
  const flat = async (rounds, boundMb, run) => {
    for (let i = 0; i < rounds; i++) await run(i);
    const before = await inUseMb();
    for (let i = 0; i < rounds; i++) await run(i);
    const growthMb = await inUseMb() - before;
    console.log(growthMb < boundMb ? 'flat' : 'grew by ' + growthMb + ' MB');
  };
`;
const COLLECTED = { flags: ['--expose-gc'] };

test('100 load and close cycles leave resident memory flat', async () => {
  const program = `${FLAT}
    await flat(100, 10, async () => {
      const llm = await LLM.load(engine);
      await llm.generate('x', { maxTokens: 2 });
      await llm.close();
    });
  `;
  ends(await runProgram(program, { engine: await tinyEngine() }, COLLECTED), { status: 0, out: 'flat\n' });
});

test('50 load and close cycles of an executor that takes 33 MB give them back, requests running or not', async () => {
  const program = `${FLAT}
    await flat(50, 30, async (i) => {
      const llm = await LLM.load(engine, SCRIPTED);
      if (i % 2 === 0) await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 100_000 }));
      await llm.close();
    });
  `;
  ends(await runProgram(program, { engine: await scriptedEngine({ memory_mb: 33, step_ms: 1 }) }, COLLECTED), {
    status: 0,
    out: 'flat\n',
  });
});

test('10,000 requests leave resident memory flat', async () => {
  const program = `${FLAT}
    const llm = await LLM.load(engine, SCRIPTED);
    await flat(100, 10, () => Promise.all(
      Array.from({ length: 100 }, (_, i) => llm.generate({ tokens: [i] }, { maxTokens: 50 })),
    ));
    await llm.close();
  `;
  ends(await runProgram(program, { engine: await scriptedEngine({}) }, COLLECTED), { status: 0, out: 'flat\n' });
});
