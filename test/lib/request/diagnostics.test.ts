import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { LLM, type RequestEndEvent, type RequestFirstTokenEvent, type RequestStartEvent } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';

type Seen =
  | ({ name: 'start' } & RequestStartEvent)
  | ({ name: 'first-token' } & RequestFirstTokenEvent)
  | ({ name: 'end' } & RequestEndEvent);

describe('the events of a request', () => {
  let llm: LLM;
  let seen: Seen[];
  const channels = (['start', 'first-token', 'end'] as const).map((name) => ({
    channel: `node-tensorrt-llm:request:${name}`,
    listener: (event: unknown) => void seen.push({ name, ...(event as object) } as Seen),
  }));
  const names = (): string[] => seen.map(({ name }) => name);
  const endEvent = (): RequestEndEvent => {
    const last = seen.at(-1);
    assert.equal(last?.name, 'end');
    return last as RequestEndEvent;
  };

  before(async () => {
    llm = await LLM.load(await scriptedEngine({ step_ms: 1, fail_every: 5 }), {
      executor: { library: SCRIPTED_LIBRARY },
    });
  });
  after(() => llm.close());
  beforeEach(() => {
    seen = [];
    for (const { channel, listener } of channels) subscribe(channel, listener);
  });
  afterEach(() => {
    for (const { channel, listener } of channels) unsubscribe(channel, listener);
  });

  test('are start, first token and end, each once, with what its result says', async () => {
    const generation = llm.stream({ tokens: [0] }, { maxTokens: 10 });
    const [start] = seen;
    assert.ok(seen.length === 1 && start?.name === 'start');
    assert.deepEqual(
      [start.requestId, start.sessionId, start.dir, start.executor, start.input, start.options?.maxTokens],
      [generation.id, llm.handle.sessionId, llm.info.dir, 'scripted', 'tokens', 10],
    );
    const { usage, timing } = await generation.result;
    assert.deepEqual(names(), ['start', 'first-token', 'end']);
    assert.deepEqual(seen[1], {
      name: 'first-token',
      requestId: generation.id,
      timeToFirstTokenMs: timing.timeToFirstTokenMs,
    });
    assert.deepEqual(seen[2], {
      name: 'end',
      requestId: generation.id,
      finishReason: 'length',
      usage,
      timing,
      error: undefined,
    });
  });

  test('have no first token where the request was aborted before, and the end has the reason', async () => {
    const reason = new Error('mine');
    await assert.rejects(
      llm.generate({ tokens: [0] }, { signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );
    assert.deepEqual(names(), ['start', 'end']);
    assert.equal(endEvent().error, reason);
    assert.equal(endEvent().finishReason, undefined);
  });

  test('end with cancelled where the loop was left', async () => {
    for await (const _ of llm.stream({ tokens: [0] }, { maxTokens: 100_000 })) break;
    assert.deepEqual(names(), ['start', 'first-token', 'end']);
    assert.equal(endEvent().finishReason, 'cancelled');
  });

  test('end with the error of a request that failed, and the usage of what it had', async () => {
    const settled = await Promise.allSettled(
      Array.from({ length: 5 }, () => llm.generate({ tokens: [0] }, { maxTokens: 20 })),
    );
    const failed = settled.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    const end = seen.find((event) => event.name === 'end' && event.error !== undefined) as RequestEndEvent;
    assert.equal(end.error, failed.reason);
    assert.equal(end.usage.completionTokens, 1);
    assert.equal(end.finishReason, undefined);
  });

  test('count the tokens of a request that its signal aborted', async () => {
    const controller = new AbortController();
    const generation = llm.stream({ tokens: [0, 1] }, { maxTokens: 100_000, signal: controller.signal });
    let read = 0;
    await assert.rejects(async () => {
      for await (const { tokens } of generation) {
        read += tokens.length;
        controller.abort();
      }
    });
    const { usage, timing } = endEvent();
    assert.deepEqual([usage.promptTokens, usage.completionTokens >= read && read > 0], [2, true]);
    assert.ok(timing.totalMs >= timing.timeToFirstTokenMs && timing.timeToFirstTokenMs > 0);
  });

  test('are start and end of one that was refused', async () => {
    const generation = llm.stream({ tokens: [0] }, { topK: -2 });
    await assert.rejects(generation.result, failsWith('ERR_INVALID_OPTION', /topK/));
    assert.deepEqual(names(), ['start', 'end']);
    assert.ok(failsWith('ERR_INVALID_OPTION')(endEvent().error));
    assert.equal(endEvent().requestId, generation.id);
    assert.equal(endEvent().usage.totalTokens, 0);
    assert.ok(seen[0]?.name === 'start' && seen[0].options === undefined && seen[0].input === undefined);
  });
});
