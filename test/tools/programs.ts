import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SCRIPTED_LIBRARY } from './engines.js';
import { PROJECT_ROOT } from './project.js';

/** How a process ended. A crash is a signal, a hang that of the limit. */
export interface Exit {
  status: number | null;
  signal: string | null;
  out: string;
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

const LIMIT_MS = 120_000;

const IMPORTS = `
  import { once } from 'node:events';
  import { Worker, parentPort, workerData } from 'node:worker_threads';
  import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
  import { LLM } from 'node-tensorrt-llm';
  const SCRIPTED = { executor: { library: ${JSON.stringify(SCRIPTED_LIBRARY)} } };
  const LONG = { maxTokens: 8000, temperature: 0, ignoreEos: true };
  const hasChunk = async (generation) => { await generation[Symbol.asyncIterator]().next(); };
`;

/**
 * Runs an ES module in a process of its own. Besides what IMPORTS gives, it finds the fields of `constants`, and
 * `startWorker(program, workerData)`, whose program finds IMPORTS too.
 */
export async function runProgram(
  program: string,
  constants: Readonly<Record<string, string | number>>,
  { node = process.execPath, launcher = [], flags = [], env = {} }: ProgramOptions = {},
): Promise<Exit> {
  const prelude = `${IMPORTS}
    const startWorker = (program, workerData) =>
      new Worker(${JSON.stringify(IMPORTS)} + program, { eval: true, workerData }); // it inherits --input-type
    const { ${Object.keys(constants).join(', ')} } = ${JSON.stringify(constants)};
  `;
  const [command = node, ...args] = [...launcher, node, ...flags, '--input-type=module', '-e', prelude + program];
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
  return { status, signal, out, err };
}

/** Asserts that the process ended by itself, in this way. */
export const ends = ({ status, signal, out, err }: Exit, expected: { status: number; out: string }): void =>
  assert.deepEqual({ status, signal, out }, { signal: null, ...expected }, err);
