import { lstat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { show } from '../../base/checks.js';
import { LLMError, messageOf } from '../../base/errors.js';
import { isNotFound } from '../../base/file-errors.js';
import { type GgufFile, type GgufTensor, type GgufValue, openGgufFile } from './gguf.js';
import { GgufMetadata } from './gguf-metadata.js';
import { checkLink } from './source-files.js';

/** A model in GGUF: one file, or the parts that llama.cpp's gguf-split has made of one. */
export interface Gguf {
  /** Of the file, or of the first part. */
  readonly path: string;
  /** Of the file, or of the first part: the others have only those of the split. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  close(): Promise<void>;
}

export interface PlacedTensor extends GgufTensor {
  readonly file: GgufFile;
}

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;
/** Keys that differ from part to part. */
const PER_FILE = ['split.no', 'general.alignment'];

const digits = (count: number): string => String(count).padStart(5, '0');

/** The names of all parts of the model that a file of this name is a part of; undefined if its name does not say so. */
export function partNames(name: string): string[] | undefined {
  const [, stem, , count] = PART_NAME.exec(name) ?? [];
  if (count === undefined) return undefined;
  return Array.from({ length: Number(count) }, (_, i) => `${stem}-${digits(i + 1)}-of-${count}.gguf`);
}

/** Which part of a split model a file says it is: `index` counts from 0, `tensors` is those of all parts. A merged one has `count` 0. */
interface Split {
  readonly index: number;
  readonly count: number;
  readonly tensors: number | undefined;
}

function splitOf(file: GgufFile): Split {
  const metadata = new GgufMetadata(file);
  return {
    index: metadata.integer('split.no', { fallback: 0 }),
    count: metadata.integer('split.count', { fallback: 1 }),
    tensors: metadata.has('split.tensors.count') ? metadata.integer('split.tensors.count') : undefined,
  };
}

/** Opens a GGUF model by its file, or by any of its parts, which lie beside each other. */
export async function openGgufParts(path: string): Promise<Gguf> {
  const files: GgufFile[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(files.map(({ handle }) => handle.close()));
  };
  try {
    const given = await openGgufFile(path);
    files.push(given);
    const split = splitOf(given);
    if (split.count > 1) {
      const dir = dirname(path);
      const names = namesOfParts(path, split);
      for (const [index, name] of names.entries()) {
        if (index !== split.index) files.push(await openPart(dir, name, { ...split, index }));
      }
      files.sort((a, b) => splitOf(a).index - splitOf(b).index);
    }
    const [first = given] = files;
    return { path: first.path, metadata: first.metadata, tensors: joinTensors(files, first, split), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function namesOfParts(path: string, { index, count }: Split): string[] {
  const names = partNames(basename(path));
  if (names?.length === count && names[index] === basename(path)) return names;
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${path} is part ${index + 1} of ${count} of a model, by its split.no and split.count; expected a name that ends in ` +
      `-${digits(index + 1)}-of-${digits(count)}.gguf, by which the other parts are found. Give all parts the names they had.`,
  );
}

/** Opens another part than the one that was given, and checks that it is the one that its name says. */
async function openPart(dir: string, name: string, expected: Split): Promise<GgufFile> {
  const path = join(dir, name);
  const facts = await lstat(path).catch((cause: unknown) => {
    const found = isNotFound(cause) ? 'is missing' : `cannot be read: ${messageOf(cause)}`;
    const fix = 'Put it there, or pass the model in one file.';
    throw new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${path} ${found}; expected all ${expected.count} parts of the model in one directory. ${fix}`,
      { cause },
    );
  });
  if (facts.isSymbolicLink()) await checkLink(dir, path);
  const file = await openGgufFile(path);
  const { index, count, tensors } = splitOf(file);
  if (index === expected.index && count === expected.count && tensors === expected.tensors) return file;
  await file.handle.close();
  const says = (split: Split): string => `part ${split.index + 1} of ${split.count}, ${split.tensors} tensors in all`;
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${path} is ${says({ index, count, tensors })}; expected ${says(expected)}. Check that all parts are of one model.`,
  );
}

function joinTensors(files: readonly GgufFile[], first: GgufFile, split: Split): Map<string, PlacedTensor> {
  const tensors = new Map<string, PlacedTensor>();
  for (const file of files) {
    for (const [key, value] of file.metadata) {
      const other = first.metadata.get(key);
      if (PER_FILE.includes(key) || other === undefined || typeof value === 'object' || value === other) continue;
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${file.path}: ${key} is ${show(value)}; expected ${show(other)}, as in ${first.path}. Check that all parts are of one model.`,
      );
    }
    for (const [name, tensor] of file.tensors) {
      const other = tensors.get(name);
      if (other) {
        throw new LLMError(
          'ERR_SOURCE_INVALID',
          `${file.path} has the tensor ${name}, which ${other.file.path} has too. Check that all parts are of one model.`,
        );
      }
      tensors.set(name, { ...tensor, file });
    }
  }
  if (split.count <= 1 || split.tensors === undefined || tensors.size === split.tensors) return tensors;
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${first.path} and its other parts have ${tensors.size} tensors; expected ${split.tensors}, by split.tensors.count. ` +
      'Check that all parts are of one model.',
  );
}
