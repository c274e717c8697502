import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TENSOR_TYPES } from '#lib/engine/formats/gguf-tensors.js';

const decode = (type: number, ...bytes: number[]): number[] => [
  ...(TENSOR_TYPES.get(type)?.decode(Uint8Array.from(bytes)) ?? []),
];
const ONE = [0x00, 0x3c]; // float16, little-endian
const HALF = [0x00, 0x38];
const MINUS_TWO = [0x00, 0xc0];
const NIBBLES = Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)); // 0 to 15, then 15 to 0
const UP = Array.from({ length: 16 }, (_, i) => i);
const COUNTED = [...UP, ...UP.toReversed()];

test('a Q4_0 value is scale * (q - 8), the low halves of the bytes before the high ones', () => {
  const twoBlocks = decode(2, ...HALF, ...NIBBLES, ...ONE, ...NIBBLES);
  assert.deepEqual(twoBlocks, [...COUNTED.map((q) => 0.5 * (q - 8)), ...COUNTED.map((q) => q - 8)]);
});

test('a Q4_1 value is scale * q + minimum', () => {
  const twoBlocks = decode(3, ...HALF, ...MINUS_TWO, ...NIBBLES, ...ONE, ...HALF, ...NIBBLES);
  assert.deepEqual(twoBlocks, [...COUNTED.map((q) => 0.5 * q - 2), ...COUNTED.map((q) => q + 0.5)]);
});

test('a Q8_0 value is scale * q, and q has a sign', () => {
  const quants = [0, 1, 127, 128, 255, ...Array.from({ length: 27 }, () => 2)];
  const twoBlocks = decode(8, ...HALF, ...quants, ...MINUS_TWO, ...quants);
  const signed = [0, 1, 127, -128, -1, ...Array.from({ length: 27 }, () => 2)];
  assert.deepEqual(twoBlocks, [...signed.map((q) => 0.5 * q), ...signed.map((q) => (q === 0 ? -0 : -2 * q))]);
});

test('F32, F16 and BF16 values are those of their formats', () => {
  assert.deepEqual(decode(0, 0, 0, 0x80, 0x3f), [1]);
  assert.deepEqual(decode(1, ...ONE, ...MINUS_TWO), [1, -2]);
  assert.deepEqual(decode(30, 0x80, 0x3f, 0x00, 0xc0), [1, -2]);
});
