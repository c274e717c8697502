import { spawnSync } from 'node:child_process';

/** The first of the machine's `count` GPUs, and `arch`, what build-cuda.mjs calls its architecture; undefined if nvidia-smi shows none. */
export function firstGpu() {
  const query = ['--query-gpu=name,driver_version,compute_cap', '--format=csv,noheader'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  const lines = status === 0 ? stdout.trim().split('\n') : [];
  const [name, driver, capability] = lines[0]?.split(', ') ?? [];
  if (capability === undefined) return undefined;
  const digits = capability.trim().replace('.', '');
  return { name, driver, capability: Number(digits), arch: digits === '90' ? '90a' : digits, count: lines.length };
}
