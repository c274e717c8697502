// What the workers of an engine of two ranks read and write.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryDirectory } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, WORKER_PROGRAM, withoutMpi } from '../../tools/several-ranks.js';

const BYTES = 100_000; // more than a pipe holds
/** One mark for each stream: what comes of the two is mixed byte by byte. */
const MARKS = ['{', '}'];

describe('a worker', { skip: withoutMpi }, () => {
  let constants: { engine: string; library: string; workerPath: string };
  before(async () => {
    const workerPath = join(await temporaryDirectory(), 'executorWorker');
    const writing = MARKS.map((mark, i) => `yes '${mark.repeat(99)}' | head -c ${BYTES} >&${i + 1}\n`);
    await writeFile(workerPath, `#!/bin/sh\n${writing.join('')}exec '${WORKER_PROGRAM}'\n`, { mode: 0o755 });
    constants = { engine: await lettersEngine(), library: MPI_LIBRARY, workerPath };
  });

  for (const isolation of ['none', 'process']) {
    test(`writes all to this process's standard error with isolation: '${isolation}'`, async () => {
      const program = `
        const llm = await LLM.load(engine, { executor: { library }, isolation, parallel: { workerPath } });
        console.log((await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text);
        await llm.close();
      `;
      const { status, out, err } = await runProgram(program, { ...constants, isolation });
      assert.equal(status, 0, `of its errors ${err.length} bytes came`);
      assert.equal(out, 'abcde\n');
      for (const mark of MARKS) assert.equal(err.split(mark).length - 1, 2 * 0.99 * BYTES, `from stream ${mark}`);
    });
  }
});
