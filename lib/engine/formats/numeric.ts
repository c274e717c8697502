import type { Dtype } from '../directory/checkpoint-config.js';

export const BYTES_PER_VALUE: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/** Rounds to the nearest float16, ties to even; what is too large becomes infinity, and a NaN keeps its upper payload bits. */
export function toFloat16(values: Float32Array, halves: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  writeFloat16(values, halves);
  return halves;
}

const LEAST_NORMAL = 0x38800000; // 2^-14
const LEAST_INFINITE_FLOAT16 = 0x477ff000; // 65,520, half way from the largest float16 to what would come next
const LEAST_INFINITE_BFLOAT16 = 0x7f7f8000;
const INFINITY = 0x7f800000;

/** Returns whether an infinity was written. */
function writeFloat16(values: Float32Array, halves: Uint16Array): boolean {
  let hasInfinity = false;
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fffffff;
    // Subtract the difference of the exponent biases, 112, and round away 13 bits.
    if (size >= LEAST_NORMAL && size < LEAST_INFINITE_FLOAT16)
      halves[i] = sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    else if (size < LEAST_NORMAL) halves[i] = sign | denormalHalf(size);
    else if (size > INFINITY) halves[i] = sign | 0x7c00 | ((size >>> 13) & 0x3ff || 0x200);
    else {
      halves[i] = sign | 0x7c00;
      hasInfinity = true;
    }
  }
  return hasInfinity;
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
  writeBfloat16(values, halves);
  return halves;
}

function writeBfloat16(values: Float32Array, halves: Uint16Array): boolean {
  let hasInfinity = false;
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const size = word & 0x7fffffff;
    if (size < LEAST_INFINITE_BFLOAT16) halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    else if (size > INFINITY) halves[i] = (word >>> 16) | (word & 0x7f0000 ? 0 : 0x40);
    else {
      halves[i] = ((word >>> 16) & 0x8000) | 0x7f80;
      hasInfinity = true;
    }
  }
  return hasInfinity;
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
  const words = dtype === 'float32' ? values : dtype === 'float16' ? toFloat16(values) : toBfloat16(values);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** Writes the nearest halves, and returns the first finite value that became an infinity, or undefined. */
export function encodeHalves(
  values: Float32Array,
  dtype: Exclude<Dtype, 'float32'>,
  halves: Uint16Array,
): number | undefined {
  const hasInfinity = dtype === 'float16' ? writeFloat16(values, halves) : writeBfloat16(values, halves);
  if (!hasInfinity) return undefined;
  const infinity = dtype === 'float16' ? 0x7c00 : 0x7f80;
  return values.find((value, i) => Number.isFinite(value) && ((halves[i] as number) & 0x7fff) === infinity);
}
