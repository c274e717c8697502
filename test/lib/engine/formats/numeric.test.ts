import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeValues,
  encodeHalves,
  encodeValues,
  fromBfloat16,
  fromFloat16,
  toBfloat16,
  toFloat16,
} from '#lib/engine/formats/numeric.js';

const ALL_HALVES = Uint16Array.from({ length: 0x10000 }, (_, i) => i);

/** The value of a float16 by its definition. */
function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

test('every float16 has the value that the format defines', () => {
  const values = fromFloat16(ALL_HALVES);
  for (const half of ALL_HALVES)
    assert.ok(Object.is(values[half], float16Value(half)), `0x${half.toString(16)} is ${values[half]}`);
});

test('every float16, NaNs and denormals included, survives the way to float32 and back', () => {
  assert.deepEqual(toFloat16(fromFloat16(ALL_HALVES)), ALL_HALVES);
});

test('every bfloat16, NaNs and denormals included, survives the way to float32 and back', () => {
  assert.deepEqual(toBfloat16(fromBfloat16(ALL_HALVES)), ALL_HALVES);
});

test('a value between two float16 rounds to the nearer one, and to the even one from the middle', () => {
  for (let half = 0; half < 0x7bff; half++) {
    const low = float16Value(half);
    const high = float16Value(half + 1);
    const middle = (low + high) / 2; // exact in float32, as the next values are
    const quarter = (high - low) / 4;
    const even = half % 2 === 0 ? half : half + 1;
    const rounded = toFloat16(Float32Array.of(middle - quarter, middle, middle + quarter, -middle));
    assert.deepEqual([...rounded], [half, even, half + 1, even | 0x8000], `around ${middle}`);
  }
});

test('float16 ends at 65504: what rounds to more is infinity, and what is below half the least is zero', () => {
  const values = Float32Array.of(
    65504,
    65519.99609375,
    65520,
    1e30,
    -65520,
    2 ** -25,
    2 ** -25 * (1 + 2 ** -23),
    -(2 ** -26),
  );
  assert.deepEqual([...toFloat16(values)], [0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 1, 0x8000]);
});

test('a value between two bfloat16 rounds to the nearer one, and to the even one from the middle', () => {
  const words = Uint32Array.of(0x3f807fff, 0x3f808000, 0x3f808001, 0x3f818000, 0xbf818000, 0x7f7fffff, 0x00008001);
  assert.deepEqual(
    [...toBfloat16(new Float32Array(words.buffer))],
    [0x3f80, 0x3f80, 0x3f81, 0x3f82, 0xbf82, 0x7f80, 1],
  );
});

test('a NaN stays a NaN where its payload is in the bits that are dropped', () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  assert.ok(fromFloat16(toFloat16(nan)).every(Number.isNaN));
  assert.ok(fromBfloat16(toBfloat16(nan)).every(Number.isNaN));
});

test('values are the same after encoding and decoding in each type that holds them', () => {
  const values = Float32Array.of(0, -0, 1, -2.5, 0.15625, 240);
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    assert.deepEqual(decodeValues(encodeValues(values, dtype), dtype), values);
  }
});

test('a finite value that became infinite is found, an infinity that was one before is not', () => {
  const found = (dtype: 'float16' | 'bfloat16', ...values: number[]) => {
    const floats = Float32Array.from(values);
    return encodeHalves(floats, dtype, new Uint16Array(values.length));
  };
  assert.equal(found('float16', 1, Number.POSITIVE_INFINITY, -70000), -70000);
  assert.equal(found('float16', 1, Number.NEGATIVE_INFINITY, 65504), undefined);
  assert.equal(found('bfloat16', 70000, Number.POSITIVE_INFINITY), undefined);
  const largest = new Float32Array(Uint32Array.of(0xff7f7fff, 0xff7f8000).buffer);
  assert.equal(found('bfloat16', ...largest), largest[1]);
});
