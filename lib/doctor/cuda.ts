import { existsSync } from 'node:fs';
import { addonDirectory, hostProgram } from '../addon/addon.js';
import { chooseExecutor, libraryPath } from '../executors.js';
import { askCuda, type CudaDevice, type CudaMachine, cudaProblem } from '../machine/cuda.js';
import { type Finding, missing, ok, wrong, wrongBy } from './finding.js';

const NAME = "executor 'cuda'";

/** The executor, and what its library finds on this machine: GPUs as CUDA counts them, cuBLASLt. */
export async function checkCuda(): Promise<Finding[]> {
  try {
    addonDirectory();
  } catch (error) {
    return [wrongBy(NAME, error)];
  }
  const library = libraryPath('cuda');
  if (!existsSync(library)) {
    const fix = "reinstall the package, build it in a clone: npm run build:cuda, or use executor: 'cpu'";
    return [missing(NAME, `${library} does not exist`, fix)];
  }
  try {
    const machine = await askCuda(hostProgram(), library);
    const lt = machine.cublasLt;
    return [
      checkExecutor(machine, library),
      ...machine.devices.map(checkDevice),
      ...checkPeerAccess(machine.devices),
      lt.problem === null ? ok('cuBLASLt', `${lt.version} in ${lt.path}`) : missing('cuBLASLt', lt.problem),
    ];
  } catch (error) {
    return [wrongBy(NAME, error)];
  }
}

function checkExecutor(machine: CudaMachine, library: string): Finding {
  const problem = cudaProblem(machine);
  if (problem !== undefined) return (machine.driver.cuda === null ? missing : wrong)(NAME, problem);
  const driver = machine.driver.version === null ? '' : ` ${machine.driver.version}`;
  return ok(NAME, `${library}, with code for ${machine.architectures.join(', ')}; the driver${driver} runs it`);
}

function checkDevice(device: CudaDevice, id: number): Finding {
  const { name, uuid, computeCapability, memoryBytes, freeBytes, isMig, problem } = device;
  const total = gigabytes(memoryBytes);
  const memory = freeBytes === null ? `${total} GB` : `${gigabytes(freeBytes)} of ${total} GB free`;
  const part = isMig ? ', a part of a GPU (MIG)' : '';
  const found = `${name}${part}, ${uuid}, compute capability ${computeCapability}, ${memory}`;
  return problem === null ? ok(`CUDA device ${id}`, found) : wrong(`CUDA device ${id}`, `${found}. ${problem}`);
}

/** Whether ranks on these GPUs can read each other's memory; nothing where there is one GPU. */
function checkPeerAccess(devices: readonly CudaDevice[]): Finding[] {
  if (devices.length < 2) return [];
  const name = 'GPU peer access';
  const lacking = devices.flatMap(({ peers }, from) =>
    Array.from(devices.keys())
      .filter((to) => to !== from && !peers.some(({ device }) => device === to))
      .map((to) => `${from} cannot read the memory of ${to}`),
  );
  if (lacking.length > 0) {
    return [
      wrong(
        name,
        `CUDA device ${lacking.join(', ')}`,
        'an engine with tpSize runs on them, but slower: name GPUs that can with parallel.deviceIds; in a virtual machine, ask its host for NVLink or peer access',
      ),
    ];
  }
  const links = devices.flatMap(({ peers }) => peers.map(({ nvlink }) => nvlink));
  const kinds = [...(links.includes(true) ? ['NVLink'] : []), ...(links.includes(false) ? ['PCIe'] : [])];
  const over = links.includes(null) ? '' : `, over ${kinds.join(' or ')}`;
  return [ok(name, `each of ${devices.length} GPUs reads the memory of the others${over}`)];
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** What LLM.load takes for a checkpoint where no executor is named. */
export async function checkAuto(): Promise<{ finding: Finding; executor: string }> {
  const name = "executor 'auto'";
  try {
    const { executor, reason } = await chooseExecutor('checkpoint');
    return { finding: ok(name, `takes '${executor}' for a checkpoint: ${reason}`), executor };
  } catch (error) {
    return { finding: wrongBy(name, error), executor: 'cpu' };
  }
}
