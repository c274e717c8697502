import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parentOf } from './hosts.js';
import { PROJECT_ROOT } from './project.js';
import { type StandInEngine, standInEngine, standInLibrary } from './stand-in.js';

/** TensorRT-LLM's executor over the stand-in of test/stand-in that has MPI, as `npm run test:native` builds it. */
export const MPI_LIBRARY = standInLibrary('1.2-mpi');

/** The executorWorker that it starts for each rank. */
export const WORKER_PROGRAM = join(PROJECT_ROOT, 'build/stand-in-1.2-mpi/tensorrt_llm/bin/executorWorker');

/** For the option `skip` of a test: why it cannot run here. */
export const withoutMpi: string | false = existsSync(MPI_LIBRARY)
  ? false
  : 'no MPI here: install libopenmpi-dev and openmpi-bin, then npm run test:native';

/** What a script may say; test/stand-in/library/script.h says what it means. */
export type StandInScript = Readonly<Record<string, number | boolean | string | readonly number[]>>;

export interface LettersEngine extends Pick<StandInEngine, 'ranks' | 'rankBytes'> {
  script?: StandInScript;
}

/** An engine of TensorRT-LLM that the stand-in answers with letters (lettersOf); it has the tiny model's tokenizer. */
export async function lettersEngine({ ranks = 2, script = {}, ...rest }: LettersEngine = {}): Promise<string> {
  const dir = await standInEngine({ answers: 'letters', ranks, ...rest });
  await writeScript(dir, script);
  return dir;
}

/** Has its effect at the next load. */
export const writeScript = (dir: string, script: StandInScript): Promise<void> =>
  writeFile(join(dir, 'stand-in.json'), JSON.stringify(script));

/** The executorWorkers that descend from a process and have not ended. */
export const workersBelow = (ancestor: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isBelow(pid, ancestor) && nameOf(pid) === 'executorWorker');

function isBelow(pid: number, ancestor: number): boolean {
  const parent = parentOf(pid);
  return parent !== undefined && (parent === ancestor || isBelow(parent, ancestor));
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined; // it ended just now
  }
}
