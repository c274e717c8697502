import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { addonDirectory } from '../addon/addon.js';
import { executorLibrary } from '../executors.js';
import { findCudaHeaders } from '../machine/cuda-headers.js';
import type { Gpus } from '../machine/gpus.js';
import type { Mpi } from '../machine/mpi.js';
import { architectureOf, whyNotOn } from '../tensorrt-llm/architectures.js';
import { findBuildTools } from '../tensorrt-llm/build.js';
import { type BuiltLibrary, EXECUTOR_LIBRARY, readBuiltLibrary } from '../tensorrt-llm/built-library.js';
import { findInstallation, type Installation, requireHeaders } from '../tensorrt-llm/installation.js';
import { findNeededLibraries, fixFor } from '../tensorrt-llm/needed-libraries.js';
import { tryLibrary } from '../tensorrt-llm/try-library.js';
import { doubtOf } from '../tensorrt-llm/versions.js';
import { type Finding, missing, ok, wrong, wrongBy } from './finding.js';

/** The library that setup builds: is it there, for what is there, and does it open? */
export async function checkTensorrtLlmExecutor(): Promise<Finding> {
  const name = "executor 'tensorrt-llm'";
  try {
    const dir = addonDirectory();
    const path = join(dir, EXECUTOR_LIBRARY);
    if (!existsSync(path)) return missing(name, `${path} does not exist`, 'npx node-tensorrt-llm setup');
    await tryLibrary(executorLibrary('tensorrt-llm'));
    const version = readBuiltLibrary(dir)?.tensorrtLlmVersion;
    return ok(name, `${path}${version === undefined ? '' : `, built for ${version},`} opens`);
  } catch (error) {
    return wrongBy(name, error);
  }
}

/** One finding a GPU, and the driver. */
export function checkGpus(gpus: Gpus | string, tensorrtLlm: string | undefined): Finding[] {
  if (typeof gpus === 'string') {
    return [missing('GPU', gpus, "install NVIDIA's driver; start a container with --gpus all; or use executor: 'cpu'")];
  }
  return [
    ok('driver', `${gpus.driver}, runs CUDA up to ${gpus.driverCuda ?? 'an unknown version'}`),
    ...gpus.gpus.map((gpu): Finding => {
      const kind = architectureOf(gpu.computeCapability)?.name ?? 'older than Volta';
      const found = `${gpu.name}, ${kind}, compute capability ${gpu.computeCapability}, ${gpu.memoryFreeMb} of ${gpu.memoryTotalMb} MB free`;
      const why = tensorrtLlm === undefined ? undefined : whyNotOn(gpu.computeCapability, tensorrtLlm);
      return why === undefined
        ? ok(`GPU ${gpu.index}`, found)
        : wrong(`GPU ${gpu.index}`, `${found}; TensorRT-LLM ${tensorrtLlm} is installed`, why);
    }),
  ];
}

/** TensorRT-LLM, by the same search as setup's, and what it needs. */
export async function checkInstallation(): Promise<{ findings: Finding[]; version: string | undefined }> {
  let installation: Installation;
  try {
    installation = await findInstallation({ last: lastSetup() });
  } catch (error) {
    return { findings: [{ ...wrongBy('TensorRT-LLM', error), state: 'missing' }], version: undefined };
  }
  const { root, foundBy, headers, plugin, worker, libraryDir } = installation;
  const version = installation.version ?? headers?.version;
  const found = `${version ?? 'of unknown version'} in ${root}, found by ${foundBy}`;
  const doubt = version === undefined ? undefined : doubtOf(version);
  return {
    version,
    findings: [
      doubt === undefined ? ok('TensorRT-LLM', found) : wrong('TensorRT-LLM', found, doubt),
      checkHeaders(installation),
      plugin === undefined
        ? missing('plugins', `${libraryDir} has no libnvinfer_plugin_tensorrt_llm.so`, 'reinstall TensorRT-LLM')
        : ok('plugins', plugin),
      worker === undefined
        ? missing(
            'executorWorker',
            `${root} has no bin/executorWorker`,
            'needed to use several GPUs from one process: install the complete wheel',
          )
        : ok('executorWorker', worker),
      ...(await checkNeeded(installation)),
      checkCudaHeaders(installation),
    ],
  };
}

function lastSetup(): BuiltLibrary | undefined {
  try {
    return readBuiltLibrary(addonDirectory());
  } catch {
    return undefined; // the addon's own finding says why
  }
}

function checkHeaders(installation: Installation): Finding {
  const name = 'headers';
  try {
    const { headers, version } = requireHeaders(installation, undefined);
    return ok(name, `${version} in ${headers.includeDir}`);
  } catch (error) {
    return { ...wrongBy(name, error), state: installation.headers ? 'wrong' : 'missing' };
  }
}

function checkCudaHeaders({ packageDirs }: Installation): Finding {
  try {
    const { version, includeDirs } = findCudaHeaders(packageDirs);
    return ok('CUDA headers', `${version ?? 'of unknown version'} in ${includeDirs[0]}`);
  } catch (error) {
    return { ...wrongBy('CUDA headers', error), state: 'missing' };
  }
}

/** The libraries of TensorRT-LLM's that differ most from machine to machine, and by what name it needs them. */
const NEEDED = { TensorRT: 'libnvinfer.so', NCCL: 'libnccl.so', MPI: 'libmpi.so', PyTorch: 'libtorch.so' };

async function checkNeeded(installation: Installation): Promise<Finding[]> {
  const needed = await findNeededLibraries(installation);
  if (!needed)
    return [missing('needed libraries', 'ldd, which lists them, is not installed', 'apt-get install -y libc-bin')];
  const lacking = needed.missing.map((name) => missing(name, 'not found; TensorRT-LLM needs it', fixFor(name)));
  const found = Object.entries(NEEDED).flatMap(([name, prefix]) => {
    const [, path] = Array.from(needed.found).find(([library]) => library.startsWith(prefix)) ?? [];
    return path === undefined ? [] : [ok(name, path)];
  });
  return [...found, ...lacking];
}

/** What starts the processes of an engine of several ranks. */
export function checkMpi(mpi: Mpi | undefined): Finding {
  const fix = 'apt-get install -y openmpi-bin';
  if (!mpi) return missing('mpirun', 'not on PATH; TensorRT-LLM needs Open MPI for several GPUs', fix);
  if (!mpi.isOpenMpi) {
    return wrong('mpirun', `${mpi.name}; TensorRT-LLM works only with Open MPI`, fix);
  }
  if (mpi.daemon === undefined) {
    return wrong('mpirun', `${mpi.name}, without its daemon (orted or prted), which starts the workers`, fix);
  }
  return ok('mpirun', `${mpi.name}, with ${mpi.daemon}`);
}

export async function checkBuildTools(): Promise<Finding> {
  try {
    const { cmake, cmakeVersion, compiler } = await findBuildTools();
    return ok('build tools', `CMake ${cmakeVersion} (${cmake}), ${compiler}`);
  } catch (error) {
    return { ...wrongBy('build tools', error), state: 'missing' };
  }
}
