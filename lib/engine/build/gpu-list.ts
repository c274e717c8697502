import { LLMError } from '../../base/errors.js';
import type { Gpu } from '../../machine/gpus.js';

/** GPUs of one kind to plan for. */
export interface PlannedGpus {
  readonly name: string;
  readonly count: number;
  /** Of each GPU. */
  readonly memoryBytes: number;
  /** As "9.0". */
  readonly computeCapability: string;
}

type Model = readonly [name: string, memoryMb: number, computeCapability: string];

/** Memory in MiB as nvidia-smi reports it, which is less than the name says where the GPU keeps some for error correction. */
const MODELS: readonly Model[] = [
  ['T4', 15360, '7.5'],
  ['RTX2080Ti', 11264, '7.5'],
  ['A10', 23028, '8.6'],
  ['A10G', 23028, '8.6'],
  ['A30', 24576, '8.0'],
  ['A40', 46068, '8.6'],
  ['A100-40GB', 40960, '8.0'],
  ['A100-80GB', 81920, '8.0'],
  ['RTX3090', 24576, '8.6'],
  ['RTXA6000', 49140, '8.6'],
  ['L4', 23034, '8.9'],
  ['L40', 46068, '8.9'],
  ['L40S', 46068, '8.9'],
  ['RTX4090', 24564, '8.9'],
  ['RTX6000Ada', 49140, '8.9'],
  ['H100-80GB', 81559, '9.0'],
  ['H100-NVL', 95830, '9.0'],
  ['H200', 143771, '9.0'],
];

const MAX_GPUS = 1024;
const MEBIBYTE = 1 << 20;

/**
 * Reads "2xH100-80GB", "T4": a count, 1 if it is left out, and a kind of GPU.
 * @throws {LLMError} `ERR_INVALID_OPTION` for anything else.
 */
export function parseGpus(text: string): PlannedGpus {
  const [, digits = '1', name = ''] = /^(?:(\d{1,4})\s*[x×]\s*)?(.+)$/iu.exec(text.trim()) ?? [];
  const model = MODELS.find((each) => keyOf(each[0]) === keyOf(name));
  const count = Number(digits);
  if (!model || count < 1 || count > MAX_GPUS) {
    const names = MODELS.map(([known]) => known).join(', ');
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `gpus is "${text}"; expected a count from 1 to ${MAX_GPUS} and a kind of GPU, such as "2xH100-80GB". Kinds: ${names}.`,
      { option: 'gpus' },
    );
  }
  const [known, memoryMb, computeCapability] = model;
  return { name: known, count, memoryBytes: memoryMb * MEBIBYTE, computeCapability };
}

const keyOf = (name: string): string =>
  name
    .replace(/^nvidia/i, '')
    .replace(/[\s_-]/g, '')
    .toLowerCase();

/** The GPUs of this machine. Where they differ, the ranks get no more than the least of them has. */
export function presentGpus(gpus: readonly Gpu[]): PlannedGpus | undefined {
  const [first] = gpus;
  if (!first) return undefined;
  const least = (value: (gpu: Gpu) => number): number => Math.min(...gpus.map(value));
  const capability = least(({ computeCapability }) => Number(computeCapability));
  return {
    name: gpus.every(({ name }) => name === first.name) ? first.name : gpus.map(({ name }) => name).join(', '),
    count: gpus.length,
    memoryBytes: least(({ memoryTotalMb }) => memoryTotalMb) * MEBIBYTE,
    computeCapability: capability.toFixed(1),
  };
}
