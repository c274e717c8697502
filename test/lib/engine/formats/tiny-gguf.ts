import { BLOCK_TYPES, type BlockType } from '#lib/engine/directory/quantization.js';
import { BLOCKS } from '#lib/engine/formats/ggml-blocks.js';
import { type TinyLlamaSpec, tinyLlamaTensors } from '../../../tools/tiny-llama.js';
import type { GgufInput, GgufTensorInput } from './gguf-bytes.js';

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

/** ggml's numbers of the types in blocks, and where in a block its float16 numbers are. */
const BLOCK_LAYOUTS: Readonly<Record<BlockType, readonly [type: number, halves: readonly number[]]>> = {
  Q4_0: [2, [0]],
  Q4_1: [3, [0, 2]],
  Q5_0: [6, [0]],
  Q5_1: [7, [0, 2]],
  Q8_0: [8, [0]],
  Q2_K: [10, [80, 82]],
  Q3_K: [11, [108]],
  Q4_K: [12, [0, 2]],
  Q5_K: [13, [0, 2]],
  Q6_K: [14, [208]],
};
const FLOAT_BYTES = { F32: [0, 4], F16: [1, 2], BF16: [30, 2] } as const;
export const TYPES = [...BLOCK_TYPES, 'F16', 'BF16', 'F32'] as const;
export type TypeName = (typeof TYPES)[number];

/** Some values of a type: noise, but for the scales of blocks, so that all are finite and small. */
export function noiseOf(type: TypeName, count: number, seed: number): Pick<NamedTensor, 'type' | 'data'> {
  let state = seed;
  const byte = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  if (type === 'F32' || type === 'F16' || type === 'BF16') {
    const [number, bytes] = FLOAT_BYTES[type];
    // The upper byte of a float, of its sign and most of its exponent, is that of a number near 1.
    const data = Uint8Array.from({ length: count * bytes }, (_, i) => (i % bytes === bytes - 1 ? 0x3c : byte()));
    return { type: number, data };
  }
  const [number, halves] = BLOCK_LAYOUTS[type];
  const { values, bytes } = BLOCKS[type];
  const data = Uint8Array.from({ length: (count / values) * bytes }, byte);
  for (let block = 0; block < data.length; block += bytes) for (const half of halves) data[block + half + 1] = 0x18;
  return { type: number, data };
}
