import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type GgufFile, openGgufFile } from '#lib/engine/formats/gguf.js';
import { failsWith } from '../../../tools/fails-with.js';
import { temporaryDirectory } from '../helpers.js';
import { GGUF, type GgufInput, type GgufTensorInput, ggufBytes, string, typed, u32, u64 } from './gguf-bytes.js';

const open = async (path: string): Promise<GgufFile> => {
  const file = await openGgufFile(path);
  await file.handle.close();
  return file;
};

const tensor = (changes: Partial<GgufTensorInput> = {}): GgufTensorInput => ({
  name: 'w',
  shape: [2, 4],
  type: 0,
  data: new Uint8Array(32),
  ...changes,
});
const file = (tensors: GgufTensorInput[], metadata: Record<string, GgufInput> = {}): Buffer =>
  ggufBytes(metadata, tensors);
const header = (tensors: bigint, metadata: bigint, ...rest: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors), u64(metadata), ...rest]);
const value = (...bytes: Buffer[]): Buffer => header(0n, 1n, string('key'), ...bytes);
const nested = (depth: number): Buffer =>
  Buffer.concat(Array.from({ length: depth }, () => Buffer.concat([u32(GGUF.ARRAY), u64(1)])));

/** What is wrong, the file, and what the message must name beside the path. */
const HOSTILE: [string, Buffer, ...string[]][] = [
  ['no content', Buffer.alloc(0), '0 bytes'],
  ['another magic number', Buffer.concat([Buffer.from('GGML'), Buffer.alloc(40)]), '"GGUF"'],
  ['2^62 tensors', header(1n << 62n, 0n), 'the tensor count'],
  ['more tensors than bytes', header(1000n, 0n), 'the tensor count is 1000'],
  ['more metadata than bytes', header(0n, 1000n), 'the metadata count is 1000'],
  ['a key longer than the file', header(0n, 1n, u64(1 << 30), Buffer.alloc(64)), 'metadata key 0', '1073741824'],
  ['a string of 2^60 bytes', value(u32(GGUF.STRING), u64(1n << 60n)), 'key'],
  ['a string that is no UTF-8', value(u32(GGUF.STRING), u64(1), Buffer.of(0xff)), 'key', 'not UTF-8'],
  ['an array of 2^50 numbers', value(u32(GGUF.ARRAY), u32(GGUF.INT32), u64(1n << 50n)), 'the length of key'],
  ['an array of 2^40 strings', value(u32(GGUF.ARRAY), u32(GGUF.STRING), u64(1n << 40n)), 'the length of key'],
  ['a value of an unknown type', value(u32(99), Buffer.alloc(8)), 'key', '99'],
  ['an array of an unknown type', value(u32(GGUF.ARRAY), u32(99), u64(0)), 'key', '99'],
  ['arrays nested deep', value(u32(GGUF.ARRAY), nested(50), u32(GGUF.UINT8), u64(0)), 'key', 'nested deeper'],
  [
    'five million lists without items',
    value(u32(GGUF.ARRAY), u32(GGUF.ARRAY), u64(5_000_000), Buffer.alloc(60_000_000)),
    'more than 128 MiB of memory',
  ],
  [
    'seven million strings without characters',
    value(u32(GGUF.ARRAY), u32(GGUF.STRING), u64(7_000_000), Buffer.alloc(56_000_000)),
    'more than 128 MiB of memory',
  ],
  ['more tensors than any model', header(100_001n, 0n, Buffer.alloc(24 * 100_001)), '100001 tensors', 'at most 100000'],
  ['a number past 2^53', value(typed({ u64: (1n << 60n) + 1n })), 'key', '1152921504606846977'],
  ['metadata given twice', header(0n, 2n, string('key'), typed(true), string('key'), typed(true)), 'key', 'twice'],
  ['an end inside the metadata', header(0n, 1n, string('key'), u32(GGUF.UINT32), Buffer.of(1)), 'ends inside', 'key'],
  ['an alignment of 0', file([], { 'general.alignment': { u32: 0 } }), 'general.alignment'],
  ['an alignment of 3', file([], { 'general.alignment': { u32: 3 } }), 'general.alignment'],
  ['an alignment that is text', file([], { 'general.alignment': 'x' }), 'general.alignment'],
  ['a tensor without dimensions', file([tensor({ shape: [] })]), 'tensor w', '0 dimensions'],
  ['a tensor of five dimensions', file([tensor({ shape: [1, 1, 1, 1, 1] })]), 'tensor w', '5 dimensions'],
  ['a dimension of 0', file([tensor({ shape: [0, 4] })]), 'tensor w', '[0, 4]'],
  ['a shape whose product overflows', file([tensor({ shape: [2n ** 40n, 2n ** 40n] })]), 'tensor w'],
  ['a tensor past the end', file([tensor({ shape: [200, 4] })]), 'tensor w', 'ends at byte'],
  ['an offset past the end', file([tensor({ offset: 1 << 20 })]), 'tensor w', 'ends at byte'],
  ['an offset off the alignment', file([tensor({ offset: 8 })]), 'tensor w', 'offset 8'],
  ['overlapping tensors', file([tensor(), tensor({ name: 'v', offset: 0 })]), 'overlaps'],
  ['a tensor given twice', file([tensor(), tensor()]), 'tensor w', 'twice'],
  ['rows that are no whole blocks', file([tensor({ type: 3, shape: [4, 8] })]), 'tensor w', 'multiple of 32'],
  ['its last byte cut off', file([tensor()]).subarray(0, -1), 'tensor w', 'ends at byte'],
];

for (const [what, bytes, ...named] of HOSTILE) {
  test(`a GGUF file with ${what} is refused, and the message says what it is`, async (t) => {
    const path = join(await temporaryDirectory(t), 'hostile.gguf');
    await writeFile(path, bytes);
    await assert.rejects(open(path), failsWith('ERR_SOURCE_INVALID', path, ...named));
  });
}

const UNSUPPORTED: [string, Buffer, string][] = [
  ['version 1', Buffer.concat([Buffer.from('GGUF'), u32(1), Buffer.alloc(40)]), 'version 1'],
  ['big-endian numbers', Buffer.concat([Buffer.from('GGUF'), Buffer.of(0, 0, 0, 3), Buffer.alloc(40)]), 'big-endian'],
  ['I-quants', file([tensor({ type: 17, shape: [1, 256] })]), 'tensor w is IQ2_XS; expected F32, F16'],
  ['ternary values', file([tensor({ type: 34, shape: [1, 256] })]), 'tensor w is TQ1_0;'],
  ['MXFP4', file([tensor({ type: 39, shape: [1, 256] })]), 'tensor w is MXFP4;'],
  ['blocks that ggml lays out for ARM', file([tensor({ type: 31, shape: [1, 256] })]), 'tensor w is Q4_0_4_4;'],
  [
    'a type that came later',
    file([tensor({ type: 99, shape: [1, 256] })]),
    'a type that this package does not know, number 99',
  ],
];

for (const [what, bytes, named] of UNSUPPORTED) {
  test(`a GGUF file with ${what} is unsupported, and the message says so`, async (t) => {
    const path = join(await temporaryDirectory(t), 'other.gguf');
    await writeFile(path, bytes);
    await assert.rejects(open(path), failsWith('ERR_MODEL_UNSUPPORTED', path, named));
  });
}

test('a header cut anywhere is refused and never read past its end', async (t) => {
  const path = join(await temporaryDirectory(t), 'cut.gguf');
  const whole = file([tensor()], {
    'general.architecture': 'llama',
    tokens: ['a', 'b'],
    types: Int32Array.of(1, 3),
    eps: 1e-5,
  });
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    await assert.rejects(
      open(path),
      failsWith('ERR_SOURCE_INVALID', path),
      `cut to ${length} of ${whole.length} bytes`,
    );
  }
});

test('metadata of each kind and tensors in any order are read as they were written', async (t) => {
  const path = join(await temporaryDirectory(t), 'good.gguf');
  const metadata = {
    name: 'ünï',
    yes: true,
    no: false,
    count: { u32: 7 },
    long: { u64: 1n << 40n },
    eps: 0.5,
    tokens: ['a', ''],
    types: Int32Array.of(-1, 3),
  };
  await writeFile(path, file([tensor({ name: 'late', offset: 32 }), tensor({ name: 'early', offset: 0 })], metadata));
  const { metadata: read, tensors } = await open(path);
  assert.deepEqual(Object.fromEntries(read), { ...metadata, count: 7, long: 2 ** 40 });
  assert.deepEqual([...tensors.keys()], ['early', 'late']);
  const [early, late] = [tensors.get('early'), tensors.get('late')];
  assert.deepEqual(early?.shape, [2, 4]);
  assert.equal(early?.bytes, 32);
  assert.equal(late?.position, (early?.position ?? 0) + 32);
});

test('version 2 is read as version 3 is', async (t) => {
  const path = join(await temporaryDirectory(t), 'two.gguf');
  const bytes = file([tensor()]);
  bytes.writeUInt32LE(2, 4);
  await writeFile(path, bytes);
  assert.ok((await open(path)).tensors.has('w'));
});

test('an alignment of its own is followed', async (t) => {
  const path = join(await temporaryDirectory(t), 'aligned.gguf');
  await writeFile(path, ggufBytes({ 'general.alignment': { u32: 256 } }, [tensor()], 256));
  assert.equal((await open(path)).tensors.get('w')?.position, 256);
});

test('a header longer than the first read is read whole', async (t) => {
  const path = join(await temporaryDirectory(t), 'long.gguf');
  const long = 'x'.repeat(9 << 20);
  await writeFile(path, ggufBytes({ long, last: true }, [tensor()]));
  const { metadata, tensors } = await open(path);
  assert.equal(metadata.get('long'), long);
  assert.equal(metadata.get('last'), true);
  assert.ok(tensors.has('w'));
});

test('a long header leaves the event loop to others while it is read', async (t) => {
  const path = join(await temporaryDirectory(t), 'vocabulary.gguf');
  const tokens = Array.from({ length: 300_000 }, (_, i) => `token ${i}`);
  await writeFile(path, ggufBytes({ tokens }, [tensor()]));
  let turns = 0;
  let isReading = true;
  const count = (): void => {
    turns++;
    if (isReading) setImmediate(count);
  };
  // Each look at the clock finds that time is up; what comes before the first is reading, which takes turns too.
  const { now } = performance;
  let ms = 0;
  performance.now = () => {
    if (ms === 0) setImmediate(count);
    ms += 10;
    return ms;
  };
  try {
    assert.deepEqual((await open(path)).metadata.get('tokens'), tokens);
  } finally {
    isReading = false;
    performance.now = now;
  }
  assert.ok(turns > 1000, `${turns} turns`);
});
