import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { whenAborted } from '../../base/abort.js';
import { LLMError, messageOf } from '../../base/errors.js';

/** One run of trtllm-build. Paths are absolute. */
export interface TrtllmRun {
  readonly program: string;
  readonly args: readonly string[];
  /** Gets all that the program prints, after the command itself. */
  readonly logFile: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of ranks whose engine is written. */
  readonly onRank: (done: number) => void;
}

const KEPT_LINES = 400; // of the end, where a failure is found
const LINE_LIMIT = 65_536; // characters without a line break
const RANK_IS_WRITTEN = /Engine serialized\b/;
const KILL_AFTER_MS = 5_000;

/**
 * Runs trtllm-build to its end. Its processes are a group of their own, and end with it: those that build ranks beside each other too.
 * @throws {LLMError} `ERR_BUILD_FAILED` or, where its output says so, `ERR_OUT_OF_MEMORY`, `ERR_EXECUTOR_UNAVAILABLE`,
 *   `ERR_MODEL_UNSUPPORTED`; an abort throws the signal's reason.
 */
export async function runTrtllmBuild(run: TrtllmRun): Promise<void> {
  const { program, args, logFile, timeoutMs, signal } = run;
  signal?.throwIfAborted();
  const log = createWriteStream(logFile);
  log.on('error', () => {}); // told when it is closed
  log.write(`${shellCommand(program, args)}\n`);
  let ranks = 0;
  const lines = new LastLines((line) => {
    if (RANK_IS_WRITTEN.test(line)) run.onRank(++ranks);
  });
  let ending: 'timeout' | 'abort' | undefined;
  const child = start(program, args);
  const end = (why: 'timeout' | 'abort'): void => {
    ending ??= why;
    killGroup(child.pid, 'SIGTERM');
    setTimeout(() => killGroup(child.pid, 'SIGKILL'), KILL_AFTER_MS).unref();
  };
  const timer = setTimeout(() => end('timeout'), timeoutMs);
  const ignoreAbort = signal ? whenAborted(signal, () => end('abort')) : undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log.write(text);
      lines.add(text);
    });
  }
  try {
    const [status, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    killGroup(child.pid, 'SIGKILL'); // what it left behind
    if (ending === 'abort') signal?.throwIfAborted();
    if (ending === 'timeout') {
      throw failed(run, `took longer than ${timeoutMs} ms and was stopped`, 'Raise buildTimeoutMs.');
    }
    if (status !== 0) throw failureOf(run, status, by, lines.all());
  } catch (error) {
    if (LLMError.is(error) || signal?.aborted) throw error;
    throw failed(
      run,
      `could not be started: ${messageOf(error)}`,
      'Check that it is a program that you may run.',
      error,
    );
  } finally {
    clearTimeout(timer);
    ignoreAbort?.();
    log.end();
    await finished(log).catch(() => {});
  }
}

function start(program: string, args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // it has ended
  }
}

/** The command as a shell takes it. */
export const shellCommand = (program: string, args: readonly string[]): string =>
  [program, ...args]
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');

/** Lines as they become whole, of which the last ones are kept. */
class LastLines {
  readonly #lines: string[] = [];
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(text: string): void {
    const parts = (this.#rest + text).split(/\r?\n|\r/);
    this.#rest = parts.pop() ?? '';
    if (this.#rest.length > LINE_LIMIT) {
      parts.push(this.#rest);
      this.#rest = '';
    }
    for (const line of parts) {
      this.#lines.push(line);
      this.#onLine(line);
    }
    this.#lines.splice(0, this.#lines.length - KEPT_LINES);
  }

  all(): string[] {
    return this.#rest === '' ? this.#lines : [...this.#lines, this.#rest];
  }
}

type Code = 'ERR_BUILD_FAILED' | 'ERR_OUT_OF_MEMORY' | 'ERR_EXECUTOR_UNAVAILABLE' | 'ERR_MODEL_UNSUPPORTED';

/** What trtllm-build and what is below it print where they fail, the more telling first. */
const KNOWN_FAILURES: readonly { readonly pattern: RegExp; readonly code: Code; readonly fix: string }[] = [
  {
    pattern: /CUDA out of memory|OutOfMemory|out of memory|Cannot allocate memory|MemoryError/i,
    code: 'ERR_OUT_OF_MEMORY',
    fix: 'Lower maxBatchSize, maxNumTokens or maxSeqLen, use more GPUs (tpSize), or quantize the weights (quantization).',
  },
  {
    pattern: /unrecognized arguments|invalid choice|expected one argument|argument --\w+: /,
    code: 'ERR_BUILD_FAILED',
    fix: 'This trtllm-build takes other arguments. Check extraArguments; supported are TensorRT-LLM 0.13 to 1.2.',
  },
  {
    pattern: /ModuleNotFoundError|ImportError|cannot open shared object file|command not found/,
    code: 'ERR_EXECUTOR_UNAVAILABLE',
    fix: 'TensorRT-LLM is not installed completely: reinstall it, or run in its container. npx node-tensorrt-llm doctor lists what is missing.',
  },
  {
    pattern:
      /no CUDA-capable device|CUDA driver version is insufficient|Found no NVIDIA driver|invalid device ordinal/i,
    code: 'ERR_EXECUTOR_UNAVAILABLE',
    fix: 'trtllm-build needs a GPU of the kind that is to run the engine. npx node-tensorrt-llm doctor shows what it sees.',
  },
  {
    pattern:
      /Required but not provided tensors|Unsupported model architecture|Unsupported architecture|not supported (on|for|in) (sm|SM)/,
    code: 'ERR_MODEL_UNSUPPORTED',
    fix: 'Use another dtype or quantization, or a TensorRT-LLM that supports the model on this GPU.',
  },
];

function failureOf(
  run: TrtllmRun,
  status: number | null,
  by: NodeJS.Signals | null,
  lines: readonly string[],
): LLMError {
  const found = KNOWN_FAILURES.map((known) => ({
    ...known,
    line: lines.findLast((line) => known.pattern.test(line)),
  })).find(({ line }) => line !== undefined);
  const ended = by === null ? `ended with status ${status}` : `was killed by ${by} (${constants.signals[by]})`;
  if (found) return failed(run, `${ended}: ${found.line?.trim()}`, found.fix, undefined, found.code);
  const last =
    lines.findLast((line) => /error|exception|assert/i.test(line)) ?? lines.findLast((line) => line.trim() !== '');
  const fix =
    by === 'SIGKILL'
      ? 'Linux kills what takes too much memory: lower maxBatchSize or maxNumTokens, or build on a machine with more.'
      : 'The log says more.';
  return failed(run, last === undefined ? `${ended} and printed nothing` : `${ended}: ${last.trim()}`, fix);
}

const MESSAGE_LIMIT = 500; // characters of what it printed

const failed = (
  run: TrtllmRun,
  what: string,
  fix: string,
  cause?: unknown,
  code: Code = 'ERR_BUILD_FAILED',
): LLMError =>
  new LLMError(code, `${run.program} ${what.slice(0, MESSAGE_LIMIT)}. ${fix} Log: ${run.logFile}`, { cause });
