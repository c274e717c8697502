import { describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { SCRIPTED } from '../../tools/program.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/terminated-workers.js';

const PROGRAM = new URL('./programs/terminated-workers.js', import.meta.url);

describe('8 workers on one engine, terminated at random:', () => {
  const KINDS: readonly [name: string, work: () => Promise<Work>][] = [
    ['cpu', async () => ({ engine: await tinyEngine(), load: {} })],
    ['scripted', async () => ({ engine: await scriptedEngine({ step_ms: 1 }), load: SCRIPTED })],
  ];
  for (const [executor, work] of KINDS) {
    test(`the survivors' text is exact, with the ${executor} executor`, async () => {
      ends(await runProgram(PROGRAM, await work()), {
        status: 0,
        told: [{ wrong: [], unknownRows: 0, kvBlocksUsed: 0 }],
      });
    });
  }
});
