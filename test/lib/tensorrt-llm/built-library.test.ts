import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkBuiltLibrary, factsPath } from '#lib/tensorrt-llm/built-library.js';
import { failsWith } from '../../tools/fails-with.js';
import { directoryOf, versionHeader, wheelFiles } from '../../tools/fake-tensorrt-llm.js';

/** A directory with the facts of a library that was built for a wheel of 1.2.1. */
async function builtFor(root: string): Promise<string> {
  const dir = await directoryOf({});
  const facts = {
    packageVersion: '0.1.0',
    tensorrtLlmVersion: '1.2.1',
    root,
    libraryDir: join(root, 'libs'),
    includeDir: join(root, 'include'),
    needs: [],
    inputs: '',
  };
  await writeFile(factsPath(dir), JSON.stringify(facts));
  return dir;
}

const refused = (...named: string[]) =>
  failsWith('ERR_EXECUTOR_UNAVAILABLE', 'built for TensorRT-LLM 1.2.1', 'npx node-tensorrt-llm setup', ...named);

test('a library passes while the TensorRT-LLM it was built for lies there', async () => {
  checkBuiltLibrary(await builtFor(join(await directoryOf(wheelFiles('1.2.1')), 'tensorrt_llm')));
});

test('a library is refused when its TensorRT-LLM is gone', async () => {
  const root = join(await directoryOf(wheelFiles('1.2.1')), 'tensorrt_llm');
  const dir = await builtFor(root);
  await rm(root, { recursive: true });
  assert.throws(() => checkBuiltLibrary(dir), refused('libtensorrt_llm.so is gone'));
});

test('a library is refused when another version was installed in the same place, wheel or headers', async () => {
  const root = join(await directoryOf(wheelFiles('1.2.1')), 'tensorrt_llm');
  const dir = await builtFor(root);
  await writeFile(join(root, 'version.py'), '__version__ = "1.3.0"\n');
  assert.throws(() => checkBuiltLibrary(dir), refused('that now holds 1.3.0'));
  await rm(join(root, 'version.py'));
  checkBuiltLibrary(dir);
  await writeFile(join(root, 'include/tensorrt_llm/executor/version.h'), versionHeader('1.1.0'));
  assert.throws(() => checkBuiltLibrary(dir), refused('that now holds 1.1.0'));
});

test('a library without facts beside it, which setup did not build, passes', async () => {
  checkBuiltLibrary(await directoryOf({}));
});
