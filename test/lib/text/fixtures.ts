import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '#lib/addon/addon.js';
import { Tokenizer, type TokenizerOptions } from '#lib/text/tokenizer.js';

/** One row of a golden made by fixtures/make_goldens.py; what is absent is equal to `text`. */
export interface GoldenRow {
  text: string;
  ids: number[];
  decoded?: string;
  decodedWithSpecial?: string;
}

export const fixturePath = (name: string): string =>
  fileURLToPath(new URL(`../../../test/lib/text/fixtures/${name}`, import.meta.url));

export const readFixture = <T>(name: string): T => JSON.parse(readFileSync(fixturePath(name), 'utf8')) as T;

export const loadFixture = (name: string, options: Partial<TokenizerOptions> = {}): Promise<Tokenizer> =>
  Tokenizer.load(loadAddon(), { tokenizerPath: fixturePath(`${name}.tokenizer.golden.json`), ...options });

/** Loads a tokenizer.json of this text, and takes the file away again. */
export const loadText = async (tokenizerJson: string): Promise<Tokenizer> => {
  const dir = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  try {
    await writeFile(join(dir, 'tokenizer.json'), tokenizerJson);
    return await Tokenizer.load(loadAddon(), { tokenizerPath: join(dir, 'tokenizer.json') });
  } finally {
    await rm(dir, { recursive: true });
  }
};

/** A generator of integers below `limit`, the same ones in each run (Lehmer, modulus 2^31 - 1). */
export const randomIntegers = (seed: number): ((limit: number) => number) => {
  let state = seed;
  return (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
};
