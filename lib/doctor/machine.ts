import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { addonDirectory } from '../addon/addon.js';
import { runProgram } from '../machine/programs.js';
import { isAtLeast } from '../tensorrt-llm/versions.js';
import { type Finding, missing, ok, wrong, wrongBy } from './finding.js';

const OLDEST_GLIBC = [2, 34] as const;
const OLDEST_NODE = [20, 19] as const;
const SHM_BYTES = 2 ** 30;

export async function checkPlatform(): Promise<Finding[]> {
  const platform = `${process.platform}-${process.arch}`;
  const system = /^PRETTY_NAME="?([^"\n]+)/m.exec(readIfThere('/etc/os-release'))?.[1] ?? 'unknown system';
  const where = `${system}, ${platform}`;
  const glibc = await glibcVersion();
  const node = process.versions.node;
  return [
    platform === 'linux-x64'
      ? ok('platform', where)
      : wrong('platform', where, 'use Linux x64: in a container, a virtual machine or WSL'),
    glibc === undefined
      ? missing('glibc', 'another C library', 'use an image with glibc, such as node:22-bookworm-slim')
      : isAtLeast(glibc, OLDEST_GLIBC)
        ? ok('glibc', glibc)
        : wrong(
            'glibc',
            glibc,
            `use a system with glibc ${OLDEST_GLIBC.join('.')}: Debian 12, Ubuntu 22.04, RHEL 9 or newer`,
          ),
    isAtLeast(node, OLDEST_NODE)
      ? ok('Node.js', node)
      : wrong('Node.js', node, `install Node.js ${OLDEST_NODE.join('.')} or newer`),
    checkAddon(),
  ];
}

function checkAddon(): Finding {
  try {
    return ok('addon', `loaded from ${addonDirectory()}`);
  } catch (error) {
    return wrongBy('addon', error);
  }
}

// x86-64-v2, as the linker's psABI lists it; /proc/cpuinfo has its own names.
const V2 = ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'];
const AVX2 = ['avx2', 'fma', 'f16c'];
const AVX512 = ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq'];
const AVX512_BF16 = [...AVX512, 'avx512_bf16'];
const AMX = [...AVX512_BF16, 'amx_tile', 'amx_bf16', 'amx_int8'];

export function checkCpuExecutor(): Finding {
  const name = "executor 'cpu'";
  const cpuinfo = readIfThere('/proc/cpuinfo');
  const flags = /^flags\s*: (.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? [];
  const has = (wanted: readonly string[]): boolean => wanted.every((flag) => flags.includes(flag));
  if (!has(V2)) return wrong(name, 'the processor is older than x86-64-v2', 'use a processor made in 2009 or later');
  const intel = /^vendor_id\s*: GenuineIntel$/m.test(cpuinfo); // its AVX512-BF16 is slower than AVX-512
  const avx512 = has(AMX) ? 'amx' : has(AVX512_BF16) && !intel ? 'avx512_bf16' : 'avx512';
  const kernels = !has(AVX2) ? 'scalar' : !has(AVX512) ? 'avx2' : avx512;
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return ok(name, `${availableParallelism()} threads, ${kernels} kernels, ${(memory / 1e9).toFixed(1)} GB of memory`);
}

/** NCCL shares buffers between processes in /dev/shm, of which a container has 64 MB unless it is asked for more. */
export async function checkSharedMemory(): Promise<Finding> {
  const name = 'shared memory';
  const fix = 'start the container with --ipc=host, or --shm-size=1g for several GPUs';
  const facts = await statfs('/dev/shm').catch(() => undefined);
  if (!facts) return missing(name, '/dev/shm does not exist', fix);
  const bytes = facts.bsize * facts.blocks;
  const inContainer = existsSync('/.dockerenv') || existsSync('/run/.containerenv');
  const found = `${(bytes / 1e6).toFixed(0)} MB in /dev/shm${inContainer ? ', in a container' : ''}`;
  return bytes < SHM_BYTES && inContainer ? wrong(name, found, fix) : ok(name, found);
}

async function glibcVersion(): Promise<string | undefined> {
  const ran = await runProgram('getconf', ['GNU_LIBC_VERSION']);
  return /^glibc ([\d.]+)/.exec(ran?.stdout ?? '')?.[1];
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
