import { createHash, randomUUID } from 'node:crypto';
import { readFile, readlink, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isSystemError, listDirectory, requirePermission } from '../../base/file-errors.js';

/**
 * A name is `.OUT.part-MACHINE-PID-STARTTIME-UUID`, so that others can tell whether the process that writes there lives. Where /proc
 * cannot be read, and for what is being removed, it has the UUID alone.
 */
const prefixOf = (out: string): string => `.${basename(out)}.part-`;
const OWNER = /\.part-([0-9a-f]{8})-(\d+)-(\d+)-/;

/** How long nobody must have written to what a process of another machine or container made: it cannot be seen from here. */
const IDLE_MS = 3_600_000;

export async function temporaryName(out: string): Promise<string> {
  const owner = [await machine(), process.pid, await startTimeOf(process.pid)];
  return `${prefixOf(out)}${owner.includes(undefined) ? '' : `${owner.join('-')}-`}${randomUUID()}`;
}

/** Removes, as far as it may, what processes that were killed left of directories that were to become `out`. */
export async function removeLeftovers(out: string, keepOf?: (dir: string) => Promise<void>): Promise<void> {
  await ignoringSystem(async () => {
    for (const name of await listDirectory(dirname(out))) {
      if (!name.startsWith(prefixOf(out))) continue;
      const path = join(dirname(out), name);
      const owner = await ownerOf(name);
      if (owner === 'lives' || (owner === 'unknown' && (await lastWrite(path)) > Date.now() - IDLE_MS)) continue;
      // Renamed first: a process that lives after all must not find half of it, and publish that.
      const removed = join(dirname(out), `${prefixOf(out)}${randomUUID()}`);
      await ignoringSystem(async () => {
        await rename(path, removed);
        await keepOf?.(removed);
        await rm(removed, { recursive: true, force: true });
      });
    }
  });
}

/** Whether the process lives that made a directory of this name: unknown if it is one of another machine or container. */
export async function ownerOf(name: string): Promise<'lives' | 'has ended' | 'unknown'> {
  const [, where, pid, startTime] = OWNER.exec(name) ?? [];
  if (where === undefined || where !== (await machine())) return 'unknown';
  return (await startTimeOf(Number(pid))) === startTime ? 'lives' : 'has ended';
}

async function lastWrite(dir: string): Promise<number> {
  let last = 0;
  await ignoringSystem(async () => {
    const names = await listDirectory(dir);
    for (const path of [dir, ...names.map((name) => join(dir, name))])
      last = Math.max(last, (await stat(path)).mtimeMs);
  });
  return last;
}

/** Names what process ids are unique in: a start of a machine, and a container. */
async function machine(): Promise<string | undefined> {
  let name: string | undefined;
  await ignoringSystem(async () => {
    requirePermission('fs.read', '/proc');
    const start = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    const container = await readlink('/proc/self/ns/pid');
    name = createHash('sha256').update(`${start} ${container}`).digest('hex').slice(0, 8);
  });
  return name;
}

/** In ticks since the start of the machine, which tells apart processes that had the same id; undefined if there is no such process. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  let fields: string[] = [];
  await ignoringSystem(async () => {
    requirePermission('fs.read', `/proc/${pid}/stat`);
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // the name before it may have anything in it
  });
  return fields[19];
}

async function ignoringSystem(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}
