// How a process ends that orchestrates an engine of two ranks.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ended } from '../../tools/hosts.js';
import { runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, withoutMpi } from '../../tools/several-ranks.js';
import type { Work } from './programs/exit.js';

const WAYS = [
  { way: 'process.exit()', status: 7, signal: null },
  { way: 'an uncaught throw', status: 1, signal: null },
  { way: 'SIGKILL', status: null, signal: 'SIGKILL' },
] as const;

describe('a process with an engine of two ranks', { skip: withoutMpi }, () => {
  let engine: string;
  before(async () => {
    engine = await lettersEngine({ script: { step_ms: 5 } });
  });

  async function leavesNoWorker(
    work: Omit<Work, 'library'>,
    expected: { status: number | null; signal: string | null },
  ): Promise<void> {
    const exiting: Work = { ...work, library: MPI_LIBRARY };
    const { status, signal, told, err } = await runProgram(new URL('./programs/exit.js', import.meta.url), exiting);
    assert.deepEqual({ status, signal }, expected, err);
    const [workers] = told as [number[]];
    assert.equal(workers.length, 2, err);
    for (const worker of workers) await ended(worker);
  }

  for (const { way, status, signal } of WAYS) {
    for (const stage of ['decode', 'idleness'] as const) {
      test(`ends by ${way} during ${stage}, and leaves no worker behind`, () =>
        leavesNoWorker({ engine, stage, way }, { status, signal }));
    }
  }

  test('ends by itself with an idle LLM, and leaves no worker behind', () =>
    leavesNoWorker({ engine, stage: 'idleness', way: 'a natural exit' }, { status: 0, signal: null }));

  test('ends by itself after a load that was given up, and leaves no worker behind', async () => {
    const stuck = await lettersEngine({ script: { load_ms: 1_000_000 } });
    await leavesNoWorker({ engine: stuck, stage: 'load', way: 'a natural exit' }, { status: 0, signal: null });
  });
});
