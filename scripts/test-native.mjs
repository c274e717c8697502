// Builds and runs the GoogleTest programs. Further arguments go to ctest: `npm run test:native -- -R Scheduler`.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { forgetOtherTree } from './cmake-build.mjs';

const root = path.join(import.meta.dirname, '..');
const build = path.join(root, 'build'); // the addon's: the tests link its libraries

const run = (command, ...args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};

const missing = [];
if (!existsSync('/usr/include/gtest/gtest.h')) missing.push('libgtest-dev');
if (spawnSync('mpicc', ['--version']).error) missing.push('libopenmpi-dev', 'openmpi-bin');
if (missing.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
  run('apt-get', 'update', '-q');
  run('apt-get', 'install', '-y', '-q', ...missing);
}
forgetOtherTree(build);
run(
  path.join(root, 'node_modules', '.bin', 'cmake-js'),
  'configure',
  '--out',
  build,
  '--CDNATIVE_TESTS=ON',
  '--CDSTAND_IN_VERSION=0.13;1.2',
);
run('cmake', '--build', build, '-j', String(availableParallelism()));
run('ctest', '--test-dir', build, '--output-on-failure', '-j', '3', ...process.argv.slice(2));
