import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { findInstallation, requireHeaders, type SearchOptions } from '#lib/tensorrt-llm/installation.js';
import { failsWith } from '../../tools/fails-with.js';
import { directoryOf, useEnvironment, versionHeader, wheelFiles } from '../../tools/fake-tensorrt-llm.js';

const unavailable = (...named: (string | RegExp)[]) => failsWith('ERR_EXECUTOR_UNAVAILABLE', ...named);
const headersOf = async (options: SearchOptions) => requireHeaders(await findInstallation(options), options.include);

beforeEach(() => useEnvironment({}));

test('the wheel of python3 is found whole, and is not imported', async () => {
  const packages = await directoryOf(wheelFiles('1.2.1'));
  useEnvironment({ PYTHONPATH: packages });
  const found = await findInstallation();
  const root = join(packages, 'tensorrt_llm');
  assert.deepEqual(
    { ...found, packageDirs: found.packageDirs.slice(0, 1), pythonLibraryDir: undefined },
    {
      root,
      foundBy: 'python3',
      version: '1.2.1',
      libraryDir: join(root, 'libs'),
      headers: { includeDir: join(root, 'include'), version: '1.2.1', hasVersionHeader: true },
      plugin: join(root, 'libs/libnvinfer_plugin_tensorrt_llm.so'),
      worker: join(root, 'bin/executorWorker'),
      packageDirs: [packages],
      pythonLibraryDir: undefined,
    },
  );
});

test('a folder named tensorrt_llm in the working directory is not taken for the package', async () => {
  const before = process.cwd();
  process.chdir(await directoryOf(wheelFiles('1.2.1')));
  try {
    await assert.rejects(findInstallation(), unavailable('was not found'));
  } finally {
    process.chdir(before);
  }
});

test('root goes before TENSORRT_LLM_ROOT, that before python3, and that before the last setup', async () => {
  const [option, variable, packages, before] = await Promise.all(
    ['1.0.0', '1.1.0', '1.2.0', '0.20.0'].map((version) => directoryOf(wheelFiles(version))),
  );
  const last = {
    packageVersion: '',
    tensorrtLlmVersion: '0.20.0',
    root: `${before}/tensorrt_llm`,
    libraryDir: '',
    includeDir: '',
    needs: [],
    inputs: '',
  };
  const versionOf = async (options: SearchOptions) => (await findInstallation({ ...options, last })).version;
  assert.equal(await versionOf({}), '0.20.0');
  useEnvironment({ PYTHONPATH: `${packages}` });
  assert.equal(await versionOf({}), '1.2.0');
  useEnvironment({ PYTHONPATH: `${packages}`, TENSORRT_LLM_ROOT: `${variable}/tensorrt_llm` });
  assert.equal(await versionOf({}), '1.1.0');
  assert.equal(await versionOf({ root: `${option}/tensorrt_llm` }), '1.0.0');
});

test('a directory with include/ and lib/ is an installation, whose headers tell the version', async () => {
  const root = await directoryOf({
    'lib/libtensorrt_llm.so': '',
    'include/tensorrt_llm/executor/executor.h': '',
    'include/tensorrt_llm/executor/version.h': versionHeader('1.0.0'),
  });
  const found = await findInstallation({ root });
  const { libraryDir } = found;
  assert.equal(libraryDir, join(root, 'lib'));
  assert.equal(found.version, undefined);
  assert.equal(requireHeaders(found, undefined).version, '1.0.0');
});

test('where nothing is found the error says what was searched, and how to name a directory', async () => {
  await assert.rejects(findInstallation(), unavailable('TENSORRT_LLM_ROOT is not set', 'python3 (', '--root'));
  useEnvironment({ PATH: await directoryOf({}) });
  await assert.rejects(findInstallation(), unavailable('python3 does not run'));
});

test('a root without the library is refused by its path and by what named it', async () => {
  const root = await directoryOf({ 'include/tensorrt_llm/executor/executor.h': '' });
  await assert.rejects(findInstallation({ root }), unavailable(root, '--root', 'libtensorrt_llm.so'));
  useEnvironment({ TENSORRT_LLM_ROOT: root });
  await assert.rejects(findInstallation(), unavailable(root, 'by TENSORRT_LLM_ROOT'));
});

/** The wheel of 0.13, which has no headers. */
async function wheelWithoutHeaders(): Promise<string> {
  const root = join(await directoryOf(wheelFiles('0.13.0')), 'tensorrt_llm');
  await rm(join(root, 'include'), { recursive: true });
  return root;
}

test('a wheel without headers is refused with the tag of the sources that have them', async () => {
  const root = await wheelWithoutHeaders();
  await assert.rejects(headersOf({ root }), unavailable(root, '--branch v0.13.0', '--include'));
});

test('headers of a checkout, which has no version.h, are of the version that its version.py says', async () => {
  const root = await wheelWithoutHeaders();
  const checkout = await directoryOf({
    'cpp/include/tensorrt_llm/executor/executor.h': '',
    'tensorrt_llm/version.py': '__version__ = "0.13.0"\n',
  });
  const include = join(checkout, 'cpp/include');
  assert.deepEqual(await headersOf({ root, include }), {
    headers: { includeDir: include, version: '0.13.0', hasVersionHeader: false },
    version: '0.13.0',
  });
});

test('headers that do not say of which version they are are refused', async () => {
  const root = await wheelWithoutHeaders();
  const include = await directoryOf({ 'tensorrt_llm/executor/executor.h': '' });
  await assert.rejects(headersOf({ root, include }), unavailable(include, 'does not show its version', 'v0.13.0'));
});

test('headers of another version than the library are refused by both versions', async () => {
  const root = await wheelWithoutHeaders();
  const include = await directoryOf({
    'tensorrt_llm/executor/executor.h': '',
    'tensorrt_llm/executor/version.h': versionHeader('0.14.0'),
  });
  await assert.rejects(headersOf({ root, include }), unavailable('0.14.0', '0.13.0', include));
});

test('without version.py the dist-info beside the package tells its version', async () => {
  const packages = await directoryOf({ ...wheelFiles('1.0.0'), 'tensorrt_llm-1.0.0.dist-info/METADATA': '' });
  await rm(join(packages, 'tensorrt_llm/version.py'));
  assert.equal((await findInstallation({ root: join(packages, 'tensorrt_llm') })).version, '1.0.0');
});
