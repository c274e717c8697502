import { runProgram } from './programs.js';

/** A GPU, as nvidia-smi reports it. */
export interface Gpu {
  /** nvidia-smi's number, in the order of the PCI bus. */
  index: number;
  name: string;
  /** As "9.0". */
  computeCapability: string;
  memoryTotalMb: number;
  memoryFreeMb: number;
}

export interface Gpus {
  driver: string;
  /** The newest CUDA that the driver runs, as "12.8"; undefined where nvidia-smi does not say. */
  driverCuda: string | undefined;
  gpus: readonly Gpu[];
}

const FIELDS = 'index,name,compute_cap,memory.total,memory.free,driver_version';

/** What nvidia-smi reports, or a text that says why it reports nothing. */
export async function findGpus(): Promise<Gpus | string> {
  const [listed, summary] = await Promise.all([
    runProgram('nvidia-smi', [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits']),
    runProgram('nvidia-smi', []),
  ]);
  if (!listed) return 'nvidia-smi was not found';
  if (listed.status !== 0) return `nvidia-smi failed: ${listed.output.trim()}`;
  let driver = '';
  const gpus = listed.stdout
    .trim()
    .split('\n')
    .map((line): Gpu => {
      const [index, name = '', computeCapability = '', total, free, version = ''] = line.split(', ');
      driver = version;
      return {
        index: Number(index),
        name,
        computeCapability,
        memoryTotalMb: Number(total),
        memoryFreeMb: Number(free),
      };
    });
  const driverCuda = /CUDA (?:UMD )?Version *: *([\d.]+)/.exec(summary?.stdout ?? '')?.[1];
  return { driver, driverCuda, gpus };
}
