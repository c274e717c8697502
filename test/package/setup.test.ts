import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, beforeEach, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { compileLibrary, directoryOf, useEnvironment } from '../tools/fake-tensorrt-llm.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { standInEngine } from '../tools/stand-in.js';
import { installPackage, run } from './install.js';

// `node-tensorrt-llm setup` of an installed package, over the stand-ins for TensorRT-LLM that `npm run test:native` builds.
const standIn = (version: string): string => join(PROJECT_ROOT, `build/stand-in-${version}/tensorrt_llm`);
const LIBRARY = 'libexecutor_tensorrt_llm.so';

let cuda: string;
let app: string;
let addonDir: string;
let expected: string;
before(async () => {
  ({ app } = await installPackage());
  addonDir = join(app, 'node_modules/node-tensorrt-llm/prebuilds/linux-x64');
  cuda = await directoryOf({ 'include/cuda_fp16.h': '' });
  const llm = await LLM.load(await tinyEngine());
  expected = (await llm.generate('Once upon a time', { maxTokens: 12, temperature: 0 })).text;
  await llm.close();
  await writeFile(
    join(app, 'stream.mjs'),
    `import { LLM } from 'node-tensorrt-llm';
     const llm = await LLM.load(process.argv[2], { executor: 'tensorrt-llm' });
     let text = '';
     for await (const chunk of llm.stream('Once upon a time', { maxTokens: 12, temperature: 0 })) text += chunk.text;
     const { executor, executorVersion } = llm.info;
     await llm.close();
     console.log(JSON.stringify({ text, executor, executorVersion }));`,
  );
});

beforeEach(() => useEnvironment({ CUDA_HOME: cuda }));

const command = (...args: string[]): Promise<string> => run('npx', ['--offline', 'node-tensorrt-llm', ...args], app);
const setup = async (...args: string[]): Promise<{ name: string; text: string }[]> => {
  const lines = (await command('setup', '--json', ...args)).trim().split('\n');
  const objects = lines.map((line) => JSON.parse(line));
  assert.deepEqual(objects.pop(), { type: 'library', path: join(addonDir, LIBRARY) });
  return objects;
};
const stream = async (engine: string) => JSON.parse(await run(process.execPath, ['stream.mjs', engine], app));

/** A wheel whose library is the stand-in's, and whose plugins need a library of the wheel of TensorRT beside it, as NVIDIA's do. */
async function wheelWithNeeds(version: string, standInOf: string): Promise<{ root: string; tensorrt: string }> {
  const packages = await temporaryDirectory();
  const root = join(packages, 'tensorrt_llm');
  cpSync(standIn(standInOf), root, { recursive: true });
  await writeFile(join(root, 'version.py'), `__version__ = "${version}"\n`);
  const tensorrt = join(packages, 'tensorrt_libs/libnvinfer.so.10');
  await mkdir(join(packages, 'tensorrt_libs'));
  compileLibrary(tensorrt, 'extern "C" bool tensorrt() { return true; }', '-Wl,-soname,libnvinfer.so.10');
  compileLibrary(
    join(root, 'libs/libnvinfer_plugin_tensorrt_llm.so'),
    `extern "C" void stand_in_register_plugins();
     extern "C" bool tensorrt();
     extern "C" bool initTrtLlmPlugins(void*, char const*) { stand_in_register_plugins(); return tensorrt(); }`,
    join(root, 'libs/libtensorrt_llm.so'),
    tensorrt,
    '-Wl,--enable-new-dtags,-rpath,$ORIGIN', // DT_RUNPATH: the library that opens it has no say where its needs are
  );
  return { root, tensorrt };
}

const failureOf = (promise: Promise<string>): Promise<string> =>
  promise.then(
    () => assert.fail('it did not fail'),
    (error: Error) => error.message,
  );

test('before setup the executor is one error that names the command, and doctor says that it and so the engine wait for it', async () => {
  const engine = await standInEngine({ version: '1.2.1' });
  await assert.rejects(stream(engine), /ERR_EXECUTOR_UNAVAILABLE[\s\S]*npx node-tensorrt-llm setup/);
  const told = await failureOf(command('doctor', '--engine', engine));
  assert.match(told, /^missing +executor 'tensorrt-llm' .*\n +-> npx node-tensorrt-llm setup$/m);
  assert.match(
    told,
    /^missing +engine .* of 1 rank; only the executor 'tensorrt-llm' can tell.*\n +-> run npx node-tensorrt-llm setup, then/m,
  );
});

test('an installed package builds the executor for 1.2, and a program loads it by name and streams its text', async () => {
  const { root, tensorrt } = await wheelWithNeeds('1.2.1', '1.2');
  const steps = await setup('--root', root);
  const names = ['tensorrt-llm', 'headers', 'cuda', 'libraries', 'tools', 'build', 'open', 'done'];
  assert.deepEqual(
    steps.map(({ name }) => name),
    names,
  );
  const facts = JSON.parse(readFileSync(join(addonDir, 'executor_tensorrt_llm.json'), 'utf8'));
  assert.equal(facts.tensorrtLlmVersion, '1.2.1');
  assert.deepEqual(facts.needs, [tensorrt]);
  assert.deepEqual(await stream(await standInEngine({ version: '1.2.1' })), {
    text: expected,
    executor: 'tensorrt-llm',
    executorVersion: '1.2.1',
  });
  assert.match(await command('doctor'), /^ok +executor 'tensorrt-llm' .*built for 1\.2\.1, opens$/m);

  // With it doctor holds engines against what is here, and says what a load would say.
  const engine = await standInEngine({ version: '1.2.1' });
  assert.match(await command('doctor', '--engine', engine), /^ok +engine .* of 1 rank; it fits the TensorRT-LLM/m);
  const older = await failureOf(command('doctor', '--engine', await standInEngine({ version: '1.0.0' })));
  assert.match(older, /^wrong +engine .*version is 1\.0\.0; expected 1\.2\.1/m);
  useEnvironment({ CUDA_HOME: cuda, STAND_IN_GPUS: '7.5 Tesla T4' });
  const turing = await failureOf(command('doctor', '--engine', engine));
  assert.match(turing, /^wrong +engine .*GPU 0 is Tesla T4 of compute capability 7\.5.* 0\.14, the last/m);
  useEnvironment({ CUDA_HOME: cuda });

  // The same again is opened and kept, and needs no --root: what was built for is known.
  const again = await setup();
  assert.match(again.at(-1)?.text ?? '', /was already built for this/);
  assert.ok(!again.some(({ name }) => name === 'build'));

  // A TensorRT-LLM of another version than its headers is told by the process that opens it.
  useEnvironment({ CUDA_HOME: cuda, STAND_IN_REPORTED_VERSION: '1.2.0' });
  await assert.rejects(
    setup(),
    /ERR_EXECUTOR_UNAVAILABLE: .* has TensorRT-LLM 1\.2\.0; expected 1\.2\.1, which this executor was built for/,
  );

  // What it was built for goes away: one typed error, before anything is opened.
  renameSync(root, `${root}-gone`);
  await assert.rejects(stream(await standInEngine({ version: '1.2.1' })), /ERR_EXECUTOR_UNAVAILABLE[\s\S]*is gone/);
});

test('an installed package builds the executor for 0.13, whose wheel has no headers, in place of that for 1.2', async () => {
  const { root } = await wheelWithNeeds('0.13.0', '0.13');
  const checkout = await temporaryDirectory();
  const include = join(checkout, 'cpp/include');
  cpSync(join(root, 'include'), include, { recursive: true });
  await rm(join(root, 'include'), { recursive: true });
  await rm(join(include, 'tensorrt_llm/executor/version.h'));
  await mkdir(join(checkout, 'tensorrt_llm'));
  await writeFile(join(checkout, 'tensorrt_llm/version.py'), '__version__ = "0.13.0"\n');

  await assert.rejects(setup('--root', root), /ERR_EXECUTOR_UNAVAILABLE.*--branch v0\.13\.0/);
  await setup('--root', root, '--include', include);
  const { text, executorVersion } = await stream(await standInEngine({ version: '0.13.0' }));
  assert.deepEqual([text, executorVersion], [expected, '0.13.0']);
  const left = readdirSync(addonDir).filter((name) => name.startsWith('.'));
  assert.deepEqual(left, [], 'what it wrote beside the final files is gone');
});
