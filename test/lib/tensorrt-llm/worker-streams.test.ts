// What the workers of an engine of two ranks read and write.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryDirectory } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, WORKER_PROGRAM, withoutMpi } from '../../tools/several-ranks.js';
import type { Work } from './programs/generate.js';

const BYTES = 100_000; // more than a pipe holds
/** One mark for each stream: what comes of the two is mixed byte by byte. */
const MARKS = ['{', '}'];

describe('a worker', { skip: withoutMpi }, () => {
  let engine: string;
  let workerPath: string;
  before(async () => {
    engine = await lettersEngine();
    workerPath = join(await temporaryDirectory(), 'executorWorker');
    const writing = MARKS.map((mark, i) => `yes '${mark.repeat(99)}' | head -c ${BYTES} >&${i + 1}\n`);
    await writeFile(workerPath, `#!/bin/sh\n${writing.join('')}exec '${WORKER_PROGRAM}'\n`, { mode: 0o755 });
  });

  for (const isolation of ['none', 'process'] as const) {
    test(`writes all to this process's standard error with isolation: '${isolation}'`, async () => {
      const options = { executor: { library: MPI_LIBRARY }, isolation, parallel: { workerPath } };
      const work: Work = { engine, options };
      const { status, told, err } = await runProgram(new URL('./programs/generate.js', import.meta.url), work);
      assert.equal(status, 0, `of its errors ${err.length} bytes came`);
      assert.deepEqual(told, ['abcde']);
      for (const mark of MARKS) assert.equal(err.split(mark).length - 1, 2 * 0.99 * BYTES, `from stream ${mark}`);
    });
  }
});
