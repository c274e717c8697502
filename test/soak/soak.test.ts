import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('2,500 requests of all kinds from five threads end once each, as they may, and leave the engines free', () => {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', main, '--requests', '2500', '--seed', '1'],
    { encoding: 'utf8' },
  );
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' });
  assert.match(stdout, /^all +1250 +1250$/m);
  assert.match(stdout, /^preemptions +[1-9]/m);
});
