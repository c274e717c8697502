import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { failsWith } from '../../../tools/fails-with.js';
import { safetensorsBytes, temporaryDirectory } from '../helpers.js';

const F32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});
const lengthOnly = (length: bigint, rest = ''): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(length);
  return Buffer.concat([bytes, Buffer.from(rest)]);
};

/** What is wrong, the file, and what the message must name beside the path. */
const HOSTILE: [string, Buffer, ...string[]][] = [
  ['an empty file', Buffer.alloc(0), '0 bytes'],
  ['a file shorter than the header length', Buffer.alloc(7), '7 bytes'],
  ['a header length past the end', lengthOnly(100n, '{}'), '100', 'at most 2'],
  ['a header length of 2^63', lengthOnly(1n << 63n, '{}'), '9223372036854775808'],
  ['a header that is no JSON', safetensorsBytes('{"a":', 0), 'not valid JSON'],
  ['a header that is no UTF-8', Buffer.concat([lengthOnly(2n), Buffer.of(0xff, 0xfe)]), 'not UTF-8'],
  ['a header that is an array', safetensorsBytes('[]', 0), 'a JSON object'],
  ['a name of 20 MB that does not end', safetensorsBytes(`{"${'\\n'.repeat(10_000_000)}`, 0), 'not valid JSON'],
  ['a header nested deep', safetensorsBytes(`{"a":${'['.repeat(100_000)}`, 0), 'nested'],
  ['a header of 60 MB', lengthOnly(60_000_000n, ' '.repeat(60_000_000)), '60000000', 'at most 33554432'],
  [
    '500,000 tensors',
    safetensorsBytes(
      `{${Array.from({ length: 500_000 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)}}`,
      0,
    ),
    'more than 100000 tensors',
  ],
  [
    'a shape of ten million sizes',
    safetensorsBytes({ a: F32(0, 0, new Array(10_000_000).fill(0)) }, 0),
    'more than 10000 values',
  ],
  [
    'a million names of metadata',
    safetensorsBytes(`{"__metadata__":{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":""`)}}}`, 0),
    'more than 10000 values',
  ],
  ['text after its end', safetensorsBytes('{}x', 0), 'not valid JSON'],
  ['a comma at its end', safetensorsBytes('{"__metadata__":{},}', 0), 'not valid JSON'],
  ['no comma between tensors', safetensorsBytes('{"a":{} "b":{}}', 0), 'not valid JSON'],
  ['two values of one name', safetensorsBytes('{"a":{}{}}', 0), 'not valid JSON'],
  ['no value of a name', safetensorsBytes('{"a":}', 0), 'not valid JSON'],
  [
    'a tensor given twice',
    safetensorsBytes(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ),
    '"a" twice',
  ],
  [
    'a field given twice',
    safetensorsBytes('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    '"dtype" twice',
  ],
  ['a tensor that is a number', safetensorsBytes({ a: 1 }, 0), 'a is 1'],
  ['a tensor without a dtype', safetensorsBytes({ a: { shape: [1], data_offsets: [0, 4] } }, 4), 'a.dtype'],
  ['a shape that is no list', safetensorsBytes({ a: F32(0, 4, 1) }, 4), 'a.shape'],
  ['a negative size', safetensorsBytes({ a: F32(0, 4, [-1]) }, 4), 'a.shape'],
  ['a broken size', safetensorsBytes({ a: F32(0, 4, [1.5]) }, 4), 'a.shape'],
  [
    'a size past 2^53',
    safetensorsBytes('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]}}', 1),
    'a.shape',
  ],
  [
    'a shape whose product overflows',
    safetensorsBytes({ a: F32(0, 4, [2 ** 31, 2 ** 31, 2 ** 31]) }, 4),
    'a.shape',
    '2^53',
  ],
  ['one offset', safetensorsBytes({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4), 'a.data_offsets'],
  [
    'offsets the wrong way round',
    safetensorsBytes({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4),
    'a.data_offsets',
  ],
  ['fewer bytes than the shape needs', safetensorsBytes({ a: F32(0, 4, [2]) }, 4), 'a.data_offsets', '8 bytes'],
  ['a tensor past the end', safetensorsBytes({ a: F32(0, 8) }, 4), 'tensor a', 'ends at byte'],
  ['a truncated file', safetensorsBytes({ a: F32(0, 8) }, 8).subarray(0, -1), 'tensor a', 'ends at byte'],
  ['overlapping tensors', safetensorsBytes({ a: F32(0, 8), b: F32(4, 12) }, 12), 'tensor b', 'inside'],
  ['a hole between tensors', safetensorsBytes({ a: F32(0, 4), b: F32(8, 12) }, 12), '4 bytes', 'tensor b'],
  ['bytes behind the last tensor', safetensorsBytes({ a: F32(0, 4) }, 5), 'the tensors end'],
  ['metadata that is no object of strings', safetensorsBytes({ __metadata__: { a: 1 } }, 0), '__metadata__'],
];

for (const [what, bytes, ...named] of HOSTILE) {
  test(`a safetensors file with ${what} is refused, and the message says what it is`, async (t) => {
    const path = join(await temporaryDirectory(t), 'hostile.safetensors');
    await writeFile(path, bytes);
    await assert.rejects(SafetensorsFile.open(path), failsWith('ERR_SOURCE_INVALID', path, ...named));
  });
}

test('a dtype that is not known is unsupported, and the message names the tensor', async (t) => {
  const path = join(await temporaryDirectory(t), 'new.safetensors');
  await writeFile(path, safetensorsBytes({ a: { dtype: 'F4', shape: [2], data_offsets: [0, 1] } }, 1));
  await assert.rejects(SafetensorsFile.open(path), failsWith('ERR_MODEL_UNSUPPORTED', path, 'a.dtype', '"F4"'));
});

test('tensors are found wherever the header lists them, empty and scalar ones and metadata included', async (t) => {
  const path = join(await temporaryDirectory(t), 'good.safetensors');
  const header = {
    b: F32(8, 16, [1, 2]),
    __metadata__: { format: 'pt' },
    empty: F32(8, 8, [0, 7]),
    scalar: F32(4, 8, []),
    constructor: F32(0, 4),
  };
  const bytes = safetensorsBytes(header, 16);
  await writeFile(path, bytes);
  const file = await SafetensorsFile.open(path);
  await file.close();
  const start = bytes.length - 16;
  assert.deepEqual(Object.fromEntries(file.entries), {
    constructor: { dtype: 'F32', shape: [1], position: start, bytes: 4 },
    scalar: { dtype: 'F32', shape: [], position: start + 4, bytes: 4 },
    empty: { dtype: 'F32', shape: [0, 7], position: start + 8, bytes: 0 },
    b: { dtype: 'F32', shape: [1, 2], position: start + 8, bytes: 8 },
  });
});

test('a file that is not there is a typed error', async () => {
  await assert.rejects(
    SafetensorsFile.open('/nowhere/model.safetensors'),
    failsWith('ERR_SOURCE_NOT_FOUND', '/nowhere/model.safetensors'),
  );
});
