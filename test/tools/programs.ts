import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PROJECT_ROOT } from './project.js';

/** How a process ended. A crash is a signal, a hang that of the limit. */
export interface Exit {
  status: number | null;
  signal: string | null;
  /** What it told (program.ts), and as text each line that is something else. */
  told: unknown[];
  err: string;
}

export interface ProgramOptions {
  /** Path of the Node.js to run. Default: the one that runs. */
  node?: string;
  /** A program and its arguments that starts Node.js: mpirun. Default: none. */
  launcher?: readonly string[];
  flags?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

const LIMIT_MS = 240_000;

/** Runs a program in a process of its own, which finds `work` with given() of program.ts. */
export async function runProgram(
  program: URL,
  work: object,
  { node = process.execPath, launcher = [], flags = [], env = {} }: ProgramOptions = {},
): Promise<Exit> {
  const [command = node, ...args] = [...launcher, node, ...flags, fileURLToPath(program), JSON.stringify(work)];
  const child = spawn(command, args, {
    cwd: PROJECT_ROOT,
    env: { ...process.env, ...env },
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  const lines = out.split('\n').filter((line) => line !== '');
  return { status, signal, told: lines.map(read), err };
}

function read(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}

/** Asserts that the process ended by itself, in this way. */
export const ends = ({ status, signal, told, err }: Exit, expected: { status: number; told: unknown[] }): void =>
  assert.deepEqual({ status, signal, told }, { signal: null, ...expected }, err);
