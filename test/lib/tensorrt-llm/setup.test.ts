import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, beforeEach, test } from 'node:test';
import { type SetupStep, setup } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { compileLibrary, directoryOf, useEnvironment, wheelFiles } from '../../tools/fake-tensorrt-llm.js';

// What builds and opens a library over the stand-ins is in test/package/setup.test.ts: it takes minutes. These end before.
let cuda: string;
before(async () => {
  cuda = await directoryOf({ 'include/cuda_fp16.h': '' });
});
beforeEach(() => useEnvironment({ CUDA_HOME: cuda }));

const unavailable = (...named: (string | RegExp)[]) => failsWith('ERR_EXECUTOR_UNAVAILABLE', ...named);
const wheel = async (version = '1.2.1'): Promise<string> =>
  join(await directoryOf(wheelFiles(version)), 'tensorrt_llm');

test('a dry run tells what was found and would be built, and changes nothing', async () => {
  const outDir = await directoryOf({});
  const root = await wheel();
  const steps: SetupStep[] = [];
  await setup({ root, outDir, dryRun: true, onStep: (step) => steps.push(step) });
  assert.deepEqual(
    steps.map(({ name }) => name),
    ['tensorrt-llm', 'headers', 'cuda', 'libraries', 'tools', 'done'],
  );
  assert.equal(steps.at(-1)?.text, `would build ${join(outDir, 'libexecutor_tensorrt_llm.so')}`);
  assert.ok(steps.every(({ warning }) => warning === undefined));
  assert.deepEqual(readdirSync(outDir), []);
});

test('a version this package was not written for is a warning and no refusal', async () => {
  const steps: SetupStep[] = [];
  await setup({ root: await wheel('1.3.0'), outDir: cuda, dryRun: true, onStep: (step) => steps.push(step) });
  assert.match(steps.find(({ name }) => name === 'headers')?.warning ?? '', /1\.3\.0 is newer than 1\.2/);
});

test('a directory that cannot be written is refused before anything is built', async () => {
  const outDir = join(cuda, 'no/such/directory');
  await assert.rejects(setup({ root: await wheel(), outDir }), failsWith('ERR_NOT_WRITABLE', outDir, 'sudo'));
});

test('a TensorRT-LLM without its plugin library is refused', async () => {
  const root = await wheel();
  await rm(join(root, 'libs/libnvinfer_plugin_tensorrt_llm.so'));
  await assert.rejects(setup({ root, outDir: cuda }), unavailable('libnvinfer_plugin_tensorrt_llm.so', root));
});

test('libraries that TensorRT-LLM needs and nobody has are refused by name, each with its fix; the driver is not', async () => {
  const root = await wheel();
  const libraries = ['libnvinfer.so.10', 'libcudart.so.99', 'libcuda.so.1'].map((name) => join(cuda, name));
  for (const path of libraries) compileLibrary(path, '', `-Wl,-soname,${path.split('/').at(-1)}`);
  compileLibrary(join(root, 'libs/libtensorrt_llm.so'), '', ...libraries);
  for (const path of libraries) await rm(path);
  await assert.rejects(
    setup({ root, outDir: cuda }),
    unavailable(
      /needs libnvinfer\.so\.10, libcudart\.so\.99, which were not found/,
      'pip install tensorrt,',
      'LD_LIBRARY_PATH',
    ),
  );
});

test('without CMake or make on PATH the error names them and what installs them', async () => {
  const bin = await directoryOf({ 'bin/c++': '#!/bin/sh\n' });
  useEnvironment({ CUDA_HOME: cuda, PATH: join(bin, 'bin') });
  await assert.rejects(setup({ root: await wheel(), outDir: cuda }), unavailable(/^CMake and make is not/, 'apt-get'));
});

test('a CMake that is too old is refused by its version', async () => {
  const dir = await directoryOf({ 'bin/cmake': '#!/bin/sh\necho "cmake version 3.16.3"\n' });
  useEnvironment({ CUDA_HOME: cuda, PATH: `${join(dir, 'bin')}:${process.env.PATH}` });
  await assert.rejects(setup({ root: await wheel(), outDir: cuda }), unavailable('3.16.3', 'expected 3.21', 'pip'));
});

test('a build that fails tells the last lines and where the whole log is, and leaves nothing else', async () => {
  const root = await wheel();
  const tmp = await directoryOf({});
  const outDir = await directoryOf({});
  useEnvironment({ CUDA_HOME: cuda, TMPDIR: tmp });
  // The wheel's library is an empty file, whose symbols CMake cannot read.
  const error: unknown = await setup({ root, outDir }).catch((thrown) => thrown);
  unavailable('could not be built', /CMake Error/)(error);
  const log = /full log: ([^)]+)\)/.exec((error as Error).message)?.[1] ?? '';
  assert.match(readFileSync(log, 'utf8'), /compiler identification[\s\S]*CMake Error/);
  assert.deepEqual(
    readdirSync(tmp).map((name) => join(tmp, name)),
    [log],
  );
  assert.deepEqual(readdirSync(outDir), []);
});

test('a library that was built and does not open is told by its name and not put into place', async () => {
  const builds = '--build) mkdir -p "$2/../out" && echo none >"$2/../out/libexecutor_tensorrt_llm.so"';
  const cmake = `#!/bin/sh\ncase "$1" in --version) echo "cmake version 3.31.0" ;; ${builds} ;; esac\n`;
  const dir = await directoryOf({ 'bin/cmake': cmake });
  const outDir = await directoryOf({});
  useEnvironment({ CUDA_HOME: cuda, PATH: `${join(dir, 'bin')}:${process.env.PATH}` });
  const setUp = setup({ root: await wheel(), outDir });
  await assert.rejects(
    setUp,
    unavailable(/^the new libexecutor_tensorrt_llm\.so could not be opened: [^/]*file too short/),
  );
  assert.deepEqual(readdirSync(outDir), []);
});

test('an abort ends a build with its reason, and leaves nothing', async () => {
  const root = await wheel();
  const tmp = await directoryOf({});
  const outDir = await directoryOf({});
  useEnvironment({ CUDA_HOME: cuda, TMPDIR: tmp });
  const controller = new AbortController();
  const reason = new Error('enough');
  const onStep = ({ name }: SetupStep): void => {
    if (name === 'build') controller.abort(reason);
  };
  await assert.rejects(setup({ root, outDir, signal: controller.signal, onStep }), reason);
  assert.deepEqual([readdirSync(tmp), readdirSync(outDir)], [[], []]);
});
