// An engine of two ranks that this process orchestrates, over real MPI and the stand-in.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { ended, hostsOf } from '../../tools/hosts.js';
import { lettersOf, startAll } from '../../tools/scripted.js';
import { lettersEngine, MPI_LIBRARY, type StandInScript, withoutMpi, workersBelow } from '../../tools/several-ranks.js';

const OPTIONS: LoadOptions = { executor: { library: MPI_LIBRARY } };
const ISOLATIONS = ['none', 'process'] as const;

/** Runs with an LLM of two ranks, which is closed at the end and leaves no worker. */
async function withTwoRanks(
  script: StandInScript,
  run: (llm: LLM) => Promise<void>,
  options: LoadOptions = {},
): Promise<void> {
  const llm = await LLM.load(await lettersEngine({ script }), { ...OPTIONS, ...options });
  const workers = workersBelow(process.pid);
  assert.equal(workers.length, 2);
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
  for (const worker of workers) await ended(worker);
}

for (const isolation of ISOLATIONS) {
  describe(`two ranks, isolation: '${isolation}'`, { skip: withoutMpi }, () => {
    test('stream the exact text of requests that run together', () =>
      withTwoRanks(
        { step_ms: 1, deltas: [1, 3, 0, 2] },
        async (llm) => {
          assert.equal(llm.info.rank, 0);
          assert.equal(llm.info.tensorParallelSize, 2);
          const results = await Promise.all(startAll(llm, 40, (i) => 1 + i));
          for (const [i, { text, finishReason }] of results.entries()) {
            assert.equal(text, lettersOf(i, 1 + i));
            assert.equal(finishReason, 'length');
          }
          let streamed = '';
          for await (const { text } of llm.stream({ tokens: [3] }, { maxTokens: 50 })) streamed += text;
          assert.equal(streamed, lettersOf(3, 50));
          assert.equal(llm.stats().unknownRows, 0);
        },
        { isolation },
      ));

    test('end a request whose loop is left, and run the others on', () =>
      withTwoRanks(
        { step_ms: 1 },
        async (llm) => {
          const other = llm.generate({ tokens: [1] }, { maxTokens: 300 });
          for await (const _ of llm.stream({ tokens: [0] }, { maxTokens: 8000 })) break;
          const aborted = llm.stream({ tokens: [0] }, { maxTokens: 8000 });
          await aborted[Symbol.asyncIterator]().next();
          aborted.abort();
          assert.equal((await aborted.result).finishReason, 'cancelled');
          assert.equal((await other).text, lettersOf(1, 300));
        },
        { isolation },
      ));

    test('fail the one request that the engine fails', () =>
      withTwoRanks(
        { step_ms: 1, fail_every: 2 },
        async (llm) => {
          const [first, second, third] = await Promise.allSettled(startAll(llm, 3, () => 20));
          assert.equal(first?.status === 'fulfilled' && first.value.text, lettersOf(0, 20));
          assert.ok(second?.status === 'rejected' && failsWith('ERR_INTERNAL', 'scripted failure')(second.reason));
          assert.equal(third?.status === 'fulfilled' && third.value.text, lettersOf(2, 20));
        },
        { isolation },
      ));
  });
}

test('engines of one rank run in one process, each on the GPU it is given', { skip: withoutMpi }, async () => {
  const llms = await Promise.all(
    [3, 1].map(async (device) =>
      LLM.load(await lettersEngine({ ranks: 1 }), { ...OPTIONS, parallel: { deviceIds: [device] } }),
    ),
  );
  const texts = llms.map(async (llm) => (await llm.generate({ tokens: [0] }, { maxTokens: 20 })).text);
  assert.deepEqual(await Promise.all(texts), [lettersOf(0, 20), lettersOf(0, 20)]);
  for (const llm of llms) await llm.close();
});

describe('options of parallel that do not fit', { skip: withoutMpi }, () => {
  const CASES = [
    {
      parallel: { deviceIds: [0] },
      code: 'ERR_ENGINE_RANKS',
      named: 'parallel.deviceIds has 1 id; expected one for each of',
    },
    { parallel: { mode: 'leader' }, code: 'ERR_ENGINE_RANKS', named: 'Start it with mpirun -n 2' },
    { parallel: { participantIds: [0, 1] }, code: 'ERR_INVALID_OPTION', named: 'parallel.participantIds is set' },
    { parallel: { spawnProcesses: false }, code: 'ERR_ENGINE_RANKS', named: 'parallel.spawnProcesses is false' },
    { parallel: { workerPath: '/nowhere/worker' }, code: 'ERR_EXECUTOR_UNAVAILABLE', named: '/nowhere/worker' },
  ] as const;
  for (const { parallel, code, named } of CASES) {
    test(`${JSON.stringify(parallel)} is refused with ${code}`, async () => {
      await assert.rejects(LLM.load(await lettersEngine(), { ...OPTIONS, parallel }), failsWith(code, named));
    });
  }
});

describe('a load of two ranks', { skip: withoutMpi }, () => {
  let slow: string;
  let stuck: string;
  before(async () => {
    slow = await lettersEngine({ script: { load_ms: 1500 }, rankBytes: 4_000_000 });
    stuck = await lettersEngine({ script: { load_ms: 1_000_000 } });
  });

  for (const isolation of ISOLATIONS) {
    test(`tells how much of the rank files was read (isolation: '${isolation}')`, async () => {
      const told: number[] = [];
      const llm = await LLM.load(slow, { ...OPTIONS, isolation, onProgress: (done) => told.push(done) });
      await llm.close();
      assert.deepEqual(
        told,
        told.toSorted((a, b) => a - b),
      );
      assert.ok(
        told.some((done) => done > 0.05 && done < 0.95),
        String(told),
      );
      assert.equal(told.at(-1), 1);
    });
  }

  test("that is given up takes its workers along with isolation: 'process'", async () => {
    const controller = new AbortController();
    const load = LLM.load(stuck, { ...OPTIONS, isolation: 'process', signal: controller.signal });
    while (workersBelow(process.pid).length < 2) await setTimeout(5);
    const workers = workersBelow(process.pid);
    controller.abort();
    await assert.rejects(load, { name: 'AbortError' });
    assert.deepEqual(hostsOf(process.pid), []);
    for (const worker of workers) await ended(worker);
  });

  test("whose worker ends tells so, and with isolation: 'process' the next load works", async () => {
    const dying = await lettersEngine({ script: { worker_ends_by: 'abort', load_ms: 200 } });
    const load = LLM.load(dying, { ...OPTIONS, isolation: 'process' });
    await assert.rejects(load, (error) => {
      // Its abort ends the host as well, which may come first.
      const { code } = error as { code: string };
      return ['ERR_EXECUTOR_UNAVAILABLE', 'ERR_EXECUTOR_FAILED'].includes(code);
    });
    await withTwoRanks({}, async (llm) => {
      assert.equal((await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text, 'abcde');
    });
  });

  // Last, as what is given up without isolation stays in this process.
  for (const isolation of ISOLATIONS.toReversed()) {
    test(`that takes longer than loadTimeoutMs rejects (isolation: '${isolation}')`, async () => {
      const load = LLM.load(stuck, { ...OPTIONS, isolation, loadTimeoutMs: 300 });
      await assert.rejects(load, failsWith('ERR_LOAD_TIMEOUT', stuck));
    });
  }
});
