import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_ROOT } from '../tools/project.js';

test('on a machine that the CUDA executor is not for, its tests are left out with a line that says so', () => {
  const arm = 'data:text/javascript,Object.defineProperty(process, "arch", { value: "arm64" })';
  const args = ['--import', arm, join(PROJECT_ROOT, 'scripts/test-cuda.mjs')];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.equal(stdout, 'The CUDA executor is for Linux x64; this is linux-arm64. Its tests are left out.\n');
});
