import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LLM, type LLMHandle } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { AttachedWork } from '../attached-worker.js';
import type { Work } from '../programs/unclosed.js';
import { GREEDY, LONG, PROMPT, started, tokensOf, until } from '../requests.js';
import { conformance } from '../suite.js';

const SHORT = { ...GREEDY, maxTokens: 8 } as const;

conformance([], 'close() gives one promise however often it is called', async ({ load }) => {
  const llm = await load();
  const closing = llm.close();
  assert.equal(llm.close({ drainMs: 5 }), closing);
  assert.equal(llm[Symbol.asyncDispose](), closing);
  await closing;
});

conformance(
  [],
  'close() with drainMs lets what runs and what waits finish, and takes nothing new',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 1 });
    const running = llm.generate([PROMPT, PROMPT, PROMPT], SHORT);
    const closing = llm.close({ drainMs: 600_000 });
    await assert.rejects(llm.generate(PROMPT), failsWith('ERR_CLOSED'));
    for (const { finishReason } of await running) assert.equal(finishReason, 'length');
    await closing;
  },
);

conformance([], 'close() ends what has not finished within drainMs with ERR_CLOSED', async ({ load }) => {
  const llm = await load();
  const generation = llm.stream(PROMPT, LONG);
  await started(generation);
  await llm.close({ drainMs: 5 });
  await assert.rejects(generation.result, failsWith('ERR_CLOSED'));
});

conformance([], 'close() with a wrong option rejects and closes nothing', async ({ load }) => {
  const llm = await load();
  await assert.rejects(llm.close({ drainMs: -1 }), failsWith('ERR_INVALID_OPTION', 'drainMs is -1'));
  await assert.rejects(llm.close({ drain: 1 } as object), failsWith('ERR_INVALID_OPTION', 'drain'));
  assert.equal((await llm.generate(PROMPT, SHORT)).finishReason, 'length');
});

conformance([], 'two loads of one engine run side by side, and closing one leaves the other', async ({ llm, load }) => {
  const other = await load();
  const [here, there] = await Promise.all([llm.generate(PROMPT, SHORT), other.generate(PROMPT, SHORT)]);
  assert.deepEqual(tokensOf(there), tokensOf(here));
  await other.close();
  assert.deepEqual(tokensOf(await llm.generate(PROMPT, SHORT)), tokensOf(here));
});

const wrongLoads: readonly [options: object, ...named: string[]][] = [
  [{ thread: 1 }, 'Unknown option "thread"'],
  [{ maxSeqLen: 1 }, 'maxSeqLen is 1'],
  [{ maxQueueSize: 0 }, 'maxQueueSize is 0'],
  [{ signal: {} }, 'AbortSignal'],
  [{ onProgress: 1 }, 'a function'],
  [{ logger: { info() {} } }, 'error, warn, info and debug'],
];
conformance([], 'LLM.load with a wrong option rejects with ERR_INVALID_OPTION that names it', async ({ load }) => {
  for (const [options, ...named] of wrongLoads) {
    await assert.rejects(load(options), failsWith('ERR_INVALID_OPTION', ...named));
  }
});

conformance(
  [],
  'LLM.load rejects with the reason of a signal that aborts, before it or during it',
  async ({ load }) => {
    const reason = new Error('not now');
    const isReason = (error: unknown): boolean => error === reason;
    await assert.rejects(load({ signal: AbortSignal.abort(reason) }), isReason);
    const controller = new AbortController();
    const loading = load({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(loading, isReason);
  },
);

conformance([], 'an attached LLM runs on the same engine, and outlives the one it came from', async ({ load }) => {
  const llm = await load();
  const expected = tokensOf(await llm.generate(PROMPT, SHORT));
  const attached = LLM.attach(structuredClone(llm.handle));
  try {
    assert.deepEqual([attached.info, attached.capabilities], [llm.info, llm.capabilities]);
    assert.ok(attached.stats().steps > 0, 'the steps of the other LLM');
    const generation = llm.stream(PROMPT, LONG);
    await started(generation);
    await llm.close();
    await assert.rejects(generation.result, failsWith('ERR_CLOSED'));
    assert.deepEqual(tokensOf(await attached.generate(PROMPT, SHORT)), expected);
  } finally {
    await attached.close();
  }
  assert.throws(() => LLM.attach(llm.handle), failsWith('ERR_CLOSED'));
});

conformance(
  [],
  'LLM.attach refuses what is no handle, and one of another process, with ERR_INVALID_INPUT',
  async ({ llm }) => {
    for (const none of [undefined, null, 3, {}]) {
      assert.throws(() => LLM.attach(none as unknown as LLMHandle), failsWith('ERR_INVALID_INPUT'));
    }
    const foreign = { ...llm.handle, processId: 1 };
    assert.throws(() => LLM.attach(foreign), failsWith('ERR_INVALID_INPUT', 'process 1'));
  },
);

const attachedWorker = (work: AttachedWork): Worker =>
  new Worker(new URL('../attached-worker.js', import.meta.url), { workerData: work });

conformance(
  [],
  'workers attached to one engine get their own text, while this thread gets its own',
  async ({ llm }) => {
    const prompts = ['a worker', 'another worker'];
    const expected = (await llm.generate([...prompts, PROMPT], SHORT)).map(({ text }) => text);
    const workers = prompts.map(async (prompt) => {
      const worker = attachedWorker({ handle: llm.handle, prompt, options: SHORT });
      let text = '';
      worker.on('message', (piece) => {
        text += piece;
      });
      assert.deepEqual(await once(worker, 'exit'), [0]);
      return text;
    });
    const here = await llm.generate(PROMPT, SHORT);
    assert.deepEqual([...(await Promise.all(workers)), here.text], expected);
  },
);

conformance([], 'a worker that is terminated ends its requests, and this thread runs on', async ({ llm }) => {
  const worker = attachedWorker({ handle: llm.handle, prompt: PROMPT, options: LONG });
  await once(worker, 'message');
  const running = llm.stream(PROMPT, LONG);
  const reader = await started(running);
  await worker.terminate();
  await until(() => llm.stats().activeRequests === 1);
  assert.equal((await reader.next()).done, false);
  running.abort();
});

/** Asserts that the process of a program that closes nothing ends by itself, and what it told. */
async function endsUnclosed(work: Work, told: unknown): Promise<void> {
  ends(await runProgram(new URL('../programs/unclosed.js', import.meta.url), work), { status: 0, told: [told] });
}

conformance([], 'an idle LLM that nobody closed keeps no process alive', ({ loadArguments }) =>
  endsUnclosed({ loadArguments, what: 'idle' }, 'done'),
);

conformance([], 'a request that runs keeps the process alive to its end', ({ loadArguments }) =>
  endsUnclosed({ loadArguments, what: 'running' }, 30),
);

conformance([], 'the time limits of requests that have ended keep no process alive', ({ loadArguments }) =>
  endsUnclosed({ loadArguments, what: 'limits of what has ended' }, 'done'),
);
