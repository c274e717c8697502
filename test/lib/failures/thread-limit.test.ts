import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LoadOptions } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { PROJECT_ROOT, THREAD_LIMIT_LIBRARY } from '../../tools/project.js';
import type { Work } from './programs/thread-limit.js';

const program = new URL('./programs/thread-limit.js', import.meta.url);

let engine: string;
before(async () => {
  engine = await tinyEngine();
});

const USED = [{ completionTokens: 3 }, 'done'];
const REFUSED = [{ load: 'ERR_EXECUTOR_UNAVAILABLE', saysWhat: true }, 'done'];

// Where another library must be loaded first, nothing can stand before it.
const sanitized = process.env.LD_PRELOAD !== undefined;

describe('where so many threads can be started that', { skip: sanitized }, () => {
  const limited = async (work: Omit<Work, 'engine'>, flags: string[] = []) => {
    const { status, signal, told, err } = await runProgram(
      program,
      { ...work, engine },
      {
        flags,
        env: { LD_PRELOAD: THREAD_LIMIT_LIBRARY },
      },
    );
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, err);
    return told;
  };

  const LOADS: [string, LoadOptions][] = [
    ['the executor', { threads: 3 }],
    ['the host process of the executor', { isolation: 'process', threads: 1 }],
  ];
  for (const [what, load] of LOADS) {
    for (const end of ['close', 'collected', 'exit'] as const) {
      test(`${what} does not start, the load rejects with what to raise, and otherwise all goes well: ${end}`, async () => {
        let told: unknown[] = [];
        for (let threads = 0; told[0] === undefined || 'load' in (told[0] as object); threads++) {
          assert.ok(threads < 20, `it is refused with ${threads - 1} threads`);
          told = await limited({ load, threads, end }, ['--expose-gc']);
          if ('load' in (told[0] as object)) assert.deepEqual(told, REFUSED, `${threads} threads`);
        }
        assert.deepEqual(told, end === 'exit' ? USED.slice(0, 1) : USED);
      });
    }
  }

  test('the host process starts none of its own, the load rejects with what to raise', async () => {
    const load: LoadOptions = { isolation: 'process', threads: 2, isolationEnv: ['THREAD_LIMIT'] };
    // Enough for this process, which needs two, and not for the host, which needs three; it counts its own.
    assert.deepEqual(await limited({ load, threads: 2, end: 'close' }), REFUSED);
  });
});

/** Whether a process of another user can be started here and limited, and that user can read what it needs. */
function whyNotAnother(): string | false {
  if (process.getuid?.() !== 0) return 'only root can start a process of another user, and root has no limit';
  const options = { uid: 65534, gid: 65534, cwd: '/' };
  const reads = spawnSync(
    process.execPath,
    ['-e', `require('fs').readdirSync(${JSON.stringify(PROJECT_ROOT)})`],
    options,
  );
  if (reads.status !== 0) return 'another user cannot read this project';
  return spawnSync('prlimit', ['--version']).status !== 0 && 'there is no prlimit';
}

describe('at ulimit -u', { skip: whyNotAnother() }, () => {
  for (const isolation of ['none', 'process'] as const) {
    test(`a load with isolation '${isolation}' rejects, and the process ends by itself`, async () => {
      assert.equal(spawnSync('chmod', ['-R', 'a+rX', dirname(engine)]).status, 0);
      const work: Work = { engine, load: { isolation }, threads: 'none by ulimit -u', end: 'close' };
      const { status, signal, stdout, stderr } = spawnSync(
        process.execPath,
        [fileURLToPath(program), JSON.stringify(work)],
        {
          uid: 65534,
          gid: 65534,
          cwd: '/',
          encoding: 'utf8',
          timeout: 240_000,
        },
      );
      assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr);
      assert.deepEqual(
        stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
        REFUSED,
      );
    });
  }
});
