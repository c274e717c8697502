import assert from 'node:assert/strict';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import type { LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { engineWithConfig, STAND_IN_LIBS, TENSORRT_LLM_LIBRARY } from '../../tools/tensorrt-llm.js';
import type { Work } from './programs/load.js';

const PLUGIN = 'libnvinfer_plugin_tensorrt_llm.so';

/** A copy of the executor with all that it loads beside it, to be spoilt. */
async function installation(): Promise<string> {
  const dir = await temporaryDirectory();
  for (const name of ['libtensorrt_llm.so', 'libcuda.so.1', PLUGIN]) {
    await copyFile(join(STAND_IN_LIBS, name), join(dir, name));
  }
  const library = await readFile(TENSORRT_LLM_LIBRARY);
  const at = library.indexOf(`$ORIGIN/${relative(dirname(TENSORRT_LLM_LIBRARY), STAND_IN_LIBS)}`); // its search path
  assert.notEqual(at, -1);
  library.write('$ORIGIN\0', at);
  await writeFile(join(dir, 'libexecutor.so'), library);
  return dir;
}

/** What a load in a process of its own, which has opened none of these libraries yet, comes to. */
async function loaded(
  dir: string,
  env: Readonly<Record<string, string>> = {},
  isolation: LoadOptions['isolation'] = 'none',
): Promise<string> {
  const work: Work = {
    engine: await engineWithConfig(),
    options: { executor: { library: join(dir, 'libexecutor.so') }, isolation },
  };
  const { status, told, err } = await runProgram(new URL('./programs/load.js', import.meta.url), work, { env });
  assert.equal(status, 0, err);
  return String(told[0]);
}

test('a whole installation loads from where it lies', async () => {
  assert.equal(await loaded(await installation()), 'loaded');
});

for (const isolation of ['none', 'process'] as const) {
  test(`a plugin library that is missing is refused by its path (isolation: ${isolation})`, async () => {
    const dir = await installation();
    await rm(join(dir, PLUGIN));
    const out = await loaded(dir, {}, isolation);
    assert.ok(out.startsWith(`ERR_EXECUTOR_UNAVAILABLE ${join(dir, PLUGIN)} could not be opened`), out);
    assert.match(out, /Install all of TensorRT-LLM/);
  });
}

test('a plugin library that is none is refused by its path', async () => {
  const dir = await installation();
  await writeFile(join(dir, PLUGIN), 'no library');
  assert.match(await loaded(dir), /^ERR_EXECUTOR_UNAVAILABLE .*plugin_tensorrt_llm\.so could not be opened/);
  await copyFile(join(dir, 'libcuda.so.1'), join(dir, PLUGIN));
  assert.match(await loaded(dir), /^ERR_EXECUTOR_UNAVAILABLE .*plugin_tensorrt_llm\.so exports no initTrtLlmPlugins/);
});

test('a libtensorrt_llm.so that is missing is named, and setup as the fix', async () => {
  const dir = await installation();
  await rm(join(dir, 'libtensorrt_llm.so'));
  const out = await loaded(dir);
  assert.match(out, /^ERR_EXECUTOR_UNAVAILABLE .*libexecutor\.so could not be opened: libtensorrt_llm\.so/);
  assert.match(out, /npx node-tensorrt-llm setup/);
});

test('a libtensorrt_llm.so whose functions are those of another version is refused, and setup is the fix', async () => {
  const dir = await installation();
  const older = STAND_IN_LIBS.replace('stand-in-1.2', 'stand-in-0.13');
  await copyFile(join(older, 'libtensorrt_llm.so'), join(dir, 'libtensorrt_llm.so'));
  const out = await loaded(dir);
  assert.match(out, /^ERR_EXECUTOR_UNAVAILABLE .*libexecutor\.so could not be opened: .*undefined symbol/);
  assert.match(out, /npx node-tensorrt-llm setup/);
});

test('a libtensorrt_llm.so of another version than the headers is refused, naming both', async () => {
  const out = await loaded(await installation(), { STAND_IN_REPORTED_VERSION: '1.2.0' });
  assert.match(
    out,
    /^ERR_EXECUTOR_UNAVAILABLE .* has TensorRT-LLM 1\.2\.0; expected 1\.2\.1, which this executor was built for/,
  );
  assert.match(out, /npx node-tensorrt-llm setup/);
});
