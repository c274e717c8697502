/** A generation of NVIDIA's GPUs, and the versions of TensorRT-LLM whose libraries have code for it. */
export interface Architecture {
  name: string;
  /** Compute capabilities from this, up to that of the next generation. */
  from: number;
  /** As [major, minor]; undefined where no version that this package takes has it. */
  versions: { first: readonly [number, number]; last?: readonly [number, number] } | undefined;
}

// NVIDIA's support matrices. 0.13 and 0.14 run on Turing by their code for Volta, which later ones lack.
// native/tensorrt_llm/engine_fit.cc holds a load to the same.
export const ARCHITECTURES: readonly Architecture[] = [
  { name: 'Volta', from: 7.0, versions: undefined },
  { name: 'Turing', from: 7.5, versions: { first: [0, 13], last: [0, 14] } },
  { name: 'Ampere', from: 8.0, versions: { first: [0, 13] } },
  { name: 'Ada', from: 8.9, versions: { first: [0, 13] } },
  { name: 'Hopper', from: 9.0, versions: { first: [0, 13] } },
  { name: 'Blackwell', from: 10.0, versions: { first: [0, 17] } },
];

/** Undefined for what is older than all of them. */
export const architectureOf = (computeCapability: string): Architecture | undefined =>
  ARCHITECTURES.findLast(({ from }) => Number(computeCapability) >= from);

const order = ([major = 0, minor = 0]: readonly number[]): number => major * 1000 + minor;
const shown = (version: readonly number[]): string => version.join('.');

/** Why this version of TensorRT-LLM does not run on GPUs of this compute capability; undefined if it does. */
export function whyNotOn(computeCapability: string, version: string): string | undefined {
  const architecture = architectureOf(computeCapability);
  const { name, versions } = architecture ?? { name: `compute capability ${computeCapability}`, versions: undefined };
  if (!versions) return `no TensorRT-LLM version that this package supports runs on ${name}`;
  const number = order(version.split('.').map(Number));
  const { first, last } = versions;
  if (number < order(first)) return `${name} needs TensorRT-LLM ${shown(first)} or newer`;
  if (last && number > order(last)) return `the last TensorRT-LLM for ${name} is ${shown(last)}`;
  return undefined;
}
