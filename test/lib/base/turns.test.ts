import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { endings, submissions } from '#lib/base/turns.js';

/** Uses up what this turn of the event loop has for work. */
function fill(): void {
  const end = performance.now() + 20;
  endings.do(() => performance.now() < end);
}

test('work is done at once while the turn has time, and in later turns in its order', async () => {
  await setImmediate();
  const done: number[] = [];
  const add = (i: number): boolean =>
    submissions.do(() => {
      done.push(i);
      return false;
    });
  assert.ok(add(1));
  fill();
  assert.ok(!add(2));
  assert.ok(!add(3));
  assert.deepEqual(done, [1]);
  while (done.length < 3) await setImmediate();
  assert.deepEqual(done, [1, 2, 3]);
});

test('what ends comes before what starts, and a turn that was filled leaves the rest to others', async () => {
  await setImmediate();
  const done: string[] = [];
  fill();
  submissions.do(() => done.push('start') === 0);
  endings.do(() => done.push('end') === 0);
  while (done.length < 2) await setImmediate();
  assert.deepEqual(done, ['end', 'start']);
});

test('long work lets the event loop turn between its steps', async () => {
  await setImmediate();
  let left = 5;
  let turns = 0;
  endings.do(() => {
    const end = performance.now() + 10;
    while (performance.now() < end);
    return --left > 0;
  });
  while (left > 0) {
    turns++;
    await setImmediate();
  }
  assert.ok(turns >= 4, `${turns} turns`);
});
