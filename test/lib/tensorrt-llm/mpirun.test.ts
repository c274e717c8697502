// Leader mode: mpirun starts a process for each rank.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryDirectory } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, withoutMpi } from '../../tools/several-ranks.js';
import type { Said, Work } from './programs/rank.js';

describe('under mpirun', { skip: withoutMpi }, () => {
  let work: Omit<Work, 'does'>;
  before(async () => {
    const flag = join(await temporaryDirectory(), 'flag');
    work = { engine: await lettersEngine({ script: { step_ms: 1 } }), library: MPI_LIBRARY, flag };
  });

  /** What each rank said, in its order, and what those did of which no rank is known. */
  async function mpirun(processes: number, does: Work['does']): Promise<{ ranks: string[][]; others: string[] }> {
    const exit = await runProgram(
      new URL('./programs/rank.js', import.meta.url),
      { ...work, does },
      { launcher: ['mpirun', '--allow-run-as-root', '--oversubscribe', '-n', String(processes)] },
    );
    assert.equal(exit.status, 0, exit.err);
    const told = exit.told as Said[];
    const saidBy = (rank: number | null): string[] => told.filter((each) => each.rank === rank).map(({ said }) => said);
    return { ranks: Array.from({ length: processes }, (_, rank) => saidBy(rank)), others: saidBy(null) };
  }

  test('the first rank runs requests, the others refuse them, and close() waits for the first', async () => {
    const { ranks } = await mpirun(2, 'ask and close');
    assert.deepEqual(ranks, [
      ['abcde', 'closed'],
      ['ERR_UNSUPPORTED', 'waits', 'closed'],
    ]);
  });

  test('a rank that only follows lives as long as the first, without a close()', async () => {
    const { ranks } = await mpirun(2, 'let the first ask');
    assert.deepEqual(ranks, [['500'], []]);
  });

  test('an engine of another number of ranks is refused', async () => {
    const { others } = await mpirun(3, 'let the first ask');
    assert.equal(others.length, 3);
    for (const said of others) {
      assert.match(
        said,
        /^ERR_ENGINE_RANKS This process is one of 3 that mpirun started; expected one process for each of the engine's 2 ranks/,
      );
    }
  });
});
