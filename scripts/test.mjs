// Runs every check of the project, one step after the other, and prints how long each took: `npm test`. A step that fails is the
// last one. CPU seconds, user and system, depend less than seconds on what else the machine does.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const STEPS = {
  // Without its scripts, which would build: that is a step of its own.
  packages: existsSync(path.join(root, 'node_modules')) ? undefined : 'ci --ignore-scripts --no-fund --no-audit',
  lint: 'run lint',
  build: 'run build',
  'native tests': 'run test:native',
  'TypeScript tests': 'run test:js',
  'package test': 'run test:package',
};

/** CPU seconds of all child processes that have ended, theirs included. */
function childCpuSeconds() {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
  const TICKS_PER_SECOND = 100; // of /proc on Linux, on any machine
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND; // cutime and cstime: the 16th and 17th of all
}

const seconds = {};
let failed;
for (const [name, command] of Object.entries(STEPS)) {
  if (command === undefined) continue;
  const start = performance.now();
  const cpuStart = childCpuSeconds();
  const { status, error } = spawnSync('npm', command.split(' '), { cwd: root, stdio: 'inherit' });
  seconds[name] = {
    seconds: Math.round((performance.now() - start) / 1000),
    cpuSeconds: Math.round(childCpuSeconds() - cpuStart),
  };
  if (error) console.error(`npm could not be run: ${error.message}`);
  if (status !== 0) {
    failed = name;
    break;
  }
}
console.table(seconds);
if (failed !== undefined) {
  console.error(
    failed === 'packages' || failed === 'build'
      ? `Step '${failed}' failed. It needs Node.js 20.19 or newer, CMake 3.21 or newer and a C++17 compiler (g++ 11, clang 14).`
      : `Step '${failed}' failed.`,
  );
  process.exit(1);
}
