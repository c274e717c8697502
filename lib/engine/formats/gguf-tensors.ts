import { fromBfloat16, fromFloat16 } from './numeric.js';

/** How values lie in a GGUF tensor: in blocks along a row. Layouts: ggml's `block_q4_0`, `block_q4_1` and `block_q8_0`. */
export interface TensorType {
  readonly name: string;
  readonly blockValues: number;
  readonly blockBytes: number;
  /** `bytes` are whole blocks and start aligned. */
  decode(bytes: Uint8Array): Float32Array;
}

const QUANTIZED_BLOCK = 32;

const halvesOf = (bytes: Uint8Array): Uint16Array =>
  new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);

/** The float16 at the same place of each block, such as its scale, as float32. Blocks have an even number of bytes. */
function blockHalves(bytes: Uint8Array, blockBytes: number, offset: number): Float32Array {
  const halves = halvesOf(bytes);
  const stride = blockBytes / 2;
  return fromFloat16(
    Uint16Array.from({ length: halves.length / stride }, (_, block) => halves[block * stride + offset / 2] as number),
  );
}

/** Block: float16 scale, 32 int8. Value = scale * q. */
function decodeQ80(bytes: Uint8Array): Float32Array {
  const scales = blockHalves(bytes, 34, 0);
  const quants = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(scales.length * QUANTIZED_BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const scale = scales[block] as number;
    const from = block * 34 + 2;
    const to = block * QUANTIZED_BLOCK;
    for (let i = 0; i < QUANTIZED_BLOCK; i++) values[to + i] = scale * (quants[from + i] as number);
  }
  return values;
}

/** Blocks that end in 16 bytes of two 4-bit numbers each: the lower bits are values 0 to 15, the upper ones 16 to 31. */
function decodeNibbles(
  bytes: Uint8Array,
  blockBytes: number,
  scales: Float32Array,
  offsets: Float32Array,
): Float32Array {
  const values = new Float32Array(scales.length * QUANTIZED_BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const scale = scales[block] as number;
    const offset = offsets[block] as number;
    const from = (block + 1) * blockBytes - 16;
    const to = block * QUANTIZED_BLOCK;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i] as number;
      values[to + i] = scale * (pair & 15) + offset;
      values[to + i + 16] = scale * (pair >> 4) + offset;
    }
  }
  return values;
}

/** Block: float16 scale, 32 numbers of 4 bits. Value = scale * (q - 8). */
function decodeQ40(bytes: Uint8Array): Float32Array {
  const scales = blockHalves(bytes, 18, 0);
  return decodeNibbles(
    bytes,
    18,
    scales,
    scales.map((scale) => -8 * scale),
  );
}

/** Block: float16 scale, float16 minimum, 32 numbers of 4 bits. Value = scale * q + minimum. */
const decodeQ41 = (bytes: Uint8Array): Float32Array =>
  decodeNibbles(bytes, 20, blockHalves(bytes, 20, 0), blockHalves(bytes, 20, 2));

/** The types that are read, by ggml's number. */
export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map<number, TensorType>([
  [
    0,
    {
      name: 'F32',
      blockValues: 1,
      blockBytes: 4,
      decode: (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
    },
  ],
  [1, { name: 'F16', blockValues: 1, blockBytes: 2, decode: (bytes) => fromFloat16(halvesOf(bytes)) }],
  [2, { name: 'Q4_0', blockValues: QUANTIZED_BLOCK, blockBytes: 18, decode: decodeQ40 }],
  [3, { name: 'Q4_1', blockValues: QUANTIZED_BLOCK, blockBytes: 20, decode: decodeQ41 }],
  [8, { name: 'Q8_0', blockValues: QUANTIZED_BLOCK, blockBytes: 34, decode: decodeQ80 }],
  [30, { name: 'BF16', blockValues: 1, blockBytes: 2, decode: (bytes) => fromBfloat16(halvesOf(bytes)) }],
]);
