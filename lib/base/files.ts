import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Opening a pipe waits for its writer, and a thread of libuv's pool that waits keeps the process: not with this flag. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

const notRegular = (): Error => new Error('it is no regular file');

/** Opens a file for reading. Rejects if it is none, but a pipe, a device or a directory. */
export async function openFile(path: string): Promise<FileHandle> {
  const handle = await open(path, FLAGS);
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw notRegular();
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The text of a file; rejects as openFile does. */
export async function readText(path: string): Promise<string> {
  const handle = await openFile(path);
  try {
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** Rejects as openFile does. */
export async function checkFile(path: string): Promise<void> {
  await (await openFile(path)).close();
}
