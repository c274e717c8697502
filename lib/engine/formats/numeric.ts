import type { Dtype } from '../directory/checkpoint-config.js';

export const BYTES_PER_VALUE: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/** Rounds to the nearest float16, ties to even; what is too large becomes infinity, and a NaN keeps its upper payload bits. */
export function toFloat16(values: Float32Array, halves: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fffffff;
    // From 2^-14 to below 2^16: subtract the difference of the exponent biases, 112, and round away 13 bits.
    if (size >= 0x38800000 && size < 0x47800000)
      halves[i] = sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    else if (size < 0x38800000) halves[i] = sign | denormalHalf(size);
    else if (size > 0x7f800000) halves[i] = sign | 0x7c00 | ((size >>> 13) & 0x3ff || 0x200);
    else halves[i] = sign | 0x7c00;
  }
  return halves;
}

/** A float32 below 2^-14, without its sign, as a multiple of 2^-24. */
function denormalHalf(size: number): number {
  const shift = 126 - (size >>> 23);
  if (shift > 24) return 0;
  const mantissa = (size & 0x7fffff) | 0x800000;
  const half = 1 << (shift - 1);
  const quotient = mantissa >>> shift;
  const remainder = mantissa & ((1 << shift) - 1);
  return remainder > half || (remainder === half && (quotient & 1) === 1) ? quotient + 1 : quotient;
}

/** Rounds to the nearest bfloat16, ties to even; a NaN keeps its upper payload bits. */
export function toBfloat16(values: Float32Array, halves: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    halves[i] = isNan ? (word >>> 16) | (word & 0x7f0000 ? 0 : 0x40) : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

let float32OfHalf: Float32Array | undefined; // for each of the 65,536 halves

function tableOfHalves(): Float32Array {
  float32OfHalf ??= new Float32Array(Uint32Array.from({ length: 0x10000 }, (_, half) => float32Bits(half)).buffer);
  return float32OfHalf;
}

export function fromFloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(tableOfHalves().buffer); // bits, because a NaN need not stay the same as a number
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = bits[halves[i] as number] as number;
  return new Float32Array(words.buffer);
}

/** The float16 at a place in `bytes`. */
export const float16At = (bytes: Uint8Array, at: number): number =>
  tableOfHalves()[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;

function float32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  const leading = Math.clz32(mantissa) - 21; // places the highest bit is left of where a normal mantissa's hidden bit stands
  return sign | ((113 - leading) << 23) | (((mantissa << leading) & 0x3ff) << 13);
}

export function fromBfloat16(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = (halves[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** Decodes values that lie little-endian in `bytes`, which must start at a multiple of four in their buffer. */
export function decodeValues(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  return dtype === 'float16' ? fromFloat16(halves) : fromBfloat16(halves);
}

export function encodeValues(values: Float32Array, dtype: Dtype): Uint8Array {
  const words = dtype === 'float32' ? values : encodeHalves(values, dtype);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

export const encodeHalves = (
  values: Float32Array,
  dtype: Exclude<Dtype, 'float32'>,
  halves: Uint16Array = new Uint16Array(values.length),
): Uint16Array => (dtype === 'float16' ? toFloat16(values, halves) : toBfloat16(values, halves));

/** The first finite value that `encodeHalves` turned into an infinity, or undefined. */
export function firstOverflow(
  values: Float32Array,
  halves: Uint16Array,
  dtype: Exclude<Dtype, 'float32'>,
): number | undefined {
  const infinity = dtype === 'float16' ? 0x7c00 : 0x7f80;
  for (let i = 0; i < halves.length; i++) {
    if (((halves[i] as number) & 0x7fff) === infinity && Number.isFinite(values[i])) return values[i];
  }
  return undefined;
}
