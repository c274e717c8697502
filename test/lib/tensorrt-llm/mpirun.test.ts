// Leader mode: mpirun starts a process for each rank.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryDirectory } from '../../tools/engines.js';
import { type Exit, runProgram } from '../../tools/programs.js';
import { lettersEngine, MPI_LIBRARY, withoutMpi } from '../../tools/several-ranks.js';

describe('under mpirun', { skip: withoutMpi }, () => {
  let constants: { engine: string; library: string; flag: string };
  before(async () => {
    const flag = join(await temporaryDirectory(), 'flag');
    constants = { engine: await lettersEngine({ script: { step_ms: 1 } }), library: MPI_LIBRARY, flag };
  });

  /** What each rank said, in its order. */
  async function mpirun(processes: number, program: string): Promise<Exit & { said: string[][] }> {
    const prelude = `
      import { existsSync, writeFileSync } from 'node:fs';
      const say = (...words) => console.log(String(llm.info.rank), ...words);
      const asks = (maxTokens) => llm.generate({ tokens: [0] }, { maxTokens }).then(({ text }) => text, ({ code }) => code);
    `;
    const exit = await runProgram(prelude + program, constants, {
      launcher: ['mpirun', '--allow-run-as-root', '--oversubscribe', '-n', String(processes)],
    });
    const lines = exit.out.trimEnd().split('\n');
    const said = Array.from({ length: processes }, (_, rank) =>
      lines.filter((line) => line.startsWith(`${rank} `)).map((line) => line.slice(2)),
    );
    return { ...exit, said };
  }

  test('the first rank runs requests, the others refuse them, and close() waits for the first', async () => {
    const { status, err, said } = await mpirun(
      2,
      `
        const llm = await LLM.load(engine, { executor: { library } });
        say(await asks(5));
        if (llm.info.rank === 0) while (!existsSync(flag)) await sleep(5);
        const close = llm.close();
        if (llm.info.rank > 0) {
          say(await Promise.race([close, sleep(50, 'waits')]));
          writeFileSync(flag, '');
        }
        await close;
        say('closed');
      `,
    );
    assert.equal(status, 0, err);
    assert.deepEqual(said, [
      ['abcde', 'closed'],
      ['ERR_UNSUPPORTED', 'waits', 'closed'],
    ]);
  });

  test('a rank that only follows lives as long as the first, without a close()', async () => {
    const { status, err, said } = await mpirun(
      2,
      `
        const llm = await LLM.load(engine, { executor: { library } });
        if (llm.info.rank === 0) say(await asks(500).then((text) => String(text.length)));
      `,
    );
    assert.equal(status, 0, err);
    assert.deepEqual(said, [['500'], []]);
  });

  test('an engine of another number of ranks is refused', async () => {
    const { status, out } = await mpirun(
      3,
      `
        const llm = { info: { rank: 'each' } };
        await LLM.load(engine, { executor: { library } }).catch(({ code, message }) => say(code, message));
      `,
    );
    assert.equal(status, 0);
    const refusals = out.match(/ERR_ENGINE_RANKS the engine has 2 ranks; .* mpirun has started 3 process\(es\)\./g);
    assert.equal(refusals?.length, 3, out);
  });
});
