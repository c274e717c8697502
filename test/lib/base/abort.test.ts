import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { whenAborted } from '#lib/base/abort.js';

test('10,000 requests on one signal put one listener on it, and none is left behind', () => {
  const { signal } = new AbortController();
  const takeBack = Array.from({ length: 10_000 }, () => whenAborted(signal, () => assert.fail('called')));
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  for (const each of takeBack) each();
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('all that wait are called once, but for those taken back', () => {
  const controller = new AbortController();
  const called: string[] = [];
  whenAborted(controller.signal, () => called.push('a'));
  const takeBack = whenAborted(controller.signal, () => called.push('b'));
  whenAborted(controller.signal, () => called.push('c'));
  takeBack();
  takeBack();
  controller.abort();
  controller.abort();
  assert.deepEqual(called, ['a', 'c']);
});

test('a signal is listened to again after its last request was taken back', () => {
  const controller = new AbortController();
  let called = 0;
  whenAborted(controller.signal, () => called++)();
  whenAborted(controller.signal, () => called++);
  controller.abort();
  assert.equal(called, 1);
});
