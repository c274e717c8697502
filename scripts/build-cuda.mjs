// Builds libexecutor_cuda.so into build/Release:
//   npm run build:cuda                      # for every architecture that is shipped
//   npm run build:cuda -- --arch 90a        # for one; name more with commas
//   npm run build:cuda -- --arch 90a --tests   # its tests and kernel benchmark too, into build/cuda/bin
// --out DIR puts the library elsewhere. --wheels takes the pinned compiler even where the machine has one. The licences of what is
// compiled in are written beside the library if the pinned compiler was taken. Needs no GPU.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { NOTICES, SHIPPED } from './cuda-library.mjs';
import { cudaNotices } from './cuda-notices.mjs';
import { cudaToolchain } from './cuda-toolchain.mjs';

const root = path.join(import.meta.dirname, '..');

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: SHIPPED.join() },
    out: { type: 'string', default: path.join(root, 'build', 'Release') },
    jobs: { type: 'string', default: String(Math.min(availableParallelism(), 8)) },
    tests: { type: 'boolean', default: false },
    wheels: { type: 'boolean', default: false },
  },
});

const run = (command, ...args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};

const toolchain = (() => {
  try {
    return cudaToolchain({ wheels: values.wheels });
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
})();
const build = path.join(root, 'build', 'cuda');
const settings = {
  CUDA_EXECUTOR: 'ON',
  CUDA_TESTS: values.tests ? 'ON' : 'OFF',
  CUDA_ARCHS: values.arch.replaceAll(',', ';'),
  CUDA_HEADERS: toolchain.includes.join(';'),
  CMAKE_CUDA_COMPILER: toolchain.nvcc,
  CMAKE_LIBRARY_OUTPUT_DIRECTORY: path.resolve(values.out),
  CMAKE_BUILD_TYPE: 'Release',
};
const definitions = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
run('cmake', '-S', root, '-B', build, ...definitions, '-Wno-dev');
const targets = values.tests
  ? ['executor_cuda', 'embedded_cuda_test', 'executor_cuda_trapping', 'gpu_kernels', 'gpu_small_kernels']
  : ['executor_cuda'];
run('cmake', '--build', build, '-j', values.jobs, '--target', ...targets);
const notices = cudaNotices(toolchain);
const file = path.join(values.out, NOTICES);
if (notices === undefined) rmSync(file, { force: true });
else writeFileSync(file, notices);
