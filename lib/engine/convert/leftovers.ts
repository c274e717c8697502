import { createHash, randomUUID } from 'node:crypto';
import { readFile, readlink, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isSystemError, listDirectory, requirePermission } from '../../base/file-errors.js';

/**
 * A name is `.OUT.part-MACHINE-PID-STARTTIME-UUID`, so that others can tell whether the process that writes there lives. Where /proc
 * cannot be read, and for what is being removed, it has the UUID alone.
 */
const prefixOf = (out: string): string => `.${basename(out)}.part-`;
const OWNER = /^([0-9a-f]{8})-(\d+)-(\d+)-/;

/** How long nobody must have written to what a process of another machine or container made: it cannot be seen from here. */
const IDLE_MS = 3_600_000;

export async function temporaryName(out: string): Promise<string> {
  const owner = [await machine(), process.pid, await startTimeOf(process.pid)];
  return `${prefixOf(out)}${owner.includes(undefined) ? '' : `${owner.join('-')}-`}${randomUUID()}`;
}

/** Removes, as far as it may, what processes that were killed left of engines that were to become `out`. */
export async function removeLeftovers(out: string): Promise<void> {
  await ignoringSystem(async () => {
    for (const name of await listDirectory(dirname(out))) {
      if (!name.startsWith(prefixOf(out))) continue;
      const path = join(dirname(out), name);
      if (await isInUse(path, name.slice(prefixOf(out).length))) continue;
      // Renamed first: a process that lives after all must not find half of it, and publish that.
      const removed = join(dirname(out), `${prefixOf(out)}${randomUUID()}`);
      await ignoringSystem(() => rename(path, removed));
      await ignoringSystem(() => rm(removed, { recursive: true, force: true }));
    }
  });
}

async function isInUse(path: string, owner: string): Promise<boolean> {
  const [, where, pid, startTime] = OWNER.exec(owner) ?? [];
  if (where !== undefined && where === (await machine())) return (await startTimeOf(Number(pid))) === startTime;
  let written = 0;
  await ignoringSystem(async () => {
    const files = await listDirectory(path);
    for (const file of [path, ...files.map((name) => join(path, name))]) {
      written = Math.max(written, (await stat(file)).mtimeMs);
    }
  });
  return Date.now() - written < IDLE_MS;
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
