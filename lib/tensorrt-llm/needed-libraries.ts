import { existsSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { cudaToolkits } from '../machine/cuda-headers.js';
import { findProgram, runProgram } from '../machine/programs.js';
import type { Installation } from './installation.js';

/** What TensorRT-LLM's libraries need and the loader does not find by itself. */
export interface NeededLibraries {
  /** Paths of those that another directory has. */
  elsewhere: readonly string[];
  /** Names of those that no directory searched has. */
  missing: readonly string[];
  /** Paths by name of all that they need and that were found, by the loader too. */
  found: ReadonlyMap<string, string>;
}

/** The driver brings it, so a machine without a GPU lacks it, and an image is often built on one. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** Asks the loader, in a process of its own that runs none of their code. Undefined if there is no ldd. */
export async function findNeededLibraries(installation: Installation): Promise<NeededLibraries | undefined> {
  const dirs = await searchedDirs(installation);
  const { libraryDir, plugin } = installation;
  const files = [join(libraryDir, 'libtensorrt_llm.so'), plugin].filter((file) => file !== undefined);
  const elsewhere = new Map<string, string>();
  for (;;) {
    const paths = Array.from(elsewhere.values());
    const resolved = await resolve([...files, ...paths], paths);
    if (resolved === undefined) return undefined;
    const missing = resolved.missing.filter((name) => !elsewhere.has(name));
    const before = elsewhere.size;
    for (const name of missing) {
      const dir = dirs.find((each) => existsSync(join(each, name)));
      if (dir !== undefined) elsewhere.set(name, join(dir, name));
    }
    // What was found may itself need what the loader does not find.
    if (elsewhere.size === before)
      return { elsewhere: paths, missing, found: new Map([...resolved.found, ...elsewhere]) };
  }
}

/** What the loader finds for these files, and what not, where it also looks where `paths` lie. */
async function resolve(
  files: readonly string[],
  paths: readonly string[],
): Promise<{ found: [string, string][]; missing: string[] } | undefined> {
  // Not where LD_LIBRARY_PATH says: that of a later process may be another. Its directories are searched as the others are.
  const env = { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: paths.map((path) => dirname(path)).join(delimiter) };
  const ran = await runProgram('ldd', files, { env });
  if (!ran) return undefined;
  const rows = Array.from(ran.stdout.matchAll(/^\s+(\S+) => (not found|\/\S+)/gm), ([, name = '', path = '']) => ({
    name,
    path,
  }));
  const isFound = ({ path }: { path: string }): boolean => path !== 'not found';
  return {
    found: rows.filter(isFound).map(({ name, path }) => [name, path]),
    missing: Array.from(new Set(rows.filter((row) => !isFound(row)).map(({ name }) => name))),
  };
}

const CUDA_DIRS = ['lib64', 'targets/x86_64-linux/lib'];

async function searchedDirs({ libraryDir, packageDirs, pythonLibraryDir }: Installation): Promise<string[]> {
  const mpirun = await findProgram('mpirun');
  return [
    libraryDir,
    ...(process.env.LD_LIBRARY_PATH ?? '').split(delimiter).filter((dir) => dir !== ''),
    ...packageDirs.flatMap((dir) => [
      join(dir, 'tensorrt_libs'),
      join(dir, 'torch/lib'),
      ...subdirsOf(join(dir, 'nvidia')).map((name) => join(dir, 'nvidia', name, 'lib')),
    ]),
    '/usr/local/tensorrt/lib',
    '/usr/local/tensorrt/targets/x86_64-linux-gnu/lib',
    ...cudaToolkits().flatMap((dir) => CUDA_DIRS.map((name) => join(dir, name))),
    ...(mpirun === undefined ? [] : [join(dirname(mpirun), '../lib')]),
    '/opt/hpcx/ompi/lib',
    '/usr/lib/x86_64-linux-gnu/openmpi/lib',
    '/usr/lib64/openmpi/lib',
    ...(pythonLibraryDir === undefined ? [] : [pythonLibraryDir]),
  ];
}

function subdirsOf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** Which of TensorRT-LLM's parts a library belongs to, and a command that brings it. */
const SOURCES: readonly (readonly [prefix: string, fix: string])[] = [
  [DRIVER_LIBRARY, "install NVIDIA's driver; in a container, run it with --gpus all"],
  ['libmpi', 'install Open MPI: apt-get install -y openmpi-bin libopenmpi-dev'],
  ['libnvinfer', 'install TensorRT: python3 -m pip install tensorrt, of the version that TensorRT-LLM asks for'],
  ['libtorch', 'install PyTorch: python3 -m pip install torch, of the version that TensorRT-LLM asks for'],
  ['libc10', 'install PyTorch: python3 -m pip install torch, of the version that TensorRT-LLM asks for'],
];

/** What to do for a library that is missing. */
export const fixFor = (library: string): string =>
  SOURCES.find(([prefix]) => library.startsWith(prefix))?.[1] ??
  'install what the wheel of TensorRT-LLM depends on: python3 -m pip install tensorrt_llm, of the same version';
