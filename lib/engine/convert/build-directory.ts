import { mkdir, open, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { asWriteError, isNotFound, isSystemError, listDirectory, requirePermission } from '../../base/file-errors.js';
import { openFile } from '../../base/files.js';
import { readManifest } from '../directory/manifest.js';
import { removeLeftovers, temporaryName } from './leftovers.js';

/**
 * Makes the directory `out` of what `write` puts into the directory it is given: a temporary one beside `out`, renamed when it is
 * whole and on the disk, and removed on failure. What a process that died left beside `out` is removed too. Only an engine that
 * this package wrote is replaced, and none that holds one of `sources`.
 */
export async function buildDirectory(
  out: string,
  sources: readonly string[],
  write: (dir: string) => Promise<void>,
): Promise<void> {
  await checkReplaceable(out);
  for (const source of sources) await checkNotInside(out, source);
  const temporary = await makeTemporary(out);
  try {
    await removeLeftovers(out);
    await write(temporary);
    await syncAll(temporary);
    await publish(temporary, out);
    await syncDirectory(dirname(out));
  } catch (error) {
    throw asWriteError(error, out);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

export const writeJson = (file: string, value: unknown): Promise<void> =>
  writeFile(file, `${JSON.stringify(value, null, 2)}\n`);

async function checkReplaceable(out: string): Promise<void> {
  for (;;) {
    const inode = await inodeOf(out);
    if (inode === undefined || (await isEmpty(out)) || (await isOurEngine(out))) return;
    if ((await inodeOf(out)) === inode) break; // else another process put its own there while we looked
  }
  throw new LLMError(
    'ERR_NOT_WRITABLE',
    `${out} holds files; expected nothing, or an engine that this package wrote. Remove it, or choose another directory.`,
  );
}

async function checkNotInside(out: string, source: string): Promise<void> {
  const place = await realpath(out).catch(() => undefined);
  if (place === undefined || !(await realpath(source).catch(() => source)).startsWith(place + sep)) return;
  throw new LLMError(
    'ERR_NOT_WRITABLE',
    `${out} holds ${source}, which would be removed with the engine that is there now; expected another directory.`,
  );
}

async function inodeOf(out: string): Promise<number | undefined> {
  try {
    requirePermission('fs.read', out);
    return (await stat(out)).ino;
  } catch (cause) {
    if (isNotFound(cause)) return undefined;
    throw asWriteError(cause, out);
  }
}

async function isEmpty(out: string): Promise<boolean> {
  try {
    return (await listDirectory(out)).length === 0;
  } catch (cause) {
    if (isNotFound(cause)) return true;
    throw asWriteError(cause, out);
  }
}

const isOurEngine = async (dir: string): Promise<boolean> =>
  (await readManifest(dir).catch(() => undefined)) !== undefined;

async function makeTemporary(out: string): Promise<string> {
  try {
    const temporary = join(dirname(out), await temporaryName(out));
    for (const path of [dirname(out), temporary]) requirePermission('fs.write', path);
    await mkdir(dirname(out), { recursive: true });
    await mkdir(temporary);
    return temporary;
  } catch (error) {
    throw asWriteError(error, dirname(out));
  }
}

/** Otherwise a machine that loses power could keep the name of the directory, and not what is in its files. */
async function syncAll(dir: string): Promise<void> {
  requirePermission('fs.read', dir);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) {
      await syncAll(path);
      continue;
    }
    const handle = await openFile(path);
    await handle.sync().finally(() => handle.close());
  }
  await syncDirectory(dir);
}

/** Not every file system can, and not every process may open the directory around what it may write. */
async function syncDirectory(dir: string): Promise<void> {
  try {
    requirePermission('fs.read', dir);
    const handle = await open(dir);
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

async function publish(temporary: string, out: string): Promise<void> {
  const replaced = `${temporary}.replaced`;
  while (!(await renamed(temporary, out))) {
    await checkReplaceable(out); // it may have come while ours was built
    await rename(out, replaced).catch(ignoreNotFound); // or be gone again, where two do the same
    await rm(replaced, { recursive: true, force: true });
  }
}

/** Renames to `out`, which must be missing or an empty directory; else returns false. */
async function renamed(temporary: string, out: string): Promise<boolean> {
  try {
    await rename(temporary, out);
    return true;
  } catch (error) {
    if (isSystemError(error) && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST')) return false;
    throw error;
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
