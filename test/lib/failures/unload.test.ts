import { before, describe, test } from 'node:test';
import { tinyEngine } from '../../tools/engines.js';
import { OLDEST_AND_NEWEST } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work as TerminatedAlone } from './programs/terminated-alone.js';
import type { Work as WorkerEnds } from './programs/worker-ends.js';

// The addon is unloaded with the last environment that loaded it: here no other than a worker's.
let engine: string;
before(async () => {
  engine = await tinyEngine();
});

const TERMINATIONS = 30;
const WAYS = [
  { way: 'process.exit()', status: 7 },
  { way: 'an uncaught throw', status: 1 },
  { way: 'a natural exit', status: 0 },
] as const;

for (const { major, node } of OLDEST_AND_NEWEST) {
  describe(`on Node.js ${major}, a worker that alone loaded the addon`, () => {
    test(`may be terminated ${TERMINATIONS} times, while it loads or streams, and the process lives`, async () => {
      const work: TerminatedAlone = { engine, load: {}, times: TERMINATIONS };
      const program = new URL('./programs/terminated-alone.js', import.meta.url);
      ends(await runProgram(program, work, { node }), { status: 0, told: ['alive'] });
    });

    for (const { way, status } of WAYS) {
      test(`may end by ${way} while it streams, and the process lives`, async () => {
        const work: WorkerEnds = { engine, way };
        const program = new URL('./programs/worker-ends.js', import.meta.url);
        ends(await runProgram(program, work, { node }), { status: 0, told: [{ exit: status }] });
      });
    }
  });
}
