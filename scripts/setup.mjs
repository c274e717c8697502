// Makes a clone ready: installs the pinned packages, which builds the addon and dist/, unless that is done already.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const built = [
  'node_modules',
  'dist/index.js',
  'build/Release/node_tensorrt_llm.node',
  'build/Release/node_tensorrt_llm_host',
];
if (!built.every((name) => existsSync(path.join(root, name)))) {
  const { status } = spawnSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd: root, stdio: 'inherit', shell: true });
  if (status !== 0) {
    console.error(
      'npm ci failed. It needs Node.js 20.19 or newer, CMake 3.21 or newer and a C++17 compiler (g++ 11, clang 14).',
    );
    process.exit(status ?? 1);
  }
}
