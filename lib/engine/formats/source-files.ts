import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { openSource, readExactly } from './source.js';
import { openTar } from './tar.js';

/** The files of a source: of a directory, or of a tar archive that is read in place. */
export interface SourceFiles {
  /** Of the directory or archive. */
  readonly path: string;
  /** Paths below `path`, with slashes. */
  readonly names: ReadonlySet<string>;
  /** How messages name a file. */
  label(name: string): string;
  size(name: string): Promise<number>;
  read(name: string, position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** All of a file, whose size is checked before it is read; `fix` is what helps where it is too large. */
export async function readWhole(files: SourceFiles, name: string, maxBytes: number, fix: string): Promise<Buffer> {
  const size = await files.size(name);
  if (size <= maxBytes) {
    const { buffer, byteOffset, byteLength } = await files.read(name, 0, size);
    return Buffer.from(buffer, byteOffset, byteLength);
  }
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${files.label(name)} has ${size} bytes; expected at most ${maxBytes}. ${fix}`,
  );
}

export async function openTarFiles(path: string): Promise<SourceFiles> {
  const { handle, members } = await openTar(path);
  const member = (name: string) => members.get(name) as NonNullable<ReturnType<typeof members.get>>;
  return {
    path,
    names: new Set(members.keys()),
    label: (name) => `${path}: ${name}`,
    size: async (name) => member(name).size,
    read: (name, position, length) => readExactly(handle, `${path}: ${name}`, member(name).position + position, length),
    close: () => handle.close(),
  };
}

/** The files of a directory, and all those below the subdirectories that are named, which may be missing. */
export async function openDirectoryFiles(path: string, subdirectories: readonly string[]): Promise<SourceFiles> {
  const names = new Set<string>();
  const links = new Set<string>();
  const list = async (dir: string, recursive: boolean): Promise<void> => {
    for (const entry of await readdir(dir, { recursive, withFileTypes: true })) {
      const name = relative(path, join(entry.parentPath, entry.name)).split(sep).join('/');
      if (entry.isFile() || entry.isSymbolicLink()) names.add(name);
      if (entry.isSymbolicLink()) links.add(name);
      if (!recursive && entry.isDirectory() && subdirectories.includes(name)) await list(join(dir, name), true);
    }
  };
  await list(path, false);
  const fileOf = async (name: string): Promise<string> => {
    const file = join(path, name);
    if (links.has(name)) await checkLink(path, file);
    return file;
  };
  return {
    path,
    names,
    label: (name) => join(path, name),
    size: async (name) => (await stat(await fileOf(name))).size,
    async read(name, position, length) {
      const file = await fileOf(name);
      const handle = await openSource(file);
      try {
        return await readExactly(handle, file, position, length);
      } finally {
        await handle.close();
      }
    },
    close: async () => {},
  };
}

/**
 * Checks a symbolic link of a source. It may lead to a file in the source's directory or, in a snapshot of the Hugging Face hub's
 * cache (`snapshots/REVISION`, or a directory in it), to the cache's `blobs`. Others are refused: a downloaded link could lead to any file of this
 * machine, which would be copied into the engine.
 */
export async function checkLink(dir: string, file: string): Promise<void> {
  const root = await realpath(dir);
  const allowed = [root];
  for (const revision of [root, dirname(root)]) {
    const snapshots = dirname(revision);
    if (basename(snapshots) === 'snapshots') allowed.push(join(dirname(snapshots), 'blobs'));
  }
  const target = await realpath(file).catch((cause: unknown) => {
    const fix = 'Download the model again, or copy the file that it should lead to there.';
    throw new LLMError('ERR_SOURCE_NOT_FOUND', `${file} is a link that leads nowhere: ${messageOf(cause)}. ${fix}`, {
      cause,
    });
  });
  if (allowed.some((place) => target.startsWith(place + sep))) return;
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${file} is a link to ${target}; expected a file in ${dir}, or in the blobs of the Hugging Face cache around it. ` +
      'Replace the link with the file, or pass the directory that holds the files.',
  );
}
