import { findProgram, runProgram } from './programs.js';

/** What starts processes for several GPUs. */
export interface Mpi {
  /** The first line of `mpirun --version`. */
  name: string;
  isOpenMpi: boolean;
  /** Open MPI's daemon, which starts workers from a process that mpirun did not start; undefined if it is not on PATH. */
  daemon: string | undefined;
}

/** Undefined if there is no mpirun. */
export async function findMpi(): Promise<Mpi | undefined> {
  const ran = await runProgram('mpirun', ['--version']);
  if (!ran) return undefined;
  const lines = ran.output.trim().split('\n');
  const version = lines.find((line) => /^\s*Version:/.test(line)); // MPICH's launcher prints it on a line of its own
  return {
    name: [lines[0]?.trim(), version?.trim()].filter(Boolean).join(' '),
    isOpenMpi: ran.output.includes('Open MPI'),
    daemon: await findProgram('orted', 'prted', 'prte'),
  };
}
