import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from '#lib/machine/programs.js';

test('a program that is not there leaves nothing behind that holds the process', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const errors: unknown[] = [];
  assert.equal(await runProgram('/nowhere/program', [], { onFailure: (error) => errors.push(error) }), undefined);
  assert.match(String(errors), /ENOENT/);
  assert.equal(timers(), before);
});

test('a program that does not end is stopped after its time', async () => {
  const ran = await runProgram(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 100 });
  assert.equal(ran?.signal, 'SIGTERM');
});
