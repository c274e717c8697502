import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import { type Generation, LLM, type Result } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { lettersOf, withScript } from '../../tools/scripted.js';

const SLOW = { step_ms: 1 };
const LONG = { maxTokens: 100_000 };
const executor = { library: SCRIPTED_LIBRARY };

async function whileSubscribed<Value>(
  channel: 'start' | 'first-token' | 'end',
  listener: (requestId: number) => void,
  run: () => Promise<Value>,
): Promise<Value> {
  const name = `node-tensorrt-llm:request:${channel}`;
  const onEvent = (event: unknown): void => listener((event as { requestId: number }).requestId);
  subscribe(name, onEvent);
  try {
    return await run();
  } finally {
    unsubscribe(name, onEvent);
  }
}

describe('inside for await', () => {
  test('close() ends the loop with ERR_CLOSED', () =>
    withScript(SLOW, async (llm) => {
      const loop = async (): Promise<void> => {
        for await (const _ of llm.stream({ tokens: [0] }, LONG)) await llm.close();
      };
      await assert.rejects(loop(), failsWith('ERR_CLOSED'));
    }));

  test('close() that is not awaited ends the loop with ERR_CLOSED', () =>
    withScript(SLOW, async (llm) => {
      const loop = async (): Promise<void> => {
        for await (const _ of llm.stream({ tokens: [0] }, LONG)) void llm.close();
      };
      await assert.rejects(loop(), failsWith('ERR_CLOSED'));
    }));

  test('generate() runs beside it', () =>
    withScript(SLOW, async (llm) => {
      let text = '';
      for await (const chunk of llm.stream({ tokens: [0] }, { maxTokens: 10 })) {
        text += chunk.text;
        assert.equal((await llm.generate({ tokens: [3] }, { maxTokens: 4 })).text, 'defg');
      }
      assert.equal(text, lettersOf(0, 10));
    }));
});

describe('inside an abort listener', () => {
  // Listeners run in the order they were added: one of the user's before and one after that of the requests.
  for (const when of ['before', 'after']) {
    test(`added ${when} the request, stream() starts a request that runs, but not on the aborted signal`, () =>
      withScript(SLOW, async (llm) => {
        const controller = new AbortController();
        const { signal } = controller;
        let inner: Promise<Result> | undefined;
        let innerAborted: Promise<Result> | undefined;
        const listen = (): void =>
          signal.addEventListener('abort', () => {
            inner = llm.stream({ tokens: [0] }, { maxTokens: 3 }).result;
            innerAborted = llm.stream({ tokens: [0] }, { maxTokens: 3, signal }).result;
          });
        if (when === 'before') listen();
        const outer = llm.stream({ tokens: [0] }, { ...LONG, signal });
        if (when === 'after') listen();
        const reading = outer[Symbol.asyncIterator]().next();
        await reading;
        controller.abort('mine');
        await assert.rejects(outer.result, (reason) => reason === 'mine');
        await assert.rejects(innerAborted as Promise<Result>, (reason) => reason === 'mine');
        assert.equal((await inner)?.text, 'abc');
      }));
  }

  test('close() closes', () =>
    withScript(SLOW, async (llm) => {
      const controller = new AbortController();
      controller.signal.addEventListener('abort', () => void llm.close());
      const running = llm.generate({ tokens: [0] }, { ...LONG, signal: controller.signal });
      controller.abort('mine');
      await assert.rejects(running, failsWith('ERR_CLOSED'));
      await assert.rejects(llm.generate({ tokens: [0] }), failsWith('ERR_CLOSED'));
    }));
});

describe('inside a diagnostics_channel subscriber', () => {
  test('abort() at the first token ends the request as cancelled', () =>
    withScript(SLOW, async (llm) => {
      const generations = Array.from({ length: 8 }, (_, i) => llm.stream({ tokens: [i] }, LONG));
      const byId = new Map(generations.map((generation) => [generation.id, generation]));
      const results = await whileSubscribed(
        'first-token',
        (id) => byId.get(id)?.abort(),
        () => Promise.all(generations.map(({ result }) => result)),
      );
      for (const { finishReason } of results) assert.equal(finishReason, 'cancelled');
    }));

  test('abort() of another at the first token leaves the others whole', () =>
    withScript(SLOW, async (llm) => {
      const other = llm.stream({ tokens: [0] }, LONG);
      const results = await whileSubscribed(
        'first-token',
        () => other.abort(),
        () => Promise.all(Array.from({ length: 8 }, (_, i) => llm.generate({ tokens: [i] }, { maxTokens: 20 }))),
      );
      for (const [i, { text }] of results.entries()) assert.equal(text, lettersOf(i, 20));
      assert.equal((await other.result).finishReason, 'cancelled');
    }));

  for (const channel of ['start', 'first-token', 'end'] as const) {
    test(`close() at ${channel} closes, and the request ends`, () =>
      withScript(SLOW, async (llm) => {
        const settled = await whileSubscribed(
          channel,
          () => void llm.close(),
          () => Promise.allSettled([llm.generate({ tokens: [0] }, { maxTokens: 2 })]),
        );
        const [{ status }] = settled;
        assert.equal(status, channel === 'end' ? 'fulfilled' : 'rejected');
        if (settled[0].status === 'rejected') assert.ok(failsWith('ERR_CLOSED')(settled[0].reason));
      }));
  }

  test('stream() at the end starts another, a hundred times over', () =>
    withScript({}, async (llm) => {
      let last: Generation | undefined;
      let count = 0;
      const start = (): void => {
        if (count++ < 100) last = llm.stream({ tokens: [count] }, { maxTokens: 2 });
      };
      await whileSubscribed('end', start, async () => {
        start();
        while (count <= 100) await last?.result;
      });
      assert.equal((await last?.result)?.text, lettersOf(100, 2));
    }));
});

describe('inside a callback of load', () => {
  test('close() of another LLM closes it, and the load goes on', async () => {
    for (const callback of ['onProgress', 'logger'] as const) {
      const other = await LLM.load(await scriptedEngine(SLOW), { executor });
      const running = other.generate({ tokens: [0] }, LONG);
      const rejected = assert.rejects(running, failsWith('ERR_CLOSED'));
      const close = (): void => void other.close();
      const llm =
        callback === 'onProgress'
          ? await LLM.load(await tinyEngine(), { onProgress: close })
          : await LLM.load(await scriptedEngine({ log: true }), {
              executor,
              logger: { error: close, warn: close, info: close, debug: close },
            });
      await rejected;
      assert.equal((await llm.generate({ tokens: [0] }, { maxTokens: 2 })).usage.completionTokens, 2);
      await llm.close();
    }
  });

  test('close() of the same LLM, in the logger at its last line, changes nothing', async () => {
    let llm: LLM | undefined;
    const close = (): void => void llm?.close();
    const logger = { error: close, warn: close, info: close, debug: close };
    llm = await LLM.load(await scriptedEngine({ log: true }), { executor, logger });
    await llm.close();
    await assert.rejects(llm.generate({ tokens: [0] }), failsWith('ERR_CLOSED'));
  });
});
