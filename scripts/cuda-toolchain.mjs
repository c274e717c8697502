// The CUDA compiler and the headers that the CUDA executor is built with: `node scripts/cuda-toolchain.mjs` prints where they are.
// The compiler is the machine's own (CUDA_HOME, then PATH) if it is new enough, otherwise wheels from PyPI; --wheels takes the
// wheels in any case, as a release does. Wheels are pinned by version and hash, and are installed into build/cuda-toolchain once;
// CUDA_TOOLCHAIN_DIR names another folder. Needs no GPU.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(import.meta.dirname, '..');
const OLDEST_NVCC = 13; // what CCCL and FlashInfer below are tested with

const COMPILER_WHEELS = {
  'nvidia-cuda-nvcc==13.0.88': '56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03',
  'nvidia-nvvm==13.0.88': 'c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0',
  'nvidia-cuda-crt==13.0.88': '2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4',
  'nvidia-cuda-runtime==13.0.96': '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
};
// CUDA 13.0's own CCCL lacks cuda::fast_mod_div, which FlashInfer needs. Both are headers only.
const HEADER_WHEELS = {
  'nvidia-cuda-cccl==13.3.5.0.6': 'd5230098fa2df5021e1a00c0c4eee41797671a91119d31e892463e5ccf3ee326',
  'flashinfer-python==0.6.18': 'd5d26edb48f8def0bf28b2c94415aef7f0754e2cd9e3cb3d6e7081262d068aad',
};

/** Installs the wheels into `dir` unless it already holds these very ones. */
function installWheels(dir, wheels) {
  const requirements = Object.entries(wheels).map(([wheel, sha256]) => `${wheel} --hash=sha256:${sha256}\n`);
  const list = path.join(dir, 'requirements.txt');
  if (existsSync(list) && readFileSync(list, 'utf8') === requirements.join('')) return;
  const unfinished = `${dir}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    writeFileSync(path.join(unfinished, 'requirements.txt'), requirements.join(''));
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
    const target = ['--root-user-action=ignore', '--no-compile', '--only-binary=:all:', '--target', unfinished];
    const args = [...pip, ...target, '-r', path.join(unfinished, 'requirements.txt')];
    // stdout is for the caller's answer
    const { status, error } = spawnSync('python3', args, { stdio: ['ignore', process.stderr, 'inherit'] });
    if (status !== 0)
      throw new Error(
        `python3 -m pip could not install the CUDA compiler's wheels${error ? ` (${error.message})` : ''}; expected ` +
          'Python 3 with pip and a connection to PyPI. Or install CUDA 13 and set CUDA_HOME.',
      );
    rmSync(dir, { recursive: true, force: true });
    renameSync(unfinished, dir);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** The CUDA folder of an nvcc on this machine that is new enough. */
function machineCuda() {
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH].filter(Boolean);
  const nvccs = [
    ...homes.map((home) => path.join(home, 'bin', 'nvcc')),
    ...(process.env.PATH ?? '').split(path.delimiter).map((dir) => path.join(dir, 'nvcc')),
  ];
  for (const nvcc of nvccs.filter((file) => existsSync(file))) {
    const version = /release (\d+)\.(\d+)/.exec(spawnSync(nvcc, ['--version'], { encoding: 'utf8' }).stdout ?? '');
    if (version && Number(version[1]) >= OLDEST_NVCC) return path.dirname(path.dirname(nvcc));
    console.error(`${nvcc} is ${version ? `CUDA ${version[1]}.${version[2]}` : 'of no known version'}; passed over`);
  }
  return undefined;
}

/**
 * Finds or installs the toolchain.
 * @returns `nvcc`, a path; `cuda`, the folder with bin, include and lib or lib64 that it belongs to; `includes`, the folders of
 *   CCCL and FlashInfer, to be named with -isystem before CUDA's own; `packages`, where the wheels of headers and of the compiler lie,
 *   the latter undefined where the machine's CUDA is taken.
 */
export function cudaToolchain({ wheels = false } = {}) {
  const dir = path.resolve(process.env.CUDA_TOOLCHAIN_DIR ?? path.join(root, 'build', 'cuda-toolchain'));
  let cuda = wheels ? undefined : machineCuda();
  const compiler = cuda === undefined ? path.join(dir, 'compiler') : undefined;
  if (compiler !== undefined) {
    installWheels(compiler, COMPILER_WHEELS);
    cuda = path.join(compiler, 'nvidia', 'cu13');
    // The wheels say lib, their nvcc looks in lib64.
    if (!existsSync(path.join(cuda, 'lib64'))) symlinkSync('lib', path.join(cuda, 'lib64'));
  }
  const headers = path.join(dir, 'headers');
  installWheels(headers, HEADER_WHEELS);
  const flashinfer = path.join(headers, 'flashinfer', 'data');
  const includes = [
    path.join(headers, 'nvidia', 'cu13', 'include', 'cccl'),
    path.join(flashinfer, 'include'),
    path.join(flashinfer, 'cutlass', 'include'),
  ];
  return { nvcc: path.join(cuda, 'bin', 'nvcc'), cuda, includes, packages: { compiler, headers } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(JSON.stringify(cudaToolchain({ wheels: process.argv.includes('--wheels') }), undefined, 2));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
