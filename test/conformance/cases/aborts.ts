import assert from 'node:assert/strict';
import type { Generation } from 'node-tensorrt-llm';
import { follow, GREEDY, idle, LONG, PROMPT, readWhole, started, textOf } from '../requests.js';
import { conformance } from '../suite.js';

// An AbortSignal and abort(reason) throw the reason to both readers; abort(), leaving the loop and dispose end the request in peace.

conformance([], 'a signal that aborted before the call throws its reason to both readers', async ({ llm }) => {
  const reason = new Error('never');
  const { chunks, thrown, rejected } = await follow(llm.stream(PROMPT, { signal: AbortSignal.abort(reason) }));
  assert.deepEqual([chunks.length, thrown === reason, rejected === reason], [0, true, true]);
});

conformance([], 'a signal that aborts before the first token throws its reason to both readers', async ({ llm }) => {
  const controller = new AbortController();
  const generation = llm.stream(PROMPT, { ...LONG, signal: controller.signal });
  controller.abort('a reason may be any value');
  const { chunks, thrown, rejected } = await follow(generation);
  assert.deepEqual([chunks, thrown, rejected], [[], 'a reason may be any value', 'a reason may be any value']);
});

conformance(
  [],
  'a signal that aborts inside the loop throws its reason to both readers, after what was read',
  async ({ llm }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const { chunks, thrown, rejected } = await follow(llm.stream(PROMPT, { ...LONG, signal }), () =>
      controller.abort(),
    );
    assert.equal(chunks.length, 1);
    assert.equal(thrown, signal.reason);
    assert.equal(rejected, signal.reason);
    assert.equal((thrown as DOMException).name, 'AbortError');
  },
);

conformance([], 'a signal that aborts after the end changes nothing', async ({ llm }) => {
  const controller = new AbortController();
  const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4, signal: controller.signal });
  const { text } = await generation.result;
  controller.abort();
  const { chunks, result } = await readWhole(generation);
  assert.deepEqual([textOf(chunks), result.finishReason], [text, 'length']);
});

conformance([], 'one signal ends all requests that share it, and no other', async ({ llm }) => {
  const controller = new AbortController();
  const running = [1, 2, 3].map(() => llm.generate(PROMPT, { ...LONG, signal: controller.signal }));
  const other = llm.generate(PROMPT, { ...GREEDY, maxTokens: 20 });
  await started(llm.stream(PROMPT, { ...GREEDY, maxTokens: 2 }));
  controller.abort('all');
  const settled = await Promise.allSettled(running);
  assert.deepEqual(settled, Array(3).fill({ status: 'rejected', reason: 'all' }));
  assert.equal((await other).usage.completionTokens, 20);
});

conformance([], 'abort(reason) throws the reason to both readers, as a signal does', async ({ llm }) => {
  const reason = new Error('mine');
  const generation = llm.stream(PROMPT, LONG);
  const { chunks, thrown, rejected } = await follow(generation, () => generation.abort(reason));
  assert.deepEqual([chunks.length, thrown === reason, rejected === reason], [1, true, true]);
});

/** What ends a request that runs; one chunk was read. */
const cancels: Readonly<Record<string, (generation: Generation) => Promise<unknown>>> = {
  'abort() inside the loop': (generation) => follow(generation, () => generation.abort()),
  'leaving the loop': (generation) => follow(generation, () => 'leave'),
  'dispose inside the loop': (generation) => follow(generation, () => generation[Symbol.asyncDispose]()),
  'cancelling its web stream': async (generation) => {
    const reader = generation.toReadableStream().getReader();
    await reader.read();
    await reader.cancel();
  },
  'leaving the loop over its textStream': async (generation) => {
    for await (const _ of generation.textStream) return;
  },
};
for (const [what, cancel] of Object.entries(cancels)) {
  conformance(
    [],
    `${what} ends the request without a throw, and the result is what there is, "cancelled"`,
    async ({ llm }) => {
      const generation = llm.stream(PROMPT, LONG);
      await cancel(generation);
      const { finishReason, outputs, usage, text } = await generation.result;
      assert.equal(finishReason, 'cancelled');
      assert.equal(outputs[0]?.tokens.length, usage.completionTokens);
      assert.ok(usage.completionTokens > 0);
      const whole = await llm.generate(PROMPT, { ...GREEDY, maxTokens: usage.completionTokens });
      assert.ok(whole.text.startsWith(text), 'the text is that of the whole request, cut off');
      await idle(llm);
    },
  );
}

conformance([], 'after abort() inside the loop the iterator gives no further chunk', async ({ llm }) => {
  const generation = llm.stream(PROMPT, LONG);
  const { chunks, result } = await readWhole(generation, () => generation.abort());
  assert.equal(chunks.length, 1);
  assert.ok(result.text.startsWith(textOf(chunks)));
});

conformance(
  [],
  'abort() before the first token gives an iterator with no chunks and an empty result',
  async ({ llm }) => {
    const generation = llm.stream(PROMPT, LONG);
    generation.abort();
    const { chunks, result } = await readWhole(generation);
    assert.deepEqual([chunks.length, result.text, result.finishReason], [0, '', 'cancelled']);
  },
);

conformance([], 'abort() after the end, and again, changes nothing', async ({ llm }) => {
  const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4 });
  const { text } = await generation.result;
  generation.abort();
  generation.abort();
  const { chunks, result } = await readWhole(generation);
  assert.deepEqual([textOf(chunks), result.finishReason], [text, 'length']);
});

conformance([], 'abort() ends a next() that waits', async ({ llm }) => {
  const generation = llm.stream(PROMPT, LONG);
  const waiting = generation[Symbol.asyncIterator]().next();
  generation.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

conformance([], 'an aborted request gives its place back within two steps', async ({ llm }) => {
  const generation = llm.stream(PROMPT, LONG);
  await started(generation);
  generation.abort();
  const { steps } = llm.stats();
  await idle(llm); // it makes no steps then
  assert.ok(llm.stats().steps - steps <= 2, `${llm.stats().steps - steps} steps after the abort`);
});
