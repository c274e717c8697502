import { type Checks, check, readOptions } from '../checks.js';
import { pathOf } from '../engine/arguments.js';
import { openEngine, type Weights } from '../engine/directory.js';
import { executorLibrary } from '../native.js';
import { findGpus } from '../tensorrt-llm/gpus.js';
import { findMpi } from '../tensorrt-llm/mpi.js';
import { tryEngine } from '../tensorrt-llm/try-library.js';
import { type Finding, missing, ok, wrongBy } from './finding.js';
import { checkCpuExecutor, checkPlatform, checkSharedMemory } from './machine.js';
import { checkBuildTools, checkGpus, checkInstallation, checkMpi, checkTensorrtLlmExecutor } from './nvidia.js';

/** What to look at besides the machine. */
export interface DoctorOptions {
  /** An engine directory to hold against the machine. Default: none. */
  engine?: string | URL | undefined;
}

/** What this machine has of what executors need. */
export interface Diagnosis {
  /** Whether the default executor works; where an engine was given, whether its executor does and the engine fits. */
  ok: boolean;
  findings: readonly Finding[];
}

const checks: Checks<DoctorOptions> = {
  engine: check(
    'a path or a file: URL',
    (value): value is string | URL => typeof value === 'string' || value instanceof URL,
  ),
};

/**
 * Looks at all that the executors need of a machine. It changes nothing, takes no GPU, and starts a few programs, for some seconds.
 * @throws {LLMError} `ERR_INVALID_OPTION`; what is wrong with the machine or the engine is a finding.
 */
export async function doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { engine } = readOptions(options, checks, 'doctor()');
  const dir = engine === undefined ? undefined : pathOf('engine', engine);
  const [platform, installation, gpus, mpi, sharedMemory, buildTools, tensorrtLlm] = await Promise.all([
    checkPlatform(),
    checkInstallation(),
    findGpus(),
    findMpi(),
    checkSharedMemory(),
    checkBuildTools(),
    checkTensorrtLlmExecutor(),
  ]);
  const cpu = checkCpuExecutor();
  const cudaMend = "use executor: 'cpu' or 'tensorrt-llm'";
  const findings = [
    ...platform,
    cpu,
    missing("executor 'cuda'", 'not in this version', cudaMend),
    tensorrtLlm,
    ...checkGpus(gpus, installation.version),
    ...installation.findings,
    checkMpi(mpi),
    sharedMemory,
    buildTools,
  ];
  const works = [...platform, cpu].every(isOk);
  if (dir === undefined) return { ok: works, findings };
  const checked = await checkEngine(dir, isOk(tensorrtLlm));
  const executor = checked.weights === 'tensorrt' ? tensorrtLlm : cpu;
  return { ok: works && isOk(executor) && isOk(checked.finding), findings: [...findings, checked.finding] };
}

const isOk = ({ state }: Finding): boolean => state === 'ok';

/** The engine alone, then against the TensorRT-LLM and the GPUs that are here, which the executor for it alone can do. */
async function checkEngine(
  dir: string,
  hasTensorrtLlm: boolean,
): Promise<{ weights: Weights | undefined; finding: Finding }> {
  const name = 'engine';
  let weights: Weights | undefined;
  try {
    const directory = await openEngine(dir);
    ({ weights } = directory);
    const { path, rankFiles } = directory;
    if (weights === 'checkpoint')
      return { weights, finding: ok(name, `${path} is a checkpoint, which executor 'cpu' runs`) };
    const engine = `${path} is a TensorRT engine of ${rankFiles.length} ${rankFiles.length === 1 ? 'rank' : 'ranks'}`;
    if (!hasTensorrtLlm) {
      const found = `${engine}; whether it fits what is here, the executor 'tensorrt-llm' tells once it opens`;
      return { weights, finding: missing(name, found, 'npx node-tensorrt-llm setup, then doctor again') };
    }
    await tryEngine(executorLibrary('tensorrt-llm'), path);
    return { weights, finding: ok(name, `${engine}; it fits the TensorRT-LLM and the GPUs that are here`) };
  } catch (error) {
    return { weights, finding: wrongBy(name, error) };
  }
}
