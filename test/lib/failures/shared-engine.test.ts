import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { OLDEST_AND_NEWEST } from '../../tools/node-versions.js';
import { type Exit, ends, runProgram } from '../../tools/programs.js';
import type { Work as ExitBesideWorkers } from './programs/exit-beside-workers.js';
import type { Work as MainClosesFirst } from './programs/main-closes-first.js';
import type { Work as WorkerClosesFirst } from './programs/worker-closes-first.js';
import type { Work as WorkerLoads } from './programs/worker-loads.js';

const program = (name: string): URL => new URL(`./programs/${name}.js`, import.meta.url);

let engine: string;
let scripted: string;
before(async () => {
  engine = await tinyEngine();
  scripted = await scriptedEngine({ step_ms: 1 });
});

describe('of two that share an engine', () => {
  test('the worker goes on when the main thread closes, and the engine is freed when it closes too', async () => {
    const work: MainClosesFirst = { large: await scriptedEngine({ step_ms: 1, memory_mb: 33 }) };
    ends(await runProgram(program('main-closes-first'), work), {
      status: 0,
      told: [['abcde', 'ERR_CLOSED', 'abcde', 'ERR_CLOSED'], { moreThreads: 0 }, 'memory returned'],
    });
  });

  test('the main thread goes on when the worker closes, and when it just ends', async () => {
    const work: WorkerClosesFirst = { scripted };
    ends(await runProgram(program('worker-closes-first'), work), {
      status: 0,
      told: [
        ['abcde', 'closed'],
        [500, 'abcde'],
      ],
    });
  });

  test('a worker that loaded the engine and ends leaves it to the main thread', async () => {
    const work: WorkerLoads = { scripted };
    ends(await runProgram(program('worker-loads'), work), { status: 0, told: [[100, 'abcde']] });
  });
});

for (const { major, node } of OLDEST_AND_NEWEST) {
  describe(`on Node.js ${major}, with workers that generate on the engine of the main thread`, () => {
    const exit = (work: ExitBesideWorkers): Promise<Exit> => runProgram(program('exit-beside-workers'), work, { node });

    test('process.exit() in the main thread ends the process with its status', async () => {
      ends(await exit({ engine, exits: 'main thread' }), { status: 7, told: [] });
    });

    test('process.exit() in the workers ends these alone, and the text of the main thread is exact', async () => {
      ends(await exit({ engine, exits: 'workers' }), {
        status: 0,
        told: [{ statuses: [5, 5, 5, 5], sameText: true }],
      });
    });
  });
}

describe('attach refuses', () => {
  test('the handle of an engine that is closed, with ERR_CLOSED', async () => {
    const llm = await LLM.load(engine);
    const { handle } = llm;
    await llm.close();
    assert.throws(() => LLM.attach(handle), failsWith('ERR_CLOSED', /LLM\.load/));
  });

  test('a handle of another process, with ERR_INVALID_INPUT that names both', async () => {
    const llm = await LLM.load(engine);
    const foreign = { ...structuredClone(llm.handle), processId: process.pid + 1 };
    assert.throws(() => LLM.attach(foreign), failsWith('ERR_INVALID_INPUT', `${process.pid + 1}`, `${process.pid}`));
    await llm.close();
  });

  test('what is no handle, with ERR_INVALID_INPUT', () => {
    for (const handle of [undefined, null, 7, 'handle', {}, { processId: process.pid }, []]) {
      assert.throws(() => LLM.attach(handle as never), failsWith('ERR_INVALID_INPUT', /handle/));
    }
  });

  test('a handle whose engine never was, with ERR_CLOSED', async () => {
    const llm = await LLM.load(engine);
    const never = { ...llm.handle, sessionId: 1e9 };
    assert.throws(() => LLM.attach(never), failsWith('ERR_CLOSED'));
    await llm.close();
  });
});
