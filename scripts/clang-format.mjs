// Formats the C++ of the project, or with --check fails on what is not formatted.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const sources = ['native', 'test/native', 'test/scripted-executor', 'test/stand-in', 'bench'].flatMap((dir) =>
  readdirSync(path.join(root, dir), { recursive: true })
    .filter((name) => /\.(cc|h|cu|cuh)$/.test(name))
    .map((name) => path.join(dir, name)),
);
const clangFormat = path.join(path.dirname(createRequire(import.meta.url).resolve('clang-format')), 'index.js');
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i'];
try {
  execFileSync(process.execPath, [clangFormat, '--style=file', ...mode, ...sources], { cwd: root, stdio: 'inherit' });
} catch {
  process.exit(1);
}
