import { test } from 'node:test';
import { tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/one-pool-thread.js';

test('with one thread in the pool a load, 64 encodes, 8 requests and a file read all end', async () => {
  const work: Work = { engine: await tinyEngine() };
  const program = new URL('./programs/one-pool-thread.js', import.meta.url);
  const exit = await runProgram(program, work, { env: { UV_THREADPOOL_SIZE: '1' } });
  ends(exit, { status: 0, told: [{ fileWasRead: true, lengths: 1, results: 8 }] });
});
