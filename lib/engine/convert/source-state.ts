import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { LLMError } from '../../base/errors.js';

/** What the files of a source were when they were opened. */
export async function statesOf(files: Iterable<string>): Promise<Map<string, Stats | undefined>> {
  const states = new Map<string, Stats | undefined>();
  for (const file of new Set(files)) states.set(file, await stateOf(file));
  return states;
}

/** Throws if a file was written to since. One that was removed, or replaced by another, was read as it was. */
export async function checkUnchanged(before: ReadonlyMap<string, Stats | undefined>): Promise<void> {
  for (const [file, was] of before) {
    const is = await stateOf(file);
    if (!was || !is || is.ino !== was.ino || (is.mtimeMs === was.mtimeMs && is.size === was.size)) continue;
    throw new LLMError(
      'ERR_SOURCE_INVALID',
      `${file} was changed while it was read; expected the same file to the end. Try again when nothing is writing to it.`,
    );
  }
}

/** Undefined for what is no file by itself, but a part of an archive. */
const stateOf = (file: string): Promise<Stats | undefined> => stat(file).catch(() => undefined);
