import type { WeightType } from '../directory/checkpoint-config.js';
import { BLOCK_TYPES, type BlockType } from '../directory/quantization.js';
import { BLOCKS, decodeBlocks } from './ggml-blocks.js';
import { fromBfloat16, fromFloat16 } from './numeric.js';

/** How the values of a GGUF tensor lie: in blocks along a row, of one value where they are floats. */
export interface TensorType {
  /** ggml's. */
  readonly name: string;
  readonly type: WeightType;
  readonly blockValues: number;
  readonly blockBytes: number;
  /** `bytes` are whole blocks and start aligned. */
  decode(bytes: Uint8Array): Float32Array;
}

const halvesOf = (bytes: Uint8Array): Uint16Array =>
  new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);

const FLOAT_TYPES: readonly TensorType[] = [
  {
    name: 'F32',
    type: 'float32',
    blockValues: 1,
    blockBytes: 4,
    decode: (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
  },
  {
    name: 'F16',
    type: 'float16',
    blockValues: 1,
    blockBytes: 2,
    decode: (bytes) => fromFloat16(halvesOf(bytes)),
  },
  {
    name: 'BF16',
    type: 'bfloat16',
    blockValues: 1,
    blockBytes: 2,
    decode: (bytes) => fromBfloat16(halvesOf(bytes)),
  },
];

const blockType = (type: BlockType): TensorType => {
  const { values, bytes } = BLOCKS[type];
  return { name: type, type, blockValues: values, blockBytes: bytes, decode: (blocks) => decodeBlocks(blocks, type) };
};

/** ggml's types by their numbers. Those that ggml has removed are in old files. */
const NAMES = `
  F32 F16 Q4_0 Q4_1 Q4_2 Q4_3 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ2_S
  IQ4_XS I8 I16 I32 I64 F64 IQ1_M BF16 Q4_0_4_4 Q4_0_4_8 Q4_0_8_8 TQ1_0 TQ2_0 IQ4_NL_4_4 IQ4_NL_4_8 IQ4_NL_8_8 MXFP4 NVFP4 Q1_0
  Q2_0`
  .trim()
  .split(/\s+/);

/** The types that are read, by ggml's number. */
export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map(
  [...FLOAT_TYPES, ...BLOCK_TYPES.map(blockType)].map((type) => [NAMES.indexOf(type.name), type]),
);

/** For a tensor whose type is not read: what it is, what it should be, and the way around. */
export function describeUnread(type: number): string {
  const found = NAMES[type] ?? `of a type that this package does not know, number ${type}`;
  const read = [...TENSOR_TYPES.values()].map(({ name }) => name).join(', ');
  return `is ${found}; expected ${read}. Use another GGUF of the model, such as Q4_K_M, Q8_0 or BF16.`;
}
