import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, LONG, onlyOutput, PROMPT, readWhole, started, textOf } from '../requests.js';
import { conformance } from '../suite.js';

conformance(
  [],
  'timeoutMs ends a request with "timeout" in its last chunk, and the result is what there is',
  async ({ llm }) => {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...LONG, timeoutMs: 30 }));
    assert.equal(chunks.at(-1)?.finishReason, 'timeout');
    assert.ok(chunks.slice(0, -1).every(({ finishReason }) => finishReason === undefined));
    assert.deepEqual([result.finishReason, result.text], ['timeout', textOf(chunks)]);
  },
);

conformance(
  [],
  'timeoutMs counts from the call: a request that waits for a place ends too, with nothing',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 1 });
    const running = llm.stream(PROMPT, LONG);
    await started(running);
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...GREEDY, timeoutMs: 20 }));
    assert.deepEqual(
      chunks.map(({ text, tokens, finishReason }) => [text, tokens.length, finishReason]),
      [['', 0, 'timeout']],
    );
    assert.deepEqual([result.text, result.usage.completionTokens, result.finishReason], ['', 0, 'timeout']);
    assert.equal(llm.stats().activeRequests, 1);
    running.abort();
  },
);

conformance(
  [],
  'with llm.capabilities.timeout the executor ends a request at timeoutMs by itself, though the event loop is busy',
  async ({ llm }) => {
    if (!llm.capabilities.timeout) return;
    for (let timeoutMs = 30; ; timeoutMs *= 2) {
      const generation = llm.stream(PROMPT, { ...LONG, timeoutMs });
      const first = await generation[Symbol.asyncIterator]().next();
      if (first.done || first.value.finishReason) continue; // on a slow machine it was over before it began
      while (llm.stats().activeRequests > 0); // no turn of the event loop, so no timer of Node.js
      const { text, finishReason, usage } = await generation.result;
      assert.equal(finishReason, 'timeout');
      assert.ok(text.length > 0 && usage.completionTokens > 0);
      return;
    }
  },
);

conformance(
  [],
  'queueTimeoutMs rejects a request that has no place by then with ERR_QUEUE_TIMEOUT, and the one before it runs on',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 1 });
    const running = llm.stream(PROMPT, LONG);
    const reader = await started(running);
    const generation = llm.stream(PROMPT, { ...GREEDY, queueTimeoutMs: 20 });
    const { chunks, thrown, rejected } = await follow(generation);
    assert.ok(failsWith('ERR_QUEUE_TIMEOUT', '20 ms')(thrown));
    assert.equal(rejected, thrown);
    assert.equal((thrown as { requestId?: number }).requestId, generation.id);
    assert.equal(chunks.length, 0);
    assert.equal((await reader.next()).done, false);
    running.abort();
  },
);

conformance([], 'queueTimeoutMs does nothing to a request that has started', async ({ llm }) => {
  mock.timers.enable({ apis: ['setTimeout'] }); // so that its time passes, whatever the clock says
  try {
    const generation = llm.stream(PROMPT, { ...LONG, queueTimeoutMs: 1000 });
    const reader = await started(generation);
    mock.timers.tick(1000);
    assert.equal((await reader.next()).done, false);
    generation.abort();
    assert.equal(onlyOutput(await generation.result).finishReason, 'cancelled');
  } finally {
    mock.timers.reset();
  }
});
