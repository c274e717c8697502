import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS } from '../../../tools/tiny-llama.js';
import { temporaryDirectory } from '../helpers.js';
import { type GgufInput, ggufBytes } from './gguf-bytes.js';
import { ggufMetadata, ggufTensors } from './tiny-gguf.js';

const SPEC = TINY_LLAMAS.untied;
const TENSORS = ggufTensors(SPEC);
const nameOf = (part: number): string => `model-0000${part}-of-00003.gguf`;
/** What belongs to which part; the first has metadata alone, as llama-gguf-split --no-tensor-first-split makes it. */
const PARTS = [[], TENSORS.slice(0, 5), TENSORS.slice(5)];

const partBytes = (part: number, changes: Record<string, GgufInput> = {}): Buffer =>
  ggufBytes(
    {
      ...(part === 1 && ggufMetadata(SPEC)),
      'general.alignment': { u32: 32 * part },
      'split.no': { u32: part - 1 },
      'split.count': { u32: 3 },
      'split.tensors.count': { u32: TENSORS.length },
      ...changes,
    },
    PARTS[part - 1] ?? [],
    32 * part,
  );

/** A directory `parts` in one that is gone after the test. */
async function writeParts(t: TestContext): Promise<{ dir: string; parts: string }> {
  const dir = await temporaryDirectory(t);
  const parts = join(dir, 'parts');
  await mkdir(parts);
  for (const part of [1, 2, 3]) await writeFile(join(parts, nameOf(part)), partBytes(part));
  return { dir, parts };
}

test('a split GGUF converts as one file does, given any of its parts or the directory', async (t) => {
  const { dir, parts } = await writeParts(t);
  const merged = { 'split.no': { u32: 0 }, 'split.count': { u32: 0 }, 'split.tensors.count': { u32: 3 } };
  await writeFile(join(dir, 'whole.gguf'), ggufBytes({ ...ggufMetadata(SPEC), ...merged }, TENSORS));
  const weights = async (source: string): Promise<Buffer> =>
    readFile(join(await convert(source, join(dir, 'out')), 'rank0.safetensors'));
  const whole = await weights(join(dir, 'whole.gguf'));
  for (const source of [parts, ...[1, 2, 3].map((part) => join(parts, nameOf(part)))]) {
    assert.ok((await weights(source)).equals(whole), source);
  }
  assert.deepEqual((await openEngine(join(dir, 'out'))).manifest?.source, { kind: 'gguf', name: nameOf(1) });
});

test("a split GGUF in the hub's cache converts by its links, in a directory of a snapshot too", async (t) => {
  const { dir, parts } = await writeParts(t);
  const snapshot = join(dir, 'hub', 'snapshots', 'c0ffee');
  await mkdir(join(dir, 'hub', 'blobs'), { recursive: true });
  await mkdir(join(snapshot, 'Q8_0'), { recursive: true });
  for (const part of [1, 2, 3]) {
    await copyFile(join(parts, nameOf(part)), join(dir, 'hub', 'blobs', `blob${part}`));
    await symlink(join('..', '..', '..', 'blobs', `blob${part}`), join(snapshot, 'Q8_0', nameOf(part)));
    await symlink(join('..', '..', 'blobs', `blob${part}`), join(snapshot, nameOf(part)));
  }
  for (const source of [
    snapshot,
    join(snapshot, nameOf(2)),
    join(snapshot, 'Q8_0'),
    join(snapshot, 'Q8_0', nameOf(1)),
  ]) {
    await convert(source, join(dir, 'out'));
  }
  await rm(join(snapshot, nameOf(3)));
  await symlink(join(parts, nameOf(3)), join(snapshot, nameOf(3)));
  await assert.rejects(
    convert(join(snapshot, nameOf(1)), join(dir, 'out')),
    failsWith('ERR_SOURCE_INVALID', join(snapshot, nameOf(3)), 'is a link to'),
  );
});

/** What is done to the parts, and what the message must name. */
const WRONG: Record<
  string,
  [(parts: string) => Promise<unknown>, 'ERR_SOURCE_NOT_FOUND' | 'ERR_SOURCE_INVALID', string]
> = {
  'a missing part': [
    (parts) => rm(join(parts, nameOf(3))),
    'ERR_SOURCE_NOT_FOUND',
    `${nameOf(3)} is missing; expected all 3 parts`,
  ],
  'a part cut off': [(parts) => truncate(join(parts, nameOf(3)), 3000), 'ERR_SOURCE_INVALID', `${nameOf(3)}: tensor`],
  'two parts that traded names': [
    async (parts) => {
      await rename(join(parts, nameOf(2)), join(parts, 'aside'));
      await rename(join(parts, nameOf(3)), join(parts, nameOf(2)));
      await rename(join(parts, 'aside'), join(parts, nameOf(3)));
    },
    'ERR_SOURCE_INVALID',
    `${nameOf(2)} is part 3 of 3, ${TENSORS.length} tensors in all; expected part 2 of 3`,
  ],
  'a part of a model that was split in another way': [
    (parts) => writeFile(join(parts, nameOf(2)), partBytes(2, { 'split.count': { u32: 4 } })),
    'ERR_SOURCE_INVALID',
    `${nameOf(2)} is part 2 of 4`,
  ],
  'a part of a model with more tensors': [
    (parts) => writeFile(join(parts, nameOf(2)), partBytes(2, { 'split.tensors.count': { u32: 400 } })),
    'ERR_SOURCE_INVALID',
    `${nameOf(2)} is part 2 of 3, 400 tensors in all`,
  ],
  'a part of another kind of model': [
    (parts) => writeFile(join(parts, nameOf(2)), partBytes(2, { 'general.architecture': 'qwen2' })),
    'ERR_SOURCE_INVALID',
    `${nameOf(2)}: general.architecture is "qwen2"; expected "llama"`,
  ],
  'a part that is a whole model': [
    (parts) => writeFile(join(parts, nameOf(2)), ggufBytes(ggufMetadata(SPEC), TENSORS)),
    'ERR_SOURCE_INVALID',
    `${nameOf(2)} is part 1 of 1`,
  ],
  'tensors twice': [
    (parts) =>
      writeFile(
        join(parts, nameOf(3)),
        ggufBytes(
          { 'split.no': { u32: 2 }, 'split.count': { u32: 3 }, 'split.tensors.count': { u32: TENSORS.length } },
          TENSORS,
        ),
      ),
    'ERR_SOURCE_INVALID',
    `${nameOf(3)} has the tensor token_embd.weight, which`,
  ],
  'a tensor too few': [
    (parts) =>
      writeFile(
        join(parts, nameOf(3)),
        ggufBytes(
          { 'split.no': { u32: 2 }, 'split.count': { u32: 3 }, 'split.tensors.count': { u32: TENSORS.length } },
          TENSORS.slice(6),
        ),
      ),
    'ERR_SOURCE_INVALID',
    `${TENSORS.length - 1} tensors; expected ${TENSORS.length}`,
  ],
};

for (const [what, [spoil, code, named]] of Object.entries(WRONG)) {
  test(`a split GGUF with ${what} is refused by the name of the file`, async (t) => {
    const { dir, parts } = await writeParts(t);
    await spoil(parts);
    await assert.rejects(convert(join(parts, nameOf(1)), join(dir, 'out')), failsWith(code, parts, named));
  });
}

test('a part under another name is refused, because the others are found by it', async (t) => {
  const { dir, parts } = await writeParts(t);
  for (const name of ['renamed.gguf', 'model-00002-of-00004.gguf', 'model-00003-of-00002.gguf']) {
    await rename(join(parts, nameOf(2)), join(parts, name));
    await assert.rejects(
      convert(join(parts, name), join(dir, 'out')),
      failsWith('ERR_SOURCE_INVALID', join(parts, name), 'is part 2 of 3', '-00002-of-00003.gguf'),
    );
    await rename(join(parts, name), join(parts, nameOf(2)));
  }
});

test('a piece of a file that was cut up anywhere is refused, and the message says to join the pieces', async (t) => {
  const { dir } = await writeParts(t);
  for (const name of ['model.gguf.part1of2', 'model.gguf.part2of2', 'model.gguf-split-b']) {
    await writeFile(join(dir, name), partBytes(2));
    await assert.rejects(
      convert(join(dir, name), join(dir, 'out')),
      failsWith('ERR_SOURCE_INVALID', join(dir, name), 'Join the pieces in their order: cat'),
    );
  }
});

test('split numbers that no split has are refused', async (t) => {
  const { dir, parts } = await writeParts(t);
  const path = join(parts, nameOf(1));
  for (const changes of [
    { 'split.no': { u32: 3 } },
    { 'split.count': { u32: 4_000_000_000 } },
    { 'split.count': 'many' },
  ]) {
    await writeFile(path, partBytes(1, changes));
    await assert.rejects(convert(path, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', path));
  }
});
