import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { findInstallation } from '#lib/tensorrt-llm/installation.js';
import { findNeededLibraries, fixFor } from '#lib/tensorrt-llm/needed-libraries.js';
import { compileLibrary, directoryOf, useEnvironment, wheelFiles } from '../../tools/fake-tensorrt-llm.js';

let packages: string;
before(async () => {
  useEnvironment({});
  packages = await directoryOf(wheelFiles('1.2.1'));
  const at = (name: string): string => join(packages, name);
  for (const dir of ['tensorrt_libs', 'nvidia/nccl/lib', 'gone']) await mkdir(at(dir), { recursive: true });
  const compile = (path: string, ...needs: string[]): void => {
    const soname = `-Wl,-soname,${path.split('/').at(-1)}`;
    compileLibrary(at(path), '', soname, '-Wl,--allow-shlib-undefined', ...needs.map(at));
  };
  compile('gone/libcuda.so.1');
  compile('gone/libmpi.so.40');
  compile('nvidia/nccl/lib/libnccl.so.2', 'gone/libcuda.so.1');
  compile('tensorrt_libs/libnvinfer.so.10', 'nvidia/nccl/lib/libnccl.so.2');
  compile('tensorrt_llm/libs/libtensorrt_llm.so', 'tensorrt_libs/libnvinfer.so.10');
  compile('tensorrt_llm/libs/libnvinfer_plugin_tensorrt_llm.so', 'gone/libmpi.so.40');
  await rm(at('gone'), { recursive: true });
});

const needed = async () => findNeededLibraries(await findInstallation({ root: join(packages, 'tensorrt_llm') }));

test('what the loader does not find is looked for among the packages, and so is what that needs in its turn', async () => {
  const found = await needed();
  const expected = ['tensorrt_libs/libnvinfer.so.10', 'nvidia/nccl/lib/libnccl.so.2'].map((name) =>
    join(packages, name),
  );
  assert.deepEqual(found?.elsewhere, expected);
  assert.equal(found?.found.get('libnvinfer.so.10'), expected[0]);
  assert.ok(found?.found.get('libc.so.6'), 'what the loader finds is told too');
});

test('what no directory has is missing, whether the library, its plugin or what they need asks for it', async () => {
  const missing = (await needed())?.missing.filter((name) => name !== 'libmpi.so.40'); // the system may have that one
  assert.deepEqual(missing, ['libcuda.so.1']);
});

test('LD_LIBRARY_PATH is searched, but not taken for what a later process will have', async () => {
  useEnvironment({ LD_LIBRARY_PATH: join(packages, 'nvidia/nccl/lib') });
  assert.ok((await needed())?.elsewhere.includes(join(packages, 'nvidia/nccl/lib/libnccl.so.2')));
});

test('each library that may be missing has a fix of its own, and any other the wheel', () => {
  assert.match(fixFor('libcuda.so.1'), /driver/);
  assert.match(fixFor('libmpi.so.40'), /openmpi/);
  assert.match(fixFor('libnvinfer.so.10'), /tensorrt/);
  assert.match(fixFor('libcublas.so.12'), /tensorrt_llm/);
});
