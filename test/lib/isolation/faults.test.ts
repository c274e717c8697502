import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { LLM, type LoadOptions, type Logger } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine, tinyEngineWith } from '../../tools/engines.js';
import { failsAbout, failsWith } from '../../tools/fails-with.js';
import { ended, hostPid, hostsOf } from '../../tools/hosts.js';
import { failsInEveryThird, lettersOf, type Script, startAll, withScript } from '../../tools/scripted.js';

const ISOLATED: LoadOptions = { isolation: 'process' };
const LONG = { maxTokens: 8000, temperature: 0, ignoreEos: true };

let engine: string;
before(async () => {
  engine = await tinyEngine();
});

/** Runs with an isolated LLM of the CPU executor, which is closed at the end. */
async function withHost(run: (llm: LLM) => Promise<void>, options: LoadOptions = {}, dir = engine): Promise<void> {
  const llm = await LLM.load(dir, { ...ISOLATED, ...options });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
  assert.deepEqual(hostsOf(process.pid), []);
}

const withIsolatedScript = (script: Script, run: (llm: LLM) => Promise<void>, options: LoadOptions = {}) =>
  withScript(script, run, { ...options, ...ISOLATED });

async function killed(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  process.kill(pid, signal);
  await ended(pid);
}

/** A logger, and a wait for a line that has the words; an idle LLM keeps no process alive, the wait does. */
function watchFor(words: string): { logger: Logger; seen: () => Promise<void> } {
  const lines: string[] = [];
  const method = (line: string): void => void lines.push(line);
  const seen = async (): Promise<void> => {
    while (!lines.some((line) => line.includes(words))) await setTimeout(5);
  };
  return { logger: { error: method, warn: method, info: method, debug: method }, seen };
}

describe('a host that is killed', () => {
  for (const signal of ['SIGKILL', 'SIGABRT', 'SIGSEGV'] as const) {
    test(`by ${signal} fails the requests it ran with what they had, and the next ones run`, () =>
      withHost(async (llm) => {
        const expected = await llm.generate('Once upon a time', { maxTokens: 20, temperature: 0 });
        const running = Array.from({ length: 8 }, () => llm.stream('abc', LONG));
        await Promise.all(running.map((generation) => generation[Symbol.asyncIterator]().next()));
        await killed(hostPid(), signal);
        for (const { result } of running) {
          await assert.rejects(result, (error) => {
            assert.ok(failsWith('ERR_EXECUTOR_FAILED', `killed by ${signal}`)(error));
            return (error as { partial?: { outputs: unknown[] } }).partial?.outputs.length === 1;
          });
        }
        const { text } = await llm.generate('Once upon a time', { maxTokens: 20, temperature: 0 });
        assert.equal(text, expected.text);
        assert.equal(llm.stats().unknownRows, 0);
      }));
  }

  test('while it is idle fails no request', async () => {
    const { logger, seen } = watchFor('runs again');
    await withHost(
      async (llm) => {
        await killed(hostPid());
        await seen();
        assert.equal((await llm.generate('abc', { ...LONG, maxTokens: 5 })).usage.completionTokens, 5);
      },
      { logger },
    );
  });

  test('while it loads rejects the load and leaves no process behind', async () => {
    const { logger, seen } = watchFor('scripted create');
    const dir = await scriptedEngine({ load_ms: 1_000_000, log: true });
    const loading = LLM.load(dir, { ...ISOLATED, executor: { library: SCRIPTED_LIBRARY }, logger });
    await seen();
    process.kill(hostPid(), 'SIGKILL');
    await assert.rejects(loading, failsWith('ERR_EXECUTOR_FAILED', 'killed by SIGKILL'));
    assert.deepEqual(hostsOf(process.pid), []);
  });

  test('and cannot load the engine again fails what waits for it, and runs what comes when it can', async () => {
    const dir = await tinyEngineWith({});
    const { logger, seen } = watchFor('was killed');
    await withHost(
      async (llm) => {
        await rename(join(dir, 'config.json'), join(dir, 'away'));
        await killed(hostPid());
        await seen();
        await assert.rejects(llm.generate('abc'), failsWith('ERR_EXECUTOR_FAILED', 'config.json', 'again'));
        await rename(join(dir, 'away'), join(dir, 'config.json'));
        assert.equal((await llm.generate('abc', { ...LONG, maxTokens: 5 })).usage.completionTokens, 5);
      },
      { logger },
      dir,
    );
  });
});

describe('while no host is there', () => {
  /** Runs with an LLM whose host was killed; the next one takes `loadMs` to load. */
  async function withLoadingHost(loadMs: number, run: (llm: LLM) => Promise<void>, options: LoadOptions = {}) {
    const dir = await scriptedEngine({});
    const { logger, seen } = watchFor('was killed');
    const scripted: LoadOptions = { executor: { library: SCRIPTED_LIBRARY }, logger, ...options };
    await withHost(
      async (llm) => {
        await writeFile(join(dir, 'script.json'), JSON.stringify({ load_ms: loadMs }));
        await killed(hostPid());
        await seen();
        await run(llm);
      },
      scripted,
      dir,
    );
  }
  const start = (llm: LLM) => llm.stream({ tokens: [0] }, { maxTokens: 5 });

  test('requests wait for the next one, and are counted, refused and cancelled as in a queue', () =>
    withLoadingHost(
      2000,
      async (llm) => {
        const [first, second, third] = [start(llm), start(llm), start(llm)];
        await assert.rejects(
          third.result,
          failsWith('ERR_QUEUE_FULL', '3 requests would wait; expected at most maxQueueSize, 2.'),
        );
        assert.equal(llm.stats().queuedRequests, 2);
        second.abort();
        assert.equal((await second.result).finishReason, 'cancelled');
        assert.equal(llm.stats().queuedRequests, 1);
        assert.equal((await first.result).text, lettersOf(0, 5));
      },
      { maxQueueSize: 2 },
    ));

  test('close() ends what waits, and waits for no load', () =>
    withLoadingHost(1_000_000, async (llm) => {
      const waiting = assert.rejects(start(llm).result, failsWith('ERR_CLOSED'));
      await llm.close();
      await waiting;
    }));
});

describe('an isolated executor', () => {
  test('serves 1,000 requests, 100 at once, each with its own text', () =>
    withIsolatedScript({ tokens_per_step: 3 }, async (llm) => {
      assert.equal(llm.info.isolated, true);
      for (let round = 0; round < 10; round++) {
        const results = await Promise.all(startAll(llm, 100, (i) => 1 + (i % 50)));
        for (const [i, { text }] of results.entries()) assert.equal(text, lettersOf(i, 1 + (i % 50)));
      }
      assert.equal(llm.stats().unknownRows, 0);
    }));

  test('gives the logprobs and logits that it gives in this process, bit for bit', async () => {
    const options = { ...LONG, maxTokens: 12, n: 2, temperature: 1, seed: 7, topLogprobs: 3, logprobs: true };
    const all = { ...options, promptLogprobs: true, returnContextLogits: true, returnGenerationLogits: true };
    const run = async (isolation: 'none' | 'process') => {
      const llm = await LLM.load(engine, { isolation });
      const { timing, metrics, ...result } = await llm.generate('Once upon a time', all);
      await llm.close();
      return result;
    };
    assert.deepEqual(await run('process'), await run('none'));
  });

  test('that fails in one request fails that one alone', () =>
    withIsolatedScript({ throw_in: 'submit', throw_at_call: 2 }, async (llm) => {
      const [first, second, third] = await Promise.allSettled(startAll(llm, 3, () => 5));
      assert.equal(first?.status, 'fulfilled');
      assert.equal(third?.status, 'fulfilled');
      assert.ok(second?.status === 'rejected' && failsWith('ERR_INTERNAL', /in submit/)(second.reason));
    }));

  test('that fails as a whole is started again, and what it said is in the error', () =>
    withIsolatedScript({ throw_in: 'wait', throw_at_requests: 20, throw_at_call: 4, step_ms: 5 }, async (llm) => {
      const settled = await Promise.allSettled(startAll(llm, 20, () => 1000));
      for (const each of settled) {
        assert.ok(each.status === 'rejected' && failsWith('ERR_EXECUTOR_FAILED', /in wait/)(each.reason));
      }
      assert.equal((await llm.generate({ tokens: [1] }, { maxTokens: 2 })).text, lettersOf(1, 2));
    }));

  test('whose answer no memory can hold fails in that request alone', () =>
    withIsolatedScript({ endless_logits_every: 3, step_ms: 5 }, async (llm) => {
      const host = hostPid();
      await failsInEveryThird(llm);
      await failsInEveryThird(llm);
      assert.equal(hostPid(), host);
    }));

  for (const throwIn of ['create', 'describe']) {
    test(`that throws in ${throwIn} rejects the load with its words`, async () => {
      const dir = await scriptedEngine({ throw_in: throwIn });
      const loading = LLM.load(dir, { ...ISOLATED, executor: { library: SCRIPTED_LIBRARY } });
      await assert.rejects(loading, failsWith('ERR_INTERNAL', `scripted throw in ${throwIn}`));
      assert.deepEqual(hostsOf(process.pid), []);
    });
  }

  test('that throws in stats throws in stats()', () =>
    withIsolatedScript({ throw_in: 'stats' }, async (llm) => {
      assert.throws(() => llm.stats(), failsWith('ERR_INTERNAL', /in stats/));
    }));

  test('that refuses an option says which', async () => {
    const loading = LLM.load(engine, { ...ISOLATED, executor: 'cpu', kvCache: { sinkTokens: 1 } });
    await assert.rejects(loading, failsAbout('kvCache.sinkTokens', 'ERR_UNSUPPORTED'));
  });

  test('whose library is missing is refused by name', async () => {
    const loading = LLM.load(engine, { ...ISOLATED, executor: { library: '/no/such/library.so' } });
    await assert.rejects(loading, failsWith('ERR_EXECUTOR_UNAVAILABLE', '/no/such/library.so'));
  });

  test('tells its progress, and is gone when the load is given up', async () => {
    const dir = await scriptedEngine({ load_ms: 5000 });
    const stop = new AbortController();
    let told = 0;
    const onProgress = (): void => {
      told++;
      if (told > 2) stop.abort();
    };
    const options = { ...ISOLATED, executor: { library: SCRIPTED_LIBRARY }, onProgress, signal: stop.signal };
    await assert.rejects(LLM.load(dir, options), { name: 'AbortError' });
    assert.deepEqual(hostsOf(process.pid), []);
  });
});
