import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { lettersOf, withScript } from '../../tools/scripted.js';

const REQUESTS = 10_000;
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test('10,000 requests on one AbortSignal put one listener on it, leave none, and Node warns of nothing', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  await withScript({}, async (llm) => {
    const { signal } = new AbortController();
    const running = Array.from({ length: REQUESTS }, (_, i) =>
      llm.generate({ tokens: [i % 200] }, { maxTokens: 2, signal }),
    );
    assert.equal(listeners(signal), 1);
    for (const [i, { text }] of (await Promise.all(running)).entries()) assert.equal(text, lettersOf(i % 200, 2));
    assert.equal(listeners(signal), 0);
  });
  await setImmediate(); // when warnings are told
  process.off('warning', onWarning);
  assert.deepEqual(warnings, []);
});

test('a signal that aborts 10,000 requests rejects each with its reason, and has no listener left', () =>
  withScript({ step_ms: 1 }, async (llm) => {
    const controller = new AbortController();
    const { signal } = controller;
    const running = Array.from({ length: REQUESTS }, (_, i) =>
      llm.generate({ tokens: [i % 200] }, { maxTokens: 100_000, signal }),
    );
    const reason = new Error('enough');
    controller.abort(reason);
    for (const each of await Promise.allSettled(running)) {
      assert.ok(each.status === 'rejected' && each.reason === reason);
    }
    assert.equal(listeners(signal), 0);
    while (llm.stats().activeRequests > 0) await setImmediate();
  }));
