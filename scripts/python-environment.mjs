import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

/**
 * The bin directory of a Python environment that has what a requirements file names and nothing else. It stays in build/ until the
 * file changes.
 */
export function pythonEnvironment(name, requirements) {
  const dir = path.join(root, 'build', 'python', name);
  const bin = path.join(dir, 'bin');
  const wanted = readFileSync(path.join(root, requirements), 'utf8');
  const stamp = path.join(dir, 'requirements.txt');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return bin;
  const run = (command, ...args) => {
    const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', process.stderr, 'inherit'] });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}.`);
  };
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(path.dirname(dir), { recursive: true });
  run('python3', '-m', 'venv', dir);
  // The file names all it needs, with their hashes; pip would look for the extras of dependencies too.
  run(path.join(bin, 'pip'), 'install', '--quiet', '--no-deps', '--require-hashes', '-r', requirements);
  writeFileSync(stamp, wanted);
  return bin;
}
