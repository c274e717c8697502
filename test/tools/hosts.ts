import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/** The host processes of `isolation: 'process'` that the process has and that have not ended. */
export const hostsOf = (parent: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent && isHost(pid));

/** The one host of this process. */
export function hostPid(): number {
  const [pid, ...others] = hostsOf(process.pid);
  if (pid === undefined || others.length > 0) throw new Error(`expected one host, found ${pid}, ${others}`);
  return pid;
}

/** Resolves when the process has ended, reaped or not. */
export async function ended(pid: number): Promise<void> {
  while (parentOf(pid) !== undefined) await setTimeout(5);
}

/** Of a process that has not ended. */
export function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(parent);
  } catch {
    return undefined; // it ended just now
  }
}

function isHost(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith('/node_tensorrt_llm_host');
  } catch {
    return false;
  }
}
