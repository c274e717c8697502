import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

const LIBRARY = 'libexecutor_cuda.so';
const NOTICES = 'libexecutor_cuda.NOTICES.txt';
const SHIPPED = ['sm_75', 'sm_80', 'sm_86', 'sm_89', 'sm_90', 'compute_90'];

/** What nvcc leaves of one architecture, with `size` bytes of code. */
function fatbin(architecture: string, size = 24): string {
  const [kind, number] = architecture.split('_');
  const entry = [`.short ${kind === 'sm' ? 2 : 1}, 0`, '.long 64', `.quad ${size}`, '.long 0, 0, 0', `.long ${number}`];
  const header = [`.long 0xba55ed50`, '.short 1, 16', `.quad ${64 + size}`];
  return ['.balign 8', ...header, ...entry, '.zero 32', `.zero ${size}`].join('\n');
}

/** A folder with a library that holds these architectures, and the notices where they are asked for. */
async function built(architectures: readonly string[], source = '', withNotices = true): Promise<string> {
  const dir = await temporaryDirectory();
  const assembly = ['.section .nv_fatbin,"a"', ...architectures.map((each) => fatbin(each))].join('\n');
  writeFileSync(join(dir, 'fatbin.s'), `${assembly}\n.section .note.GNU-stack,"",@progbits\n`);
  const input = `extern "C" void executor_table() {} ${source}`;
  const files = ['-x', 'c++', '-', '-x', 'assembler', join(dir, 'fatbin.s'), '-x', 'none'];
  const options = ['-shared', '-fPIC', '-Wl,--no-as-needed', '-o', join(dir, LIBRARY)];
  const { status, stderr } = spawnSync('g++', [...files, ...options], { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  if (withNotices) writeFileSync(join(dir, NOTICES), 'CUTLASS 4.5.0\n');
  return dir;
}

/** What scripts/cuda-library.mjs says, and the folder that it was to take the library to. */
function take(from: string): { told: string; to: string } {
  const to = join(from, 'prebuilds');
  mkdirSync(to);
  const script = join(PROJECT_ROOT, 'scripts/cuda-library.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, from, to], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return { told: stdout, to };
}

const check = (library: string) =>
  spawnSync(process.execPath, [join(PROJECT_ROOT, 'scripts/check-prebuild.mjs'), library], { encoding: 'utf8' });

test('a CUDA library of every architecture is taken along with its notices, stripped, and the check says what it holds', async () => {
  const { told, to } = take(await built(SHIPPED));
  assert.equal(told, '');
  assert.deepEqual(readdirSync(to).sort(), [NOTICES, LIBRARY].sort());
  const { status, stdout, stderr } = check(join(to, LIBRARY));
  assert.equal(status, 0, stderr);
  assert.match(stdout, / for compute_90, sm_75, sm_80, sm_86, sm_89, sm_90$/m);
});

test('packing goes on without a CUDA library, and says which command makes one', async () => {
  const { told, to } = take(await temporaryDirectory());
  assert.deepEqual(readdirSync(to), []);
  assert.match(told, /left out: .* does not exist\..* npm run build:cuda -- --wheels/);
});

test("a developer's CUDA library of one architecture is left out", async () => {
  const { told, to } = take(await built(['sm_80']));
  assert.equal(existsSync(join(to, LIBRARY)), false);
  assert.match(told, / holds sm_80 and lacks sm_75, sm_86, sm_89, sm_90, compute_90\./);
});

test('a CUDA library without the notices of what is compiled into it is left out', async () => {
  const { told, to } = take(await built(SHIPPED, '', false));
  assert.equal(existsSync(join(to, LIBRARY)), false);
  assert.match(told, /libexecutor_cuda\.NOTICES\.txt does not exist/);
});

test('a CUDA library that exports more than its table, or is not stripped, is refused', async () => {
  const { status, stderr } = check(join(await built(SHIPPED, 'extern "C" void leaked() {}'), LIBRARY));
  assert.equal(status, 1);
  assert.match(stderr, /It exports more than executor_table and executor_machine: leaked\./);
  assert.match(stderr, /It is not stripped\./);
});
