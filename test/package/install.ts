import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

/** What npm says of a tarball. */
export interface Packed {
  filename: string;
  size: number;
  unpackedSize: number;
  files: { path: string; size: number }[];
}

const exec = promisify(execFile);

/** What a program writes to standard output; it rejects with all it wrote if the program fails. */
export async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    return (await exec(program, args, { cwd })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** Packs the project, and installs it in `app`: a user's project, which has the package and nothing else. */
export async function installPackage(): Promise<{ packed: Packed; tarball: string; app: string }> {
  const dir = await temporaryDirectory();
  // --ignore-scripts: the scripts would build again what the tests that run beside this one use.
  const listing = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], PROJECT_ROOT);
  const [packed] = JSON.parse(listing) as [Packed];
  const tarball = join(dir, packed.filename);
  const app = join(dir, 'app');
  await mkdir(app);
  await writeFile(join(app, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', tarball], app);
  return { packed, tarball, app };
}
