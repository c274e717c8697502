import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { temporaryDirectory } from './engines.js';

/** Files by path under a directory, and what they hold. */
export type Files = Readonly<Record<string, string>>;

/** A new directory with these files; those in a `bin` can be run. */
export async function directoryOf(files: Files): Promise<string> {
  const dir = await temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    const path = join(dir, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    if (/(^|\/)bin\//.test(name)) await chmod(path, 0o755);
  }
  return dir;
}

export const versionHeader = (version: string): string =>
  `namespace tensorrt_llm::executor { static auto constexpr kTensorRtLlmVersion = "${version}"; }\n`;

/** site-packages with a wheel of this version, laid out as NVIDIA's, whose libraries are none. */
export const wheelFiles = (version: string): Files => ({
  'tensorrt_llm/__init__.py': 'raise SystemExit("it was imported")',
  'tensorrt_llm/version.py': `__version__ = "${version}"\n`,
  'tensorrt_llm/libs/libtensorrt_llm.so': '',
  'tensorrt_llm/libs/libnvinfer_plugin_tensorrt_llm.so': '',
  'tensorrt_llm/bin/executorWorker': '#!/bin/sh\n',
  'tensorrt_llm/include/tensorrt_llm/executor/executor.h': '',
  'tensorrt_llm/include/tensorrt_llm/executor/version.h': versionHeader(version),
});

const CLEARED = ['TENSORRT_LLM_ROOT', 'CUDA_HOME', 'CUDA_PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH'];
const original = { ...process.env };

/** The environment of this process, and so of what it starts, until the next call: this, and no TensorRT-LLM and no CUDA of the machine's. */
export function useEnvironment(variables: Readonly<Record<string, string>>): void {
  // The object stays, since Node.js reads the real environment too: for os.tmpdir(), for one.
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, original);
  for (const name of CLEARED) delete process.env[name];
  Object.assign(process.env, variables);
}

/** Compiles a shared library. */
export function compileLibrary(path: string, source: string, ...options: string[]): void {
  const args = ['-x', 'c++', '-', '-x', 'none', '-shared', '-fPIC', '-Wl,--no-as-needed', '-o', path, ...options];
  const { status, stderr } = spawnSync('g++', args, { input: source, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}
