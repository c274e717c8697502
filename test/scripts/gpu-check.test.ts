import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

// scripts/gpu-check.mjs on a machine whose programs are stand-ins.
const GPU = `echo 'NVIDIA H200, 580.159.03, 9.0'`;

/** A folder of shell scripts by name. */
async function programs(scripts: Readonly<Record<string, string>>): Promise<string> {
  const dir = await temporaryDirectory();
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(dir, name), 0o755);
  }
  return dir;
}

function check(dir: string, ...args: string[]) {
  const script = join(PROJECT_ROOT, 'scripts/gpu-check.mjs');
  const env = { ...process.env, CUDA_HOME: '', PATH: `${dir}:${dirname(process.execPath)}:/usr/bin:/bin` };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

test('a step that is not known is refused by name, with those that are', async () => {
  const { status, stderr } = check(await programs({}), '--only', 'soak,sook');
  assert.equal(status, 2);
  assert.match(stderr, /^There is no step sook; expected library, native, /);
});

test('a machine without a GPU fails before the first step', async () => {
  const { status, stdout, stderr } = check(await programs({ 'nvidia-smi': 'exit 9' }));
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /^nvidia-smi shows no GPU; /);
});

test('each step is one of PASS, FAIL and SKIPPED, in the summary and in the file, and one that fails ends the run with 1', async () => {
  const passes = `case "$2" in memcheck) echo '[  PASSED  ] 3 tests.';; racecheck) echo 'a race'; exit 9;; esac`;
  const dir = await programs({ 'nvidia-smi': GPU, 'compute-sanitizer': passes, native: 'exit 0' });
  const json = join(dir, 'out.json');
  const args = [
    '--only',
    'native,answer,ranks,memcheck,racecheck,initcheck',
    '--tests',
    join(dir, 'native'),
    '--json',
    json,
  ];
  const { status, stdout } = check(dir, ...args);
  assert.equal(status, 1);
  const { machine, steps } = JSON.parse(readFileSync(json, 'utf8'));
  assert.equal(machine.gpu.capability, 90);
  const told = steps.map(({ name, outcome, reason = '' }: Record<string, string>) => [name, outcome, reason]);
  assert.deepEqual(told, [
    ['native', 'PASS', ''],
    ['answer', 'SKIPPED', '--model names no SmolLM2-135M-Instruct'],
    ['ranks', 'SKIPPED', 'one GPU; two are needed'],
    ['memcheck', 'PASS', ''],
    ['racecheck', 'FAIL', 'compute-sanitizer ended with 9'],
    ['initcheck', 'FAIL', 'no test ran; see the filter in scripts/gpu-check.mjs'],
  ]);
  const summary = stdout.slice(stdout.lastIndexOf('\nNVIDIA H200, driver 580.159.03'));
  assert.match(
    summary,
    /^PASS +native .*\nSKIPPED +answer .*\nSKIPPED +ranks .*\nPASS +memcheck .*\nFAIL +racecheck .*\nFAIL +initcheck /m,
  );
});

test('a step that is left out does not run, and a run without a failure ends with 0', async () => {
  const dir = await programs({ 'nvidia-smi': GPU, native: 'exit 1' });
  const { status, stdout } = check(dir, '--only', 'native,answer', '--skip', 'native');
  assert.equal(status, 0);
  assert.match(stdout, /SKIPPED +answer .* --model names no SmolLM2/);
  assert.doesNotMatch(stdout, /native/);
});

test('C++ tests that saw no GPU fail, though each of them was skipped', async () => {
  const dir = await programs({ 'nvidia-smi': GPU, native: `echo 'Skipped: no NVIDIA GPU'` });
  const { status, stdout } = check(dir, '--only', 'native', '--tests', join(dir, 'native'));
  assert.equal(status, 1);
  assert.match(stdout, /FAIL +native .* the tests found no GPU/);
});
