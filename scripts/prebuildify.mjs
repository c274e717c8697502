// Makes prebuilds/linux-x64: node-tensorrt-llm.glibc.node, the addon, and node_tensorrt_llm_host, its host program, as they are
// published: what `npm run build:native` builds, stripped. The CUDA executor of build/Release is taken along if it is fit to be
// published, and libguidance.so if it is built.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
// prebuildify strips and moves what it finds in build/Release under its working directory; with one of its own, the addon in
// the project's build/Release stays as it is.
const cwd = path.join(root, 'build', 'prebuildify');
for (const dir of [path.join(root, 'prebuilds'), cwd]) rmSync(dir, { recursive: true, force: true });
mkdirSync(cwd, { recursive: true });
const { status, error } = spawnSync(
  path.join(root, 'node_modules', '.bin', 'prebuildify'),
  [
    '--napi',
    '--tag-libc',
    '--strip',
    '--name=node-tensorrt-llm',
    `--cwd=${cwd}`,
    `--out=${root}`,
    `--node-gyp=${path.join(import.meta.dirname, 'cmake-js-as-node-gyp.mjs')}`,
  ],
  { stdio: 'inherit' },
);
if (error) console.error(`prebuildify could not be run: ${error.message}`);
if (status !== 0) process.exit(status ?? 1);
// prebuildify takes addons and shared libraries along, and no programs.
const host = 'node_tensorrt_llm_host';
const prebuilds = path.join(root, 'prebuilds', 'linux-x64');
const built = path.join(cwd, 'build', 'Release', host);
const stripped = spawnSync('strip', ['-o', path.join(prebuilds, host), built], { stdio: 'inherit' });
if (stripped.error) console.error(`strip could not be run: ${stripped.error.message}`);
if (stripped.status !== 0) process.exit(stripped.status ?? 1);
const release = path.join(root, 'build', 'Release');
const guidance = ['libguidance.so', 'libguidance.NOTICES.txt'];
const missing = guidance.find((name) => !existsSync(path.join(release, name)));
if (missing === undefined) {
  for (const name of guidance) copyFileSync(path.join(release, name), path.join(prebuilds, name));
} else {
  console.log(
    `Guided output is left out: ${path.join(release, missing)} does not exist. Build it: npm run build:guidance`,
  );
}
const cudaLibrary = path.join(import.meta.dirname, 'cuda-library.mjs');
const taken = spawnSync(process.execPath, [cudaLibrary, release, prebuilds], {
  stdio: 'inherit',
});
process.exit(taken.status ?? 1);
