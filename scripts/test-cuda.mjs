// Compiles the CUDA executor, with its C++ tests and benchmarks of kernels, and runs the tests: `npm run test:cuda`. For the machine's
// GPU where it has one, otherwise for one architecture, and the tests that need a GPU are skipped by name. The library goes into
// build/cuda/lib: beside the addon it would be loaded.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { firstGpu } from './gpu.mjs';

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.log(
    `The CUDA executor is for Linux x64; this is ${process.platform}-${process.arch}. Its tests are left out.`,
  );
  process.exit(0);
}
const root = path.join(import.meta.dirname, '..');
const run = (command, ...args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};
const arch = firstGpu()?.arch ?? '80';
const out = path.join(root, 'build', 'cuda', 'lib');
run(process.execPath, path.join(import.meta.dirname, 'build-cuda.mjs'), '--arch', arch, '--tests', '--out', out);
run(path.join(root, 'build', 'cuda', 'bin', 'embedded_cuda_test'), '--gtest_brief=1');
