import assert from 'node:assert/strict';
import { appendFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { BuildInputs, BuildTools, hashInputs } from '#lib/tensorrt-llm/build.js';
import { directoryOf, wheelFiles } from '../../tools/fake-tensorrt-llm.js';
import { PROJECT_ROOT } from '../../tools/project.js';

/** What `setup` builds from, in a copy of the package. */
async function copyPackage(): Promise<string> {
  const copy = await directoryOf({});
  const sources = ['native/tensorrt_llm', 'native/executor', 'native/json', 'node_modules/@nozbe/simdjson'];
  for (const path of ['package.json', 'CMakeLists.txt', 'dist', ...sources]) {
    await cp(join(PROJECT_ROOT, path), join(copy, path), { recursive: true });
  }
  return copy;
}

test('the hash of a build changes with each CMakeLists.txt and source that it is made from', async () => {
  const root = join(await directoryOf(wheelFiles('1.2.1')), 'tensorrt_llm');
  const inputs: BuildInputs = {
    root,
    libraryDir: join(root, 'libs'),
    headers: { includeDir: join(root, 'include'), version: '1.2.1', hasVersionHeader: true },
    version: '1.2.1',
    cudaIncludeDirs: [],
    needs: [],
  };
  const tools: BuildTools = { cmake: 'cmake', cmakeVersion: '3.31.0', compiler: 'c++' };
  const copy = await copyPackage();
  const build = await import(pathToFileURL(join(copy, 'dist/tensorrt-llm/build.js')).href);
  const hash: typeof hashInputs = build.hashInputs;

  const hashes = new Set([await hash(inputs, tools), await hash(inputs, tools)]);
  assert.equal(hashes.size, 1, 'without a change it stays the same');
  const changed = [
    'CMakeLists.txt',
    'native/tensorrt_llm/CMakeLists.txt',
    'native/executor/cpp/failure.h',
    'native/json/config_file.cc',
    'node_modules/@nozbe/simdjson/src/simdjson.cpp',
  ];
  for (const [i, path] of changed.entries()) {
    await appendFile(join(copy, path), '\n');
    hashes.add(await hash(inputs, tools));
    assert.equal(hashes.size, i + 2, path);
  }
});
