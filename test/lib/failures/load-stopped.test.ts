import { test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/load-stopped.js';

const cases: Record<string, () => Promise<Work>> = {
  'of the CPU executor': async () => ({
    engine: await tinyEngine(),
    scripted: false,
    isolation: 'none',
    stages: 40,
  }),
  'of an executor that takes 33 MB': async () => ({
    engine: await scriptedEngine({ load_ms: 10, memory_mb: 33 }),
    scripted: true,
    isolation: 'none',
    stages: 16,
  }),
  'in a process of its own': async () => ({
    engine: await scriptedEngine({ load_ms: 10, memory_mb: 33 }),
    scripted: true,
    isolation: 'process',
    stages: 12,
  }),
};

for (const [name, work] of Object.entries(cases)) {
  test(`a load ${name} that is stopped at any stage gives back its threads, descriptors and memory`, async () => {
    const program = new URL('./programs/load-stopped.js', import.meta.url);
    const exit = await runProgram(program, await work(), { flags: ['--expose-gc'] });
    ends(exit, { status: 0, told: [{ moreThreads: 0, moreDescriptors: 0, hosts: 0 }, 'memory returned'] });
  });
}
