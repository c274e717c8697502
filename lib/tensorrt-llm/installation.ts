import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathOf } from '../base/paths.js';
import { isExecutable } from '../machine/programs.js';
import { findPythonPackages, type PythonPackages } from '../machine/python-packages.js';
import { unavailable } from '../machine/unavailable.js';
import type { BuiltLibrary } from './built-library.js';
import { versionOfCheckout, versionOfHeaders, versionOfPackage } from './versions.js';

export interface SearchOptions {
  /** The wheel's tensorrt_llm directory, or one with include/ and lib/ or libs/. Default: `TENSORRT_LLM_ROOT`, else what python3 has. */
  root?: string | undefined;
  /** Holds tensorrt_llm/executor/executor.h. Default: `include` in the root, else the NGC container's. */
  include?: string | undefined;
  /** What the executor library was built for before: its root and headers are taken where no other are found. */
  last?: BuiltLibrary | undefined;
}

/** What was found of TensorRT-LLM on this machine. Paths are absolute. */
export interface Installation {
  root: string;
  /** What led to the root: `'--root'`, `'TENSORRT_LLM_ROOT'`, `'python3'`, `'the last setup'`. */
  foundBy: string;
  /** Of the Python package; undefined where the root is none. */
  version: string | undefined;
  /** Holds libtensorrt_llm.so. */
  libraryDir: string;
  /** Undefined if there are none, as in the wheel of 0.13. */
  headers: Headers | undefined;
  /** libnvinfer_plugin_tensorrt_llm.so, without which no engine runs. */
  plugin: string | undefined;
  /** What orchestrator mode starts for each GPU. */
  worker: string | undefined;
  /** Package directories that may hold what TensorRT-LLM needs. */
  packageDirs: readonly string[];
  /** Holds libpython. */
  pythonLibraryDir: string | undefined;
}

export interface Headers {
  includeDir: string;
  version: string | undefined;
  /** A checkout has no version.h: one is written for the build. */
  hasVersionHeader: boolean;
}

const CONTAINER_INCLUDE = '/app/tensorrt_llm/include'; // of the images nvcr.io/nvidia/tensorrt-llm

/**
 * Looks for TensorRT-LLM without importing it: that would take seconds, and a GPU.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` naming what was searched.
 */
export async function findInstallation(options: SearchOptions = {}): Promise<Installation> {
  const python = await findPythonPackages();
  const { root, foundBy } = chooseRoot(options, python);
  const libraryDir = ['libs', 'lib', 'lib64'].map((name) => join(root, name)).find(hasLibrary);
  if (libraryDir === undefined) {
    throw unavailable(
      `${root} (found by ${foundBy}) has no libs/libtensorrt_llm.so and no lib/libtensorrt_llm.so. Set --root to the tensorrt_llm directory of the installed wheel, or reinstall TensorRT-LLM.`,
    );
  }
  const plugin = join(libraryDir, 'libnvinfer_plugin_tensorrt_llm.so');
  const worker = join(root, 'bin/executorWorker');
  return {
    root,
    foundBy,
    version: versionOfPackage(root),
    libraryDir,
    headers: findHeaders(root, options),
    plugin: existsSync(plugin) ? plugin : undefined,
    worker: (await isExecutable(worker)) ? worker : undefined,
    packageDirs: Array.from(new Set([dirname(root), ...(python?.dirs ?? [])])),
    pythonLibraryDir: python?.libDir,
  };
}

function chooseRoot(options: SearchOptions, python: PythonPackages | undefined): { root: string; foundBy: string } {
  if (options.root !== undefined) return { root: pathOf('root', options.root), foundBy: '--root' };
  const variable = process.env.TENSORRT_LLM_ROOT;
  if (variable) return { root: resolve(variable), foundBy: 'TENSORRT_LLM_ROOT' };
  if (python?.tensorrtLlm !== undefined) return { root: python.tensorrtLlm, foundBy: 'python3' };
  if (options.last) return { root: options.last.root, foundBy: 'the last setup' };
  const searched = python ? `python3 (${python.prefix}) has no tensorrt_llm package` : 'python3 does not run';
  throw unavailable(
    `TensorRT-LLM was not found: TENSORRT_LLM_ROOT is not set, and ${searched}. Install it (python3 -m pip install tensorrt_llm), ` +
      'activate the virtual environment that has it, or set its directory: npx node-tensorrt-llm setup --root SITE_PACKAGES/tensorrt_llm',
  );
}

function findHeaders(root: string, { include, last }: SearchOptions): Headers | undefined {
  const before = last?.root === root ? [last.includeDir] : [];
  const dirs =
    include === undefined ? [join(root, 'include'), CONTAINER_INCLUDE, ...before] : [pathOf('include', include)];
  const includeDir = dirs.find((dir) => existsSync(join(dir, 'tensorrt_llm/executor/executor.h')));
  if (includeDir === undefined) return undefined;
  const version = versionOfHeaders(includeDir);
  return { includeDir, version: version ?? versionOfCheckout(includeDir), hasVersionHeader: version !== undefined };
}

const hasLibrary = (dir: string): boolean => existsSync(join(dir, 'libtensorrt_llm.so'));

/** What the executor library is compiled against. */
export interface Compilable {
  headers: Headers;
  version: string;
}

/**
 * The headers, of the version that the library has.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` if there are none, or if their version is unknown or not the wheel's.
 */
export function requireHeaders({ root, version, headers }: Installation, include: string | undefined): Compilable {
  const checkout = (tag: string): string =>
    `git clone --depth 1 --branch ${tag} https://github.com/NVIDIA/TensorRT-LLM, then npx node-tensorrt-llm setup --include TensorRT-LLM/cpp/include`;
  const tag = `v${version ?? 'VERSION'}`;
  if (!headers) {
    const place = include === undefined ? `${root} has no include/` : `${resolve(include)} has no `;
    throw unavailable(
      `${place}tensorrt_llm/executor/executor.h: the wheel of ${version ?? 'this version'} has no headers. Get them from the sources of the same version: ${checkout(tag)}`,
    );
  }
  if (headers.version === undefined) {
    throw unavailable(
      `${headers.includeDir} does not show its version: it has no tensorrt_llm/executor/version.h and is not cpp/include of a git checkout. Get the headers again: ${checkout(tag)}`,
    );
  }
  if (version !== undefined && version !== headers.version) {
    throw unavailable(
      `The headers in ${headers.includeDir} are of TensorRT-LLM ${headers.version}; expected ${version}, as the library in ${root}, because class layouts differ. Use the headers of ${version}: ${checkout(tag)}`,
    );
  }
  return { headers, version: headers.version };
}
