import { before, test } from 'node:test';
import { scriptedEngine } from '../../tools/engines.js';
import { OLDEST_AND_NEWEST } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/load-dies.js';

// A load that nobody gave up would take an hour and hold 33 MB, which glibc gives back to the system when they are freed.
let work: Work;
before(async () => {
  work = { engine: await scriptedEngine({ load_ms: 3_600_000, memory_mb: 33, log: true }) };
});

for (const { major, node } of OLDEST_AND_NEWEST) {
  test(`on Node.js ${major}, threads and memory of a pending load return when its worker is terminated, exits or throws`, async () => {
    const exit = await runProgram(new URL('./programs/load-dies.js', import.meta.url), work, { node });
    ends(exit, { status: 0, told: [{ moreThreads: 0 }, 'memory returned'] });
  });
}
