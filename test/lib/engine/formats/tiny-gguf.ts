import { BLOCK_TYPES, type BlockType } from '#lib/engine/directory/quantization.js';
import { BLOCKS } from '#lib/engine/formats/ggml-blocks.js';
import { type TinyLlamaSpec, tinyLlamaTensors } from '../../../tools/tiny-llama.js';
import { type GgufInput, type GgufTensorInput, ggufBytes } from './gguf-bytes.js';

const NAMES: Record<string, string> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'self_attn.qkv_proj': 'attn_qkv',
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

export function ggufName(name: string): string {
  const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.*)\.(weight|bias)$/.exec(name) ?? [];
  if (layer !== undefined && part !== undefined) return `blk.${layer}.${NAMES[part]}.${kind}`;
  return `${NAMES[name.replace(/\.weight$/, '')]}.weight`;
}

/** As llama.cpp writes Q and K: row i of a head's first half, then row i of its second, for each i. */
function interleaved(bytes: Uint8Array, rows: number, headDim: number): Uint8Array {
  const rowBytes = bytes.length / rows;
  const order: number[] = [];
  for (let head = 0; head < rows; head += headDim) {
    for (let i = 0; i < headDim / 2; i++) order.push(head + i, head + headDim / 2 + i);
  }
  return new Uint8Array(Buffer.concat(order.map((row) => bytes.subarray(row * rowBytes, (row + 1) * rowBytes))));
}

/** A tensor of a model under Hugging Face's name and in its layout. */
export interface NamedTensor {
  name: string;
  shape: readonly number[];
  /** ggml's number. */
  type: number;
  data: Uint8Array;
}

/** A model's tensors as llama.cpp writes them. */
export const ggufTensorsOf = (spec: TinyLlamaSpec, tensors: readonly NamedTensor[]): GgufTensorInput[] =>
  tensors.map(({ name, data, ...tensor }) => {
    const isPermuted = ['llama', 'smollm3'].includes(architectureOf(spec)) && /[qk]_proj/.test(name);
    return {
      ...tensor,
      name: ggufName(name),
      data: isPermuted ? interleaved(data, tensor.shape[0] ?? 0, spec.headDim) : data,
    };
  });

export const floatTensors = (spec: TinyLlamaSpec): NamedTensor[] =>
  tinyLlamaTensors(spec).map(({ name, shape, data }) => ({ name, shape, type: 0, data: new Uint8Array(data.buffer) }));

/** The model in float32. */
export const ggufTensors = (spec: TinyLlamaSpec): GgufTensorInput[] => ggufTensorsOf(spec, floatTensors(spec));

/** llama.cpp has no name of its own for a Mistral. */
export const architectureOf = ({ modelType = 'llama' }: TinyLlamaSpec): string =>
  modelType === 'mistral' ? 'llama' : modelType;

export const ggufMetadata = (spec: TinyLlamaSpec): Record<string, GgufInput> => ({
  'general.architecture': architectureOf(spec),
  ...Object.fromEntries(
    Object.entries(llamaMetadata(spec)).map(([key, value]) => [
      key.replace('llama.', `${architectureOf(spec)}.`),
      value,
    ]),
  ),
});

const llamaMetadata = (spec: TinyLlamaSpec): Record<string, GgufInput> => ({
  'llama.block_count': { u32: spec.layers },
  'llama.context_length': { u32: spec.maxPositions },
  'llama.embedding_length': { u32: spec.hiddenSize },
  'llama.feed_forward_length': { u32: spec.intermediateSize },
  'llama.attention.head_count': { u32: spec.heads },
  'llama.attention.head_count_kv': { u32: spec.kvHeads },
  'llama.rope.freq_base': spec.ropeTheta,
  'llama.rope.dimension_count': { u32: spec.headDim },
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
});

/**
 * ggml's numbers of the types in blocks, where in a block its float16 numbers are, and an upper byte for these that makes values of
 * about 0.1.
 */
const BLOCK_LAYOUTS: Readonly<Record<BlockType, readonly [type: number, halves: readonly number[], upper: number]>> = {
  Q4_0: [2, [0], 0x20],
  Q4_1: [3, [0, 2], 0x20],
  Q5_0: [6, [0], 0x1c],
  Q5_1: [7, [0, 2], 0x1c],
  Q8_0: [8, [0], 0x14],
  Q2_K: [10, [80, 82], 0x18],
  Q3_K: [11, [108], 0x14],
  Q4_K: [12, [0, 2], 0x08],
  Q5_K: [13, [0, 2], 0x08],
  Q6_K: [14, [208], 0x04],
};
const FLOATS = { F32: [0, 4, 0x3d], F16: [1, 2, 0x2c], BF16: [30, 2, 0x3d] } as const;
export const TYPES = [...BLOCK_TYPES, 'F16', 'BF16', 'F32'] as const;
export type TypeName = (typeof TYPES)[number];

/** Some values of a type: noise, but for exponents, so that all are finite and small. */
export function noiseOf(type: TypeName, count: number, seed: number): Pick<NamedTensor, 'type' | 'data'> {
  let state = seed;
  const byte = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  if (type === 'F32' || type === 'F16' || type === 'BF16') {
    const [number, bytes, upper] = FLOATS[type];
    const data = Uint8Array.from({ length: count * bytes }, (_, i) =>
      i % bytes === bytes - 1 ? upper | (byte() & 0x80) : byte(),
    );
    return { type: number, data };
  }
  const [number, halves, upper] = BLOCK_LAYOUTS[type];
  const { values, bytes } = BLOCKS[type];
  const data = Uint8Array.from({ length: (count / values) * bytes }, byte);
  for (let block = 0; block < data.length; block += bytes) for (const half of halves) data[block + half + 1] = upper;
  return { type: number, data };
}

/** The same model with rows of 256 values or more, which K-quants need. */
export const wide = (spec: TinyLlamaSpec): TinyLlamaSpec => ({
  ...spec,
  hiddenSize: 256,
  intermediateSize: 512,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
});

/** The tensors of a model whose matrices have these types, one after the other. */
export function quantizedTensors(spec: TinyLlamaSpec, types: readonly TypeName[] = TYPES): NamedTensor[] {
  let matrices = 0;
  return floatTensors(spec).map((tensor) => {
    if (tensor.shape.length === 1) return tensor;
    const type = types[matrices++ % types.length] ?? 'F32';
    const count = tensor.shape.reduce((product, size) => product * size);
    return { ...tensor, ...noiseOf(type, count, matrices) };
  });
}

export function ggufOf(spec: TinyLlamaSpec, tensors: readonly NamedTensor[]): Buffer {
  const metadata = { ...ggufMetadata(spec), [`${architectureOf(spec)}.attention.key_length`]: { u32: spec.headDim } };
  return ggufBytes(metadata, ggufTensorsOf(spec, tensors));
}
