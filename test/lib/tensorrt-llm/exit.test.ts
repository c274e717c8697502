// How a process ends that orchestrates an engine of two ranks.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ended } from '../../tools/hosts.js';
import { runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, withoutMpi } from '../../tools/several-ranks.js';

const WAYS = [
  { way: 'process.exit()', leave: 'process.exit(7)', status: 7, signal: null },
  { way: 'an uncaught throw', leave: `setImmediate(() => { throw new Error('mine'); })`, status: 1, signal: null },
  { way: 'SIGKILL', leave: `process.kill(process.pid, 'SIGKILL')`, status: null, signal: 'SIGKILL' },
];
const STAGES = [
  { stage: 'decode', work: `await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 8000 }));` },
  { stage: 'idleness', work: '' },
];

describe('a process with an engine of two ranks', { skip: withoutMpi }, () => {
  let constants: { engine: string; stuck: string; library: string; tools: string };
  before(async () => {
    constants = {
      engine: await lettersEngine({ script: { step_ms: 5 } }),
      stuck: await lettersEngine({ script: { load_ms: 1_000_000 } }),
      library: MPI_LIBRARY,
      tools: new URL('../../tools/several-ranks.js', import.meta.url).href,
    };
  });

  async function leavesNoWorker(program: string, status: number | null, signal: string | null): Promise<void> {
    const prelude = `
      import { writeSync } from 'node:fs';
      const { workersBelow } = await import(tools);
      const tell = () => writeSync(1, workersBelow(process.pid).join(' ')); // at once: the process may end before a flush
    `;
    const exit = await runProgram(prelude + program, constants);
    assert.deepEqual({ status: exit.status, signal: exit.signal }, { status, signal }, exit.err);
    const workers = exit.out.split(' ').map(Number);
    assert.equal(workers.length, 2, exit.out);
    for (const worker of workers) await ended(worker);
  }

  for (const { way, leave, status, signal } of WAYS) {
    for (const { stage, work } of STAGES) {
      test(`ends by ${way} during ${stage}, and leaves no worker behind`, () =>
        leavesNoWorker(
          `const llm = await LLM.load(engine, { executor: { library } }); ${work} tell(); ${leave};`,
          status,
          signal,
        ));
    }
  }

  test('ends by itself with an idle LLM, and leaves no worker behind', () =>
    leavesNoWorker(`await LLM.load(engine, { executor: { library } }); tell();`, 0, null));

  test('ends by itself after a load that was given up, and leaves no worker behind', () =>
    leavesNoWorker(
      `
        const controller = new AbortController();
        const load = LLM.load(stuck, { executor: { library }, signal: controller.signal });
        while (workersBelow(process.pid).length < 2) await sleep(5);
        tell();
        controller.abort();
        await load.catch(({ name }) => { if (name !== 'AbortError') process.exit(2); });
      `,
      0,
      null,
    ));
});
