import { openEngine, type Weights } from '../engine/directory/directory.js';
import { executorLibrary } from '../executors.js';
import { findGpus } from '../machine/gpus.js';
import { findMpi } from '../machine/mpi.js';
import { tryEngine } from '../tensorrt-llm/try-library.js';
import { checkAuto, checkCuda } from './cuda.js';
import { type Diagnosis, type Finding, missing, ok, wrongBy } from './finding.js';
import { checkCpuExecutor, checkPlatform, checkSharedMemory } from './machine.js';
import { checkBuildTools, checkGpus, checkInstallation, checkMpi, checkTensorrtLlmExecutor } from './nvidia.js';

/** What doctor() does, with the engine directory to look at. */
export async function diagnose(dir: string | undefined): Promise<Diagnosis> {
  const [platform, installation, gpus, mpi, sharedMemory, buildTools, tensorrtLlm, cuda, auto] = await Promise.all([
    checkPlatform(),
    checkInstallation(),
    findGpus(),
    findMpi(),
    checkSharedMemory(),
    checkBuildTools(),
    checkTensorrtLlmExecutor(),
    checkCuda(),
    checkAuto(),
  ]);
  const cpu = checkCpuExecutor();
  const findings = [
    ...platform,
    auto.finding,
    cpu,
    ...cuda,
    tensorrtLlm,
    ...checkGpus(gpus, installation.version),
    ...installation.findings,
    checkMpi(mpi),
    sharedMemory,
    buildTools,
  ];
  const works = [...platform, cpu].every(isOk);
  if (dir === undefined) return { ok: works, findings };
  const checked = await checkEngine(dir, isOk(tensorrtLlm), auto.executor);
  const executor = checked.weights === 'tensorrt' ? tensorrtLlm : cpu;
  return { ok: works && isOk(executor) && isOk(checked.finding), findings: [...findings, checked.finding] };
}

const isOk = ({ state }: Finding): boolean => state === 'ok';

/** The engine alone, then against the TensorRT-LLM and the GPUs that are here, which the executor for it alone can do. */
async function checkEngine(
  dir: string,
  hasTensorrtLlm: boolean,
  auto: string,
): Promise<{ weights: Weights | undefined; finding: Finding }> {
  const name = 'engine';
  let weights: Weights | undefined;
  try {
    const directory = await openEngine(dir);
    ({ weights } = directory);
    const { path, rankFiles } = directory;
    if (weights === 'checkpoint')
      return { weights, finding: ok(name, `${path} is a checkpoint, which executor '${auto}' runs`) };
    const engine = `${path} is a TensorRT engine of ${rankFiles.length} ${rankFiles.length === 1 ? 'rank' : 'ranks'}`;
    if (!hasTensorrtLlm) {
      const found = `${engine}; only the executor 'tensorrt-llm' can tell whether it fits this machine`;
      return { weights, finding: missing(name, found, 'run npx node-tensorrt-llm setup, then doctor again') };
    }
    await tryEngine(executorLibrary('tensorrt-llm'), path);
    return { weights, finding: ok(name, `${engine}; it fits the TensorRT-LLM and the GPUs of this machine`) };
  } catch (error) {
    return { weights, finding: wrongBy(name, error) };
  }
}
