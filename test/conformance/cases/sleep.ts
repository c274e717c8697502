import assert from 'node:assert/strict';
import { LLM } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { GREEDY, LONG, PROMPT, started, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const SHORT = { ...GREEDY, maxTokens: 8 } as const;

conformance(
  [],
  'after sleep() and wake() an LLM gives the same tokens, under the same handle; in between requests fail with ERR_ASLEEP',
  async ({ load }) => {
    const llm = await load();
    const { handle } = llm;
    const expected = tokensOf(await llm.generate(PROMPT, SHORT));
    await llm.sleep();
    assert.equal(llm.isAsleep, true);
    const generation = llm.stream(PROMPT, SHORT);
    await assert.rejects(generation.result, (error) => {
      failsWith('ERR_ASLEEP', 'llm.wake()')(error);
      return (error as { requestId?: number }).requestId === generation.id;
    });
    assert.throws(() => llm.stats(), failsWith('ERR_ASLEEP'));
    assert.throws(() => LLM.attach(handle), failsWith('ERR_CLOSED', 'asleep'));
    assert.ok((await llm.tokenizer.count(PROMPT)) > 0, 'the tokenizer stays');
    await llm.wake();
    assert.equal(llm.isAsleep, false);
    assert.deepEqual(tokensOf(await llm.generate(PROMPT, SHORT)), expected);
    assert.equal(llm.handle, handle);
    assert.equal(llm.stats().completedRequests, 1, 'counters start at the load of the executor');
    const attached = LLM.attach(structuredClone(handle));
    assert.deepEqual(tokensOf(await attached.generate(PROMPT, SHORT)), expected);
    await assert.rejects(attached.sleep(), failsWith('ERR_UNSUPPORTED', 'attached'));
    await assert.rejects(attached.wake(), failsWith('ERR_UNSUPPORTED', 'wake() of that one'));
    await attached.close();
  },
);

conformance(
  [],
  'sleep() lets what runs and what waits finish and refuses the rest; with drainMs it ends what has not finished with ERR_ASLEEP',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 1 });
    const running = llm.generate([PROMPT, PROMPT], SHORT);
    const sleeping = llm.sleep();
    await assert.rejects(llm.generate(PROMPT, SHORT), failsWith('ERR_ASLEEP'));
    for (const { finishReason } of await running) assert.equal(finishReason, 'length');
    await Promise.all([sleeping, llm.sleep()]);
    await Promise.all([llm.wake(), llm.wake()]);
    const long = llm.stream(PROMPT, LONG);
    await started(long);
    await llm.sleep({ drainMs: 5 });
    await assert.rejects(long.result, failsWith('ERR_ASLEEP', 'drainMs'));
  },
);

conformance([], 'close() ends a sleep, and a closed LLM neither sleeps nor wakes: ERR_CLOSED', async ({ load }) => {
  const llm = await load();
  const long = llm.stream(PROMPT, LONG);
  await started(long);
  const sleeping = llm.sleep();
  const waking = assert.rejects(llm.wake(), failsWith('ERR_CLOSED'));
  await llm.close();
  await Promise.all([sleeping, waking, assert.rejects(long.result, failsWith('ERR_CLOSED'))]);
  assert.equal(llm.isAsleep, false);
  await assert.rejects(llm.sleep(), failsWith('ERR_CLOSED'));
  await assert.rejects(llm.wake(), failsWith('ERR_CLOSED'));
  await assert.rejects(llm.generate(PROMPT, SHORT), failsWith('ERR_CLOSED'));
});
