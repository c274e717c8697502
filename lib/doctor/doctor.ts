import { type Checks, check, readOptions } from '../checks.js';
import { pathOf } from '../engine/arguments.js';
import { openEngine, type Weights } from '../engine/directory.js';
import { misfits, readEngineNeeds } from '../tensorrt-llm/engine-fit.js';
import { findGpus, type Gpus, visibleGpus } from '../tensorrt-llm/gpus.js';
import { findMpi } from '../tensorrt-llm/mpi.js';
import { type Finding, missing, ok, wrong, wrongBy } from './finding.js';
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
  const checked = await checkEngine(dir, installation.version, gpus);
  const executor = checked.weights === 'tensorrt' ? tensorrtLlm : cpu;
  return { ok: works && isOk(executor) && checked.findings.every(isOk), findings: [...findings, ...checked.findings] };
}

const isOk = ({ state }: Finding): boolean => state === 'ok';

/** The engine alone, then against the GPUs and the TensorRT-LLM that are here. */
async function checkEngine(
  dir: string,
  version: string | undefined,
  gpus: Gpus | string,
): Promise<{ weights: Weights | undefined; findings: Finding[] }> {
  const name = 'engine';
  try {
    const directory = await openEngine(dir);
    const { weights } = directory;
    if (weights === 'checkpoint')
      return { weights, findings: [ok(name, `${dir} is a checkpoint, which executor 'cpu' runs`)] };
    const needs = await readEngineNeeds(directory);
    const found = misfits(needs, version, typeof gpus === 'string' ? [] : visibleGpus(gpus.gpus));
    const fits = ok(
      name,
      `${dir}: TensorRT-LLM ${needs.version}, ${needs.types.join(', ')}, ${needs.ranks} ${needs.ranks === 1 ? 'rank' : 'ranks'}; it fits what is here`,
    );
    return { weights, findings: found.length === 0 ? [fits] : found.map((text) => wrong(name, `${dir}: ${text}`)) };
  } catch (error) {
    return { weights: undefined, findings: [wrongBy(name, error)] };
  }
}
