import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { isAbsolute } from 'node:path';
import type {
  GenerateOptions,
  LLM,
  RequestEndEvent,
  RequestFirstTokenEvent,
  RequestStartEvent,
} from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, LONG, PROMPT, started, until } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 12 } as const;

conformance([], 'info says what was loaded, in sizes that fit each other', async ({ llm }) => {
  const { info } = llm;
  assert.ok(isAbsolute(info.dir));
  for (const text of [info.executor, info.executorVersion, info.device, info.dataType, info.architecture]) {
    assert.match(text, /\S/);
  }
  const { vocabSize, maxBatchSize, maxBeamWidth, maxNumTokens, maxInputLen, tensorParallelSize } = info;
  for (const count of [vocabSize, maxBatchSize, maxBeamWidth, maxNumTokens, maxInputLen, tensorParallelSize]) {
    assert.ok(Number.isSafeInteger(count) && count > 0);
  }
  assert.ok(maxInputLen < info.maxSeqLen);
  assert.ok(vocabSize >= llm.tokenizer.vocabSize);
  assert.ok(info.endIds.length > 0 && info.endIds.every((id) => id >= 0 && id < vocabSize));
  assert.ok(Object.values(llm.capabilities).every((can) => typeof can === 'boolean'));
});

conformance([], 'usage counts the tokens, and the times of a result are in their order', async ({ llm }) => {
  const promptTokens = await llm.tokenizer.count(PROMPT);
  for (const { usage, timing, metrics } of await llm.generate([PROMPT, PROMPT, PROMPT], OPTIONS)) {
    const { cachedTokens, ...counted } = usage;
    assert.deepEqual(counted, { promptTokens, completionTokens: 12, totalTokens: promptTokens + 12 });
    assert.ok(cachedTokens >= 0 && cachedTokens < promptTokens);
    const { queueMs, timeToFirstTokenMs, totalMs } = timing;
    assert.ok(queueMs >= 0 && queueMs <= timeToFirstTokenMs && timeToFirstTokenMs <= totalMs, JSON.stringify(timing));
    assert.ok(metrics && metrics.timeToLastTokenMs <= totalMs, JSON.stringify(metrics));
  }
});

conformance([], 'queueMs is the time a request waited for its place', async ({ load }) => {
  const llm = await load({ maxBatchSize: 1 });
  const tokens = await llm.tokenizer.encode(PROMPT);
  for (;;) {
    const first = llm.stream({ tokens }, { ...OPTIONS, maxTokens: 1000 });
    const chunks = first[Symbol.asyncIterator]();
    await chunks.next();
    const second = llm.stream({ tokens }, OPTIONS);
    llm.stats(); // an executor in another process has the request when it answers
    const submitted = performance.now();
    await chunks.next();
    const waitedMs = performance.now() - submitted;
    first.abort();
    const { timing } = await second.result;
    if ((await first.result).finishReason !== 'cancelled') continue; // on a busy machine it may end before the second is there
    assert.ok(timing.queueMs >= waitedMs, `${timing.queueMs} ms, but it waited ${waitedMs}`);
    return;
  }
});

conformance([], 'stats() counts what runs and waits, the steps, and the requests that are done', async ({ load }) => {
  const llm = await load({ maxBatchSize: 2 });
  const before = llm.stats();
  assert.deepEqual([before.activeRequests, before.queuedRequests, before.completedRequests], [0, 0, 0]);
  const tokens = await llm.tokenizer.encode(PROMPT);
  const running = [1, 2, 3, 4, 5].map(() => llm.stream({ tokens }, LONG));
  await Promise.all(running.slice(0, 2).map(started));
  const busy = llm.stats();
  assert.deepEqual([busy.activeRequests, busy.queuedRequests], [2, 3]);
  assert.ok(busy.steps > before.steps && busy.kvBlocksUsed <= busy.kvBlocks);
  for (const each of running) each.abort();
  await llm.generate(PROMPT, OPTIONS);
  const after = llm.stats();
  assert.deepEqual([after.activeRequests, after.queuedRequests, after.completedRequests], [0, 0, 6]);
  assert.ok(after.steps > busy.steps);
  assert.equal(after.unknownRows, 0);
});

conformance(
  ['a model'],
  'stats() says what stands in numbers that fit each other, and with requestStats of each request',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 2, requestStats: true });
    const tokens = await llm.tokenizer.encode(PROMPT);
    const running = [1, 2, 3].map(() => llm.stream({ tokens }, LONG));
    const readers = await Promise.all(running.slice(0, 2).map(started));
    for (const reader of readers) await reader.next();
    const stats = llm.stats();
    const { requests, ...numbers } = stats;
    for (const [name, value] of Object.entries(numbers))
      assert.ok(Number.isFinite(value) && value >= 0, `${name}: ${value}`);
    assert.equal(stats.startedRequests, 2);
    assert.equal(stats.kvBlocksFree + stats.kvBlocksUsed, stats.kvBlocks);
    assert.ok(stats.kvBlocksAllocatedNew <= stats.kvBlocksAllocated && stats.kvCacheHitRate <= 1);
    assert.ok(stats.scheduledRequests <= stats.maxActiveRequests && stats.maxBatchSize <= 2);
    assert.ok(stats.generationRequests + stats.contextRequests >= stats.scheduledRequests);
    for (const generation of running.slice(0, 2)) {
      const request = requests.find(({ id }) => id === generation.id);
      assert.equal(request?.stage, 'generation', JSON.stringify(requests));
      assert.ok(request.generatedTokens > 0 && request.promptTokensComputed === tokens.length, JSON.stringify(request));
    }
    for (const each of running) each.abort();
    await until(() => llm.stats().activeRequests === 0 && llm.stats().queuedRequests === 0);
    assert.deepEqual(llm.stats().requests, []);
  },
);

conformance([], 'stats() has counted the step whose tokens are here', async ({ llm }) => {
  let { steps } = llm.stats();
  for (let request = 0; request < 20; request++) {
    for await (const _ of llm.stream(PROMPT, OPTIONS)) {
      steps++; // each chunk is of one step, or of several
      assert.ok(llm.stats().steps >= steps, `${llm.stats().steps} steps, and a chunk of step ${steps}`);
    }
  }
});

conformance(
  [],
  'the event loop is woken no more often than there are steps, however many requests run',
  async ({ llm }) => {
    const before = llm.stats();
    await llm.generate(Array(32).fill(PROMPT), OPTIONS);
    const after = llm.stats();
    const steps = after.steps - before.steps;
    assert.ok(after.wakeups - before.wakeups <= steps, `${after.wakeups - before.wakeups} times in ${steps} steps`);
  },
);

interface Events {
  start: RequestStartEvent[];
  'first-token': RequestFirstTokenEvent[];
  end: RequestEndEvent[];
}

/** What is published while `during` runs, and what that gives. */
async function published<Given>(during: () => Promise<Given>): Promise<Events & { given: Given }> {
  const events: Events = { start: [], 'first-token': [], end: [] };
  const listeners = Object.entries(events).map(([name, list]) => {
    const listener = (event: unknown): void => void (list as unknown[]).push(event);
    return [`node-tensorrt-llm:request:${name}`, listener] as const;
  });
  for (const [name, listener] of listeners) subscribe(name, listener);
  try {
    return { ...events, given: await during() };
  } finally {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
  }
}

conformance([], 'diagnostics_channel tells the start, the first token and the end of a request', async ({ llm }) => {
  const {
    start,
    'first-token': first,
    end,
    given,
  } = await published(async () => {
    const generation = llm.stream(PROMPT, OPTIONS);
    return { requestId: generation.id, result: await generation.result };
  });
  const { requestId, result } = given;
  const { usage, timing } = result;
  const { sessionId } = llm.handle;
  const { dir, executor } = llm.info;
  const options = {
    maxTokens: 12,
    n: 1,
    temperature: 0,
    topK: undefined,
    topP: undefined,
    seed: undefined,
    presencePenalty: 0,
    frequencyPenalty: 0,
    stop: [],
  };
  assert.deepEqual(start, [{ requestId, sessionId, dir, executor, input: 'text', options }]);
  assert.deepEqual(first, [{ requestId, timeToFirstTokenMs: timing.timeToFirstTokenMs }]);
  assert.deepEqual(end, [{ requestId, finishReason: 'length', usage, timing, error: undefined }]);
});

const ends: Readonly<Record<string, (llm: LLM) => Promise<unknown>>> = {
  'an invalid request': (llm) => llm.generate('').catch(() => {}),
  'one aborted by abort()': (llm) => follow(llm.stream(PROMPT, LONG), () => 'leave'),
  'one aborted by a signal': (llm) => llm.generate(PROMPT, { signal: AbortSignal.abort('no') }).catch(() => {}),
  'one that timed out': (llm) => llm.generate(PROMPT, { ...LONG, timeoutMs: 5 }),
};
for (const [what, run] of Object.entries(ends)) {
  conformance([], `diagnostics_channel tells one start and one end of ${what}, with one id`, async ({ llm }) => {
    const { start, end } = await published(() => run(llm));
    assert.equal(start.length, 1);
    assert.deepEqual(
      end.map(({ requestId }) => requestId),
      start.map(({ requestId }) => requestId),
    );
    const { finishReason, error } = end[0] as RequestEndEvent;
    assert.equal(finishReason === undefined, error !== undefined);
  });
}

conformance([], "each event comes in its request's async context", async ({ llm }) => {
  const storage = new AsyncLocalStorage<string>();
  const seen: string[] = [];
  const listeners = ['start', 'first-token', 'end'].map((name) => {
    const listener = (): void => void seen.push(`${storage.getStore()} ${name}`);
    return [`node-tensorrt-llm:request:${name}`, listener] as const;
  });
  for (const [name, listener] of listeners) subscribe(name, listener);
  try {
    const run = (name: string, options: GenerateOptions) => storage.run(name, () => llm.generate(PROMPT, options));
    await Promise.all([
      run('short', { ...GREEDY, maxTokens: 2 }),
      run('long', { ...GREEDY, maxTokens: 9 }),
      run('timed out', { ...LONG, timeoutMs: 5 }),
      assert.rejects(run('invalid', { maxTokens: -1 })),
    ]);
  } finally {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
  }
  const expected = ['short', 'long'].flatMap((name) =>
    ['start', 'first-token', 'end'].map((event) => `${name} ${event}`),
  );
  for (const name of ['timed out', 'invalid']) expected.push(`${name} start`, `${name} end`);
  // Its time may be over before the first token.
  assert.deepEqual(seen.filter((each) => each !== 'timed out first-token').sort(), expected.sort());
});

conformance([], 'stats() of a closed LLM throws ERR_CLOSED, and info can still be read', async ({ load }) => {
  const llm = await load();
  await llm.close();
  assert.throws(() => llm.stats(), failsWith('ERR_CLOSED'));
  assert.ok(llm.info.vocabSize > 0);
});
