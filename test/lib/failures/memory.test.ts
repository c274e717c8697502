import { test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/memory.js';

async function staysFlat(work: Work): Promise<void> {
  const exit = await runProgram(new URL('./programs/memory.js', import.meta.url), work, { flags: ['--expose-gc'] });
  ends(exit, { status: 0, told: ['flat'] });
}

test('100 load and close cycles leave resident memory flat', async () =>
  staysFlat({ engine: await tinyEngine(), rounds: 'loads', count: 100, boundMb: 10 }));

test('50 load and close cycles of an executor that takes 33 MB give them back, requests running or not', async () => {
  const engine = await scriptedEngine({ memory_mb: 33, step_ms: 1 });
  await staysFlat({ engine, rounds: 'loads of the scripted executor', count: 50, boundMb: 30 });
});

test('10,000 requests leave resident memory flat', async () =>
  staysFlat({ engine: await scriptedEngine({}), rounds: 'requests', count: 100, boundMb: 10 }));
