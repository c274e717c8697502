import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { OLDEST_AND_NEWEST } from '../../tools/node-versions.js';
import { type Exit, ends, runProgram } from '../../tools/programs.js';
import type { Work as Exiting } from './programs/exit.js';
import type { Work as ExitWhen } from './programs/exit-when.js';

const WAYS = [
  { way: 'process.exit()', status: 7 },
  { way: 'an uncaught throw', status: 1 },
  { way: 'a natural exit', status: 0 },
] as const;
const STAGES = ['load', 'prefill', 'decode', 'close'] as const;

let engine: string;
let slowToLoad: string;
before(async () => {
  engine = await tinyEngine();
  slowToLoad = await scriptedEngine({ load_ms: 200, log: true });
});

for (const { major, node } of OLDEST_AND_NEWEST) {
  describe(`on Node.js ${major}`, () => {
    for (const { way, status } of WAYS) {
      for (const stage of STAGES) {
        test(`${way} during ${stage} ends the process with status ${status} and no crash`, async () => {
          const work: Exiting = { engine, slowToLoad, stage, way };
          const exit = await runProgram(new URL('./programs/exit.js', import.meta.url), work, { node });
          ends(exit, { status, told: [] });
          if (status === 1) assert.match(exit.err, /mine/);
        });
      }
    }
  });
}

const exitWhen = (work: ExitWhen): Promise<Exit> =>
  runProgram(new URL('./programs/exit-when.js', import.meta.url), work);

test('an idle LLM that nobody closed keeps no process alive', async () => {
  ends(await exitWhen({ engine, llm: 'idle' }), { status: 0, told: ['loaded'] });
});

test('a running request keeps its process alive until it has ended', async () => {
  ends(await exitWhen({ engine, llm: 'running' }), { status: 0, told: [50] });
});

test('process.exit() with the LLM closed has its own status', async () => {
  ends(await exitWhen({ engine, llm: 'closed' }), { status: 7, told: [] });
});

test('process.exit() is not kept waiting for an executor that hears no cancel', async () => {
  const deaf = await scriptedEngine({ deaf: true, step_ms: 1 });
  ends(await exitWhen({ engine: deaf, llm: 'deaf' }), { status: 7, told: [] });
});
