import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';

/** How a program ended and what it wrote. */
export interface Ran {
  /** Null where a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  /** Standard output and standard error, in the order they came. */
  output: string;
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** Milliseconds until it is killed. Default: 20 seconds, for a program that only asks. */
  timeoutMs?: number;
  /** Ends it when it aborts; then its reason is thrown. */
  signal?: AbortSignal | undefined;
  /** Called with what the program writes, as it arrives. */
  onOutput?: ((text: string) => void) | undefined;
  /** Called with why the program could not be started. */
  onFailure?: ((error: unknown) => void) | undefined;
}

/** Runs a program to its end. Undefined if it could not be started. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { env = process.env, timeoutMs = 20_000, signal, onOutput, onFailure }: RunOptions = {},
): Promise<Ran | undefined> {
  signal?.throwIfAborted();
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    child = spawn(program, args, { env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    onFailure?.(error); // Node's permission model throws at once
    return undefined;
  }
  let stdout = '';
  let output = '';
  const add = (text: string): void => {
    output += text;
    onOutput?.(text);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    add(text);
  });
  child.stderr.setEncoding('utf8').on('data', add);
  // Not spawn's own: where there is no such program, that one would hold the process until its end.
  const timer = setTimeout(() => child.kill(), timeoutMs);
  try {
    const [status, ended] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { status, signal: ended, stdout, output };
  } catch (error) {
    signal?.throwIfAborted();
    onFailure?.(error);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** The path of the first of these programs that PATH has. */
export async function findProgram(...names: string[]): Promise<string | undefined> {
  for (const name of names) {
    const dirs = name.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter).filter((dir) => dir !== '');
    for (const dir of dirs) {
      const path = join(dir, name);
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

export const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
