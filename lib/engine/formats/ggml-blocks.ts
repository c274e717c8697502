import type { BlockType } from '../directory/quantization.js';
import { float16At } from './numeric.js';

/** Blocks of quantized values along a row. Layouts: ggml-common.h of ggml, block_q4_0 to block_q6_K. */
export interface Blocks {
  /** Values of a block. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /**
   * `bytes` are whole blocks, and `values` as many as they hold. Each value is rounded once, so that it equals the `gguf` Python
   * package's bit for bit.
   */
  decode(bytes: Uint8Array, values: Float32Array): void;
}

/** Decodes the block of `bytes` at `from` to `values` at `to`. */
type DecodeBlock = (bytes: Uint8Array, from: number, values: Float32Array, to: number) => void;

const blocks = (valuesOfBlock: number, bytesOfBlock: number, decodeBlock: DecodeBlock): Blocks => ({
  values: valuesOfBlock,
  bytes: bytesOfBlock,
  decode(bytes, values) {
    const count = bytes.length / bytesOfBlock;
    for (let block = 0; block < count; block++) decodeBlock(bytes, block * bytesOfBlock, values, block * valuesOfBlock);
  },
});

/** float16 scale d, 32 numbers of 4 bits, the lower halves of 16 bytes before the upper: d * (q - 8). */
const decodeQ40: DecodeBlock = (bytes, from, values, to) => {
  const scale = float16At(bytes, from);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 2 + i] as number;
    values[to + i] = scale * ((pair & 15) - 8);
    values[to + i + 16] = scale * ((pair >> 4) - 8);
  }
};

/** float16 scale d, float16 minimum m, 32 numbers of 4 bits as in Q4_0: d * q + m. */
const decodeQ41: DecodeBlock = (bytes, from, values, to) => {
  const scale = float16At(bytes, from);
  const minimum = float16At(bytes, from + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 4 + i] as number;
    values[to + i] = scale * (pair & 15) + minimum;
    values[to + i + 16] = scale * (pair >> 4) + minimum;
  }
};

const uint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

/** float16 scale d, the fifth bits of 32 numbers, their lower four as in Q4_0: d * (q - 16). */
const decodeQ50: DecodeBlock = (bytes, from, values, to) => {
  const scale = float16At(bytes, from);
  const fifths = uint32(bytes, from + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 6 + i] as number;
    values[to + i] = scale * (((pair & 15) | (((fifths >>> i) & 1) << 4)) - 16);
    values[to + i + 16] = scale * (((pair >> 4) | (((fifths >>> (i + 16)) & 1) << 4)) - 16);
  }
};

/** float16 scale d, float16 minimum m, then as Q5_0: d * q + m. */
const decodeQ51: DecodeBlock = (bytes, from, values, to) => {
  const scale = float16At(bytes, from);
  const minimum = float16At(bytes, from + 2);
  const fifths = uint32(bytes, from + 4);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 8 + i] as number;
    values[to + i] = scale * ((pair & 15) | (((fifths >>> i) & 1) << 4)) + minimum;
    values[to + i + 16] = scale * ((pair >> 4) | (((fifths >>> (i + 16)) & 1) << 4)) + minimum;
  }
};

/** An 8-bit number with a sign. */
const int8 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 24) >> 24;

/** float16 scale d, 32 int8: d * q. */
const decodeQ80: DecodeBlock = (bytes, from, values, to) => {
  const scale = float16At(bytes, from);
  for (let i = 0; i < 32; i++) values[to + i] = scale * int8(bytes, from + 2 + i);
};

// The K types: 256 values, in groups of 16 or 32 with a scale of their own, a small integer times the block's float16.

/**
 * 16 bytes of a 4-bit scale s and, above it, a 4-bit minimum m for each group of 16; 64 bytes of four 2-bit numbers each; float16 d and
 * float16 e: d * s * q - e * m. Of 128 values, bits 2k and 2k + 1 of 32 bytes are the k-th quarter.
 */
const decodeQ2K: DecodeBlock = (bytes, from, values, to) => {
  const d = float16At(bytes, from + 80);
  const e = float16At(bytes, from + 82);
  for (let group = 0; group < 16; group++) {
    const packed = bytes[from + group] as number;
    const scale = d * (packed & 15);
    const minimum = e * (packed >> 4);
    const shift = group & 6;
    const quants = from + 16 + ((group >> 3) << 5) + ((group & 1) << 4);
    const out = to + group * 16;
    for (let i = 0; i < 16; i++) values[out + i] = scale * (((bytes[quants + i] as number) >> shift) & 3) - minimum;
  }
};

/**
 * 32 bytes whose bit k is the third bit of the k-th 32 values, 64 bytes as in Q2_K, 12 bytes of sixteen 6-bit scales, float16 d:
 * d * (s - 32) * (q - 4), q with its third bit. The lower four bits of the scales lie in 8 bytes, the upper two in 4.
 */
const decodeQ3K: DecodeBlock = (bytes, from, values, to) => {
  const d = float16At(bytes, from + 108);
  const scales = from + 96;
  for (let group = 0; group < 16; group++) {
    const low = ((bytes[scales + (group & 7)] as number) >> ((group >> 3) << 2)) & 15;
    const high = ((bytes[scales + 8 + (group & 3)] as number) >> ((group >> 2) << 1)) & 3;
    const scale = d * ((low | (high << 4)) - 32);
    const shift = group & 6;
    const bit = group >> 1;
    const thirds = from + ((group & 1) << 4);
    const quants = from + 32 + ((group >> 3) << 5) + ((group & 1) << 4);
    const out = to + group * 16;
    for (let i = 0; i < 16; i++) {
      const third = (((bytes[thirds + i] as number) >> bit) & 1) << 2;
      values[out + i] = scale * (((((bytes[quants + i] as number) >> shift) & 3) | third) - 4);
    }
  }
};

/** The scale of group 0 to 7 of a Q4_K or Q5_K, whose eight scales and eight minimums of 6 bits lie in the 12 bytes at `at`. */
const scaleOf = (bytes: Uint8Array, at: number, group: number): number =>
  group < 4
    ? (bytes[at + group] as number) & 63
    : ((bytes[at + group + 4] as number) & 15) | (((bytes[at + group - 4] as number) >> 6) << 4);

const minimumOf = (bytes: Uint8Array, at: number, group: number): number =>
  group < 4
    ? (bytes[at + group + 4] as number) & 63
    : ((bytes[at + group + 4] as number) >> 4) | (((bytes[at + group] as number) >> 6) << 4);

/**
 * float16 d, float16 e, 12 bytes of scales s and minimums m, 128 bytes of two 4-bit numbers each: d * s * q - e * m. Of 64 values the
 * lower halves of 32 bytes are the first group.
 */
const decodeQ4K: DecodeBlock = (bytes, from, values, to) => {
  const d = float16At(bytes, from);
  const e = float16At(bytes, from + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * scaleOf(bytes, from + 4, group);
    const minimum = e * minimumOf(bytes, from + 4, group);
    const shift = (group & 1) << 2;
    const quants = from + 16 + ((group >> 1) << 5);
    const out = to + group * 32;
    for (let i = 0; i < 32; i++) values[out + i] = scale * (((bytes[quants + i] as number) >> shift) & 15) - minimum;
  }
};

/** As Q4_K, with 32 bytes before the numbers whose bit k is the fifth bit of group k. */
const decodeQ5K: DecodeBlock = (bytes, from, values, to) => {
  const d = float16At(bytes, from);
  const e = float16At(bytes, from + 2);
  const fifths = from + 16;
  for (let group = 0; group < 8; group++) {
    const scale = d * scaleOf(bytes, from + 4, group);
    const minimum = e * minimumOf(bytes, from + 4, group);
    const shift = (group & 1) << 2;
    const quants = from + 48 + ((group >> 1) << 5);
    const out = to + group * 32;
    for (let i = 0; i < 32; i++) {
      const fifth = (((bytes[fifths + i] as number) >> group) & 1) << 4;
      values[out + i] = scale * ((((bytes[quants + i] as number) >> shift) & 15) | fifth) - minimum;
    }
  }
};

/**
 * 128 bytes of two lower halves each, 64 bytes of four upper 2 bits each, sixteen int8 scales s, float16 d: d * s * (q - 32). Of 128
 * values the lower halves of 64 bytes are the first 64, and bits 2k and 2k + 1 of 32 bytes belong to the k-th quarter.
 */
const decodeQ6K: DecodeBlock = (bytes, from, values, to) => {
  const d = float16At(bytes, from + 208);
  for (let group = 0; group < 16; group++) {
    const scale = d * int8(bytes, from + 192 + group);
    const quarter = (group >> 1) & 3;
    const inQuarter = (group & 1) << 4;
    const lower = from + ((group >> 3) << 6) + ((quarter & 1) << 5) + inQuarter;
    const lowerShift = (quarter >> 1) << 2;
    const upper = from + 128 + ((group >> 3) << 5) + inQuarter;
    const upperShift = quarter << 1;
    const out = to + group * 16;
    for (let i = 0; i < 16; i++) {
      const low = ((bytes[lower + i] as number) >> lowerShift) & 15;
      const high = (((bytes[upper + i] as number) >> upperShift) & 3) << 4;
      values[out + i] = scale * ((low | high) - 32);
    }
  }
};

export const BLOCKS: Readonly<Record<BlockType, Blocks>> = {
  Q4_0: blocks(32, 18, decodeQ40),
  Q4_1: blocks(32, 20, decodeQ41),
  Q5_0: blocks(32, 22, decodeQ50),
  Q5_1: blocks(32, 24, decodeQ51),
  Q8_0: blocks(32, 34, decodeQ80),
  Q2_K: blocks(256, 84, decodeQ2K),
  Q3_K: blocks(256, 110, decodeQ3K),
  Q4_K: blocks(256, 144, decodeQ4K),
  Q5_K: blocks(256, 176, decodeQ5K),
  Q6_K: blocks(256, 210, decodeQ6K),
};

/** All values of whole blocks. */
export function decodeBlocks(bytes: Uint8Array, type: BlockType): Float32Array {
  const blocks = BLOCKS[type];
  const values = new Float32Array((bytes.length / blocks.bytes) * blocks.values);
  blocks.decode(bytes, values);
  return values;
}

export const isBlockType = (type: string): type is BlockType => Object.hasOwn(BLOCKS, type);
