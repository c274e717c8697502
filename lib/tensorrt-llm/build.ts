import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram, type RunOptions, runProgram } from '../machine/programs.js';
import { unavailable } from '../machine/unavailable.js';
import { EXECUTOR_LIBRARY } from './built-library.js';
import type { Compilable } from './installation.js';
import { isAtLeast, VERSION_HEADER } from './versions.js';

/** The package's own directory, which holds the sources. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url));

const OLDEST_CMAKE = [3, 21] as const;
const BUILD_TIMEOUT_MS = 30 * 60_000;
const LOG_LINES = 25;

/** The programs that build. */
export interface BuildTools {
  cmake: string;
  cmakeVersion: string;
  compiler: string;
}

/** @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` naming what is missing and the command that installs it. */
export async function findBuildTools(): Promise<BuildTools> {
  const [cmake, compiler, make] = await Promise.all([
    findProgram('cmake'),
    process.env.CXX ? findProgram(process.env.CXX) : findProgram('c++', 'g++', 'clang++'),
    findProgram('make', 'gmake', 'ninja'),
  ]);
  if (!cmake || !compiler || !make) {
    const missing = [!cmake && 'CMake', !compiler && (process.env.CXX ?? 'a C++ compiler'), !make && 'make'];
    throw unavailable(
      `${missing.filter(Boolean).join(' and ')} is not on PATH; expected it, because the executor is compiled here. Install the build tools: apt-get install -y cmake g++ make ` +
        '(or, for CMake alone, python3 -m pip install cmake)',
    );
  }
  const cmakeVersion = /version ([\d.]+)/.exec((await runProgram(cmake, ['--version']))?.stdout ?? '')?.[1] ?? '0';
  if (!isAtLeast(cmakeVersion, OLDEST_CMAKE)) {
    throw unavailable(
      `${cmake} is version ${cmakeVersion}; expected ${OLDEST_CMAKE.join('.')} or newer. Install it: python3 -m pip install cmake`,
    );
  }
  return { cmake, cmakeVersion, compiler };
}

/** What goes into a build. */
export interface BuildInputs extends Compilable {
  root: string;
  libraryDir: string;
  cudaIncludeDirs: readonly string[];
  /** Libraries to link into the executor library, because the loader does not find them by itself. */
  needs: readonly string[];
}

const simdjsonDir = (): string =>
  join(dirname(createRequire(import.meta.url).resolve('@nozbe/simdjson/package.json')), 'src');

function cmakeDefinitions({ root, libraryDir, headers, cudaIncludeDirs, needs }: BuildInputs, extraInclude: string[]) {
  const definitions = {
    CMAKE_BUILD_TYPE: 'Release',
    TENSORRT_LLM_ROOT: root,
    TENSORRT_LLM_LIB_DIR: libraryDir,
    TENSORRT_LLM_INCLUDE_DIR: [headers.includeDir, ...extraInclude].join(';'),
    TENSORRT_LLM_NEEDS: needs.join(';'),
    CUDA_INCLUDE_DIR: cudaIncludeDirs.join(';'),
    SIMDJSON_DIR: simdjsonDir(),
  };
  return Object.entries(definitions).map(([name, value]) => `-D${name}:STRING=${value}`);
}

/** The sha256 of everything that the library is built from: equal hashes mean equal libraries. */
export async function hashInputs(inputs: BuildInputs, { compiler }: BuildTools): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([compiler, ...cmakeDefinitions(inputs, [])]));
  hash.update(await readFile(join(PACKAGE_ROOT, 'CMakeLists.txt')));
  const folders = [
    join(PACKAGE_ROOT, 'native/tensorrt_llm'),
    join(PACKAGE_ROOT, 'native/executor'),
    join(PACKAGE_ROOT, 'native/executor/cpp'),
    join(PACKAGE_ROOT, 'native/json'),
    simdjsonDir(),
    join(inputs.headers.includeDir, 'tensorrt_llm/executor'),
  ];
  for (const folder of folders) {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const name of entries
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort()) {
      hash.update(name).update(await readFile(join(folder, name)));
    }
  }
  return hash.digest('hex');
}

/**
 * Compiles the executor library in `buildDir`, which the caller owns.
 * @returns the path of the library.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` with the last lines of the log, which stays beside `buildDir`.
 */
export async function buildLibrary(
  inputs: BuildInputs,
  { cmake, compiler }: BuildTools,
  buildDir: string,
  options: Pick<RunOptions, 'signal' | 'onOutput'>,
): Promise<string> {
  const generated = join(buildDir, 'generated');
  if (!inputs.headers.hasVersionHeader) await writeVersionHeader(generated, inputs.version);
  const extraInclude = inputs.headers.hasVersionHeader ? [] : [generated];
  const out = join(buildDir, 'out');
  const log = `${buildDir}.log`;
  const env = { ...process.env, CXX: compiler };
  const steps = [
    [
      '-S',
      PACKAGE_ROOT,
      '-B',
      join(buildDir, 'cmake'),
      `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${out}`,
      ...cmakeDefinitions(inputs, extraInclude),
    ],
    ['--build', join(buildDir, 'cmake'), '--parallel', String(availableParallelism())],
  ];
  let output = '';
  for (const args of steps) {
    const ran = await runProgram(cmake, args, { env, timeoutMs: BUILD_TIMEOUT_MS, ...options });
    output += ran?.output ?? `${cmake} could not be started\n`;
    if (ran?.status !== 0) {
      await writeFile(log, output);
      const tail = output.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
      throw unavailable(
        `The executor for TensorRT-LLM ${inputs.version} could not be built. Fix the error in the last lines (full log: ${log}), and run setup again:\n${tail}`,
      );
    }
  }
  return join(out, EXECUTOR_LIBRARY);
}

async function writeVersionHeader(dir: string, version: string): Promise<void> {
  const file = join(dir, VERSION_HEADER);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(
    file,
    `#pragma once\nnamespace tensorrt_llm::executor {\nstatic auto constexpr kTensorRtLlmVersion = "${version}";\n}\n`,
  );
}
