// Runs the C++ tests and the addon's with what a compiler can check at run time: memory, leaks and undefined behaviour (ASan,
// LSan, UBSan) and data races (TSan). Arguments choose the runs, --only the tests: `npm run test:sanitize -- tests-asan addon-tsan`,
// `npm run test:sanitize -- tests-tsan --only ThreadPool`, `npm run test:sanitize -- addon-asan --only unload`.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { forgetOtherTree } from './cmake-build.mjs';

const root = path.join(import.meta.dirname, '..');
const build = path.join(root, 'build', 'sanitize');
// Of GoogleTest's tests a part of the name, as ctest -R takes it; of the addon's a part of the file's path.
const { values, positionals: wanted } = parseArgs({ allowPositionals: true, options: { only: { type: 'string' } } });

const isDone = (command, args, env = {}) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  return status === 0;
};

// GCC 12 takes an empty std::optional for one that is read, where ASan has made the code longer.
const COMMON = '-O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -Wno-maybe-uninitialized';
const SANITIZERS = {
  asan: { flags: `${COMMON} -fsanitize=address,undefined`, library: 'libasan.so' },
  tsan: { flags: `${COMMON} -fsanitize=thread`, library: 'libtsan.so' },
};

// What Node.js and the tokenizers package keep at the end of a process or a worker. A pattern that any frame matches counts,
// so only the few innermost frames are looked at: JavaScript lies below all of ours.
const KEPT_BY_OTHERS = ['v8::', 'node::', 'napi_create', 'CRYPTO_malloc', 'tokenizers.linux-x64-gnu.node'];
const suppressions = path.join(build, 'leaks.txt');
const ENVIRONMENT = {
  // Freed memory is kept back to find its later use; with more than this, tests of what is given back would fail.
  ASAN_OPTIONS: 'detect_leaks=1:malloc_context_size=8:quarantine_size_mb=16',
  LSAN_OPTIONS: `suppressions=${suppressions}:print_suppressions=0`,
  UBSAN_OPTIONS: 'print_stacktrace=1',
  // Node itself is not compiled for TSan, which without this takes what it does for races.
  TSAN_OPTIONS: 'ignore_noninstrumented_modules=1',
};

function runTests(sanitizer) {
  const dir = path.join(build, `tests-${sanitizer}`);
  forgetOtherTree(dir);
  // Without MPI, which is not compiled for a sanitizer and keeps memory to the end.
  const standIns = ['-DSTAND_IN_VERSION=0.13;1.2', `-DSTAND_IN_DIR=${dir}`, '-DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON'];
  const only = values.only === undefined ? [] : ['--no-tests=error', '-R', values.only];
  const settings = ['-DNATIVE_TESTS=ON', ...standIns, '-DCMAKE_BUILD_TYPE=Debug', '-Wno-dev'];
  return (
    isDone('cmake', ['-S', root, '-B', dir, ...settings, `-DCMAKE_CXX_FLAGS=${SANITIZERS[sanitizer].flags}`]) &&
    isDone('cmake', ['--build', dir, '-j', '2']) &&
    isDone('ctest', ['--test-dir', dir, '--output-on-failure', '-j', '2', ...only], ENVIRONMENT)
  );
}

/**
 * Left out: tests of resident memory, of numbers, which the C++ tests have too, of a host that is killed by what a
 * sanitizer would catch first, and of threads and hosts whose own libraries are preloaded or put in the place of these.
 */
const NOT_HERE = ['memory.test.js', 'reference.test.js', 'faults.test.js', 'thread-limit.test.js', 'fake-host.test.js'];

/** The tests that use the addon, in a Node.js that has the sanitizer's library loaded first, with an addon of its own. */
function runAddon(sanitizer) {
  const dir = path.join(build, `addon-${sanitizer}`);
  const { flags, library } = SANITIZERS[sanitizer];
  const scripted = path.join(root, 'build'); // where the tests look for the scripted executor
  const out = path.join(dir, 'build');
  const isBuilt =
    // cmake-js sets CMAKE_CXX_FLAGS itself, whatever it is given for it.
    isDone('npx', ['cmake-js', 'build', '--debug', '--out', out, `--CDCMAKE_CXX_FLAGS_DEBUG=-g ${flags}`]) &&
    isDone('npx', ['cmake-js', 'configure', '--out', scripted, '--CDNATIVE_TESTS=ON']) &&
    isDone('cmake', ['--build', scripted, '--target', 'executor_scripted', '-j', '2']) &&
    isDone('npm', ['run', '--silent', 'pretest:js']) && // other versions of Node.js, which some of the tests start
    isDone('npm', ['run', '--silent', 'build:ts']) &&
    isDone('npx', ['tsc', '-p', 'test/tsconfig.json']);
  if (!isBuilt) return false;
  const addon = path.join(out, 'Debug', 'node_tensorrt_llm.node');
  if (!readFileSync(addon).includes(`__${sanitizer}_`)) {
    console.error(`${addon} is not compiled for ${sanitizer}: the tests would find nothing.`);
    return false;
  }
  const tests = ['lib', 'lib/failures', 'lib/isolation', 'lib/request', 'conformance'].flatMap((folder) =>
    readdirSync(path.join(root, 'dist-test', folder))
      .filter((name) => name.endsWith('.test.js') && !NOT_HERE.includes(name))
      .map((name) => path.join('dist-test', folder, name))
      .filter((name) => values.only === undefined || name.includes(values.only)),
  );
  if (tests.length === 0) {
    console.error(`No test of the addon has '${values.only}' in its path.`);
    return false;
  }
  // Node.js has a libstdc++ of its own inside; the sanitizer must find the addon's before the addon comes.
  const preloaded = [library, 'libstdc++.so'].map((name) =>
    execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim(),
  );
  return isDone(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...tests], {
    ...ENVIRONMENT,
    LD_PRELOAD: preloaded.join(' '),
    NODE_TENSORRT_LLM_PREBUILD: dir,
  });
}

const RUNS = {
  'tests-asan': () => runTests('asan'),
  'tests-tsan': () => runTests('tsan'),
  'addon-asan': () => runAddon('asan'),
  'addon-tsan': () => runAddon('tsan'),
};
const unknown = wanted.filter((name) => !Object.hasOwn(RUNS, name));
if (unknown.length > 0) {
  console.error(`There is no run ${unknown.join(', ')}; there are ${Object.keys(RUNS).join(', ')}.`);
  process.exit(1);
}
mkdirSync(build, { recursive: true });
writeFileSync(suppressions, KEPT_BY_OTHERS.map((pattern) => `leak:${pattern}\n`).join(''));
const table = {};
for (const [name, run] of Object.entries(RUNS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const start = performance.now();
  const result = run() ? 'passed' : 'FAILED';
  table[name] = { result, seconds: Math.round((performance.now() - start) / 1000) };
}
console.table(table);
process.exit(Object.values(table).every(({ result }) => result === 'passed') ? 0 : 1);
