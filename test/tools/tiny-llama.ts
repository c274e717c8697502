import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A random Llama, or one of its kin, of some 100,000 weights, for tests: the same for the same spec on every machine.
 * Its text is noise, but its logits spread as a trained model's do, and each feature (grouping, RoPE, tying) moves them.
 */
export interface TinyLlamaSpec {
  /** Tells models of one shape apart. */
  seed: number;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Tokens. */
  maxPositions: number;
  ropeTheta: number;
  /** Hugging Face's `rope_scaling`, `rope_type` included; absent for default RoPE. */
  ropeScaling?: Readonly<Record<string, string | number | boolean>>;
  /** Whether the output head is the embedding. */
  tied: boolean;
  /** What config.json names as the model's type. The weights lie in the file as float32 all the same. */
  dtype: 'float32' | 'float16' | 'bfloat16';
  /** Whose config.json is written: transformers 4 (`rope_theta`, `torch_dtype`) or 5 (`rope_parameters`, `dtype`). */
  configOf: 'transformers-4' | 'transformers-5';
  /** `model_type` of config.json, which says what the model has besides: biases of a qwen2, norms of a qwen3. Default: 'llama'. */
  modelType?: keyof typeof MODEL_TYPES;
  /** Further fields of config.json. */
  fields?: Readonly<Record<string, unknown>>;
  /** 'bytes': a tokenizer whose ids 0 to 255 are the bytes, then {@link TINY_SPECIAL_TOKENS}; with a ChatML template. */
  tokenizer?: 'bytes';
}

const MODEL_TYPES = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  smollm3: 'SmolLM3ForCausalLM',
  phi3: 'Phi3ForCausalLM',
} as const;

/** The special tokens of the 'bytes' tokenizer; the first has id 256. */
export const TINY_SPECIAL_TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;

const BASE: TinyLlamaSpec = {
  seed: 1,
  vocabSize: 320,
  hiddenSize: 64,
  intermediateSize: 172, // no multiple of a vector, nor are some of the sizes below
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  maxPositions: 8192,
  ropeTheta: 10000,
  tied: true,
  dtype: 'float32',
  configOf: 'transformers-4',
};

/** What test/goldens holds the reference's logits of, and `text`, which has a tokenizer. */
export const TINY_LLAMAS = {
  gqa: { ...BASE, seed: 13, vocabSize: 160, dtype: 'bfloat16' },
  mha: { ...BASE, seed: 2, kvHeads: 4, dtype: 'float16', configOf: 'transformers-5' },
  mqa: { ...BASE, seed: 3, kvHeads: 1, layers: 3 },
  untied: {
    ...BASE,
    seed: 4,
    vocabSize: 317,
    ropeTheta: 500000,
    tied: false,
    dtype: 'bfloat16',
    configOf: 'transformers-5',
  },
  'odd-head-dim': { ...BASE, seed: 5, hiddenSize: 48, intermediateSize: 100, heads: 3, kvHeads: 1, headDim: 24 },
  'llama3-rope': {
    ...BASE,
    seed: 6,
    vocabSize: 160,
    tied: false,
    dtype: 'float16',
    ropeScaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64, // tokens; low enough that head dim 16 has frequencies in all three bands
    },
  },
  'linear-rope': {
    ...BASE,
    seed: 7,
    vocabSize: 160,
    tied: false,
    configOf: 'transformers-5',
    ropeScaling: { rope_type: 'linear', factor: 4 },
  },
  'dynamic-rope': {
    ...BASE,
    seed: 9,
    vocabSize: 160,
    maxPositions: 64,
    ropeScaling: { rope_type: 'dynamic', factor: 4 },
  },
  'yarn-rope': {
    ...BASE,
    seed: 10,
    vocabSize: 160,
    maxPositions: 64,
    ropeScaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 64 },
  },
  'yarn-mscale': {
    ...BASE,
    seed: 11,
    vocabSize: 160,
    maxPositions: 256,
    configOf: 'transformers-5',
    ropeScaling: {
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 64,
      beta_fast: 8,
      beta_slow: 2,
      mscale: 1.3,
      mscale_all_dim: 0.7,
      truncate: false,
    },
  },
  biases: { ...BASE, seed: 12, vocabSize: 160, tied: false, fields: { attention_bias: true, mlp_bias: true } },
  mistral: { ...BASE, seed: 14, vocabSize: 160, tied: false, modelType: 'mistral', fields: { sliding_window: 40 } },
  qwen2: { ...BASE, seed: 15, vocabSize: 160, ropeTheta: 1_000_000, modelType: 'qwen2' },
  'qwen2-window': {
    ...BASE,
    seed: 16,
    vocabSize: 160,
    layers: 3,
    tied: false,
    modelType: 'qwen2',
    configOf: 'transformers-5',
    fields: { use_sliding_window: true, sliding_window: 24, max_window_layers: 1 },
  },
  qwen3: {
    ...BASE,
    seed: 17,
    vocabSize: 160,
    headDim: 24, // not hidden size / heads
    ropeTheta: 1_000_000,
    modelType: 'qwen3',
  },
  smollm3: {
    ...BASE,
    seed: 18,
    vocabSize: 160,
    layers: 5,
    modelType: 'smollm3',
    configOf: 'transformers-5',
    fields: { pad_token_id: null }, // transformers' own default is beyond this vocabulary
  },
  'smollm3-window': {
    ...BASE,
    seed: 19,
    vocabSize: 160,
    layers: 3,
    modelType: 'smollm3',
    fields: {
      pad_token_id: null,
      no_rope_layers: [0, 1, 0],
      use_sliding_window: true,
      sliding_window: 33,
      attention_bias: true,
      mlp_bias: true,
    },
  },
  phi3: {
    ...BASE,
    seed: 20,
    vocabSize: 160,
    tied: false,
    modelType: 'phi3',
    fields: { sliding_window: 47, pad_token_id: null, eos_token_id: null, original_max_position_embeddings: 8192 },
  },
  'long-context': {
    ...BASE,
    seed: 21,
    vocabSize: 160,
    intermediateSize: 128,
    heads: 2,
    kvHeads: 1,
    headDim: 64, // one that the GPU's kernels have
    maxPositions: 131_072,
    ropeTheta: 500_000,
    tied: false,
    dtype: 'float16',
    ropeScaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  },
  text: { ...BASE, seed: 8, vocabSize: 256 + TINY_SPECIAL_TOKENS.length, dtype: 'bfloat16', tokenizer: 'bytes' },
} as const satisfies Record<string, TinyLlamaSpec>;

export interface TinyTensor {
  name: string;
  shape: readonly number[];
  /** Row-major. */
  data: Float32Array;
}

/** Writes the model as a Hugging Face directory, which is made if need be. */
export async function writeTinyLlama(dir: string, spec: TinyLlamaSpec): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeJson(join(dir, 'config.json'), configJson(spec));
  await writeSafetensors(join(dir, 'model.safetensors'), tinyLlamaTensors(spec));
  if (spec.tokenizer === 'bytes') await writeBytesTokenizer(dir);
}

/** The weights under Hugging Face's names; linear weights are [out, in]. */
export function tinyLlamaTensors(spec: TinyLlamaSpec): TinyTensor[] {
  const { hiddenSize, intermediateSize, vocabSize, modelType = 'llama', fields } = spec;
  const qSize = spec.heads * spec.headDim;
  const kvSize = spec.kvHeads * spec.headDim;
  // A gain is the standard deviation of the output for inputs of deviation 1. Queries and keys get more, so that
  // attention is sharp enough to feel a wrong position; the embedding, which may be the head too, gets the head's.
  const linear = (name: string, out: number, fanIn: number, gain: number): TinyTensor => ({
    name,
    shape: [out, fanIn],
    data: noise(spec.seed, name, out * fanIn, 0, gain * Math.sqrt(3 / fanIn)),
  });
  const norm = (name: string, size = hiddenSize): TinyTensor => ({
    name,
    shape: [size],
    data: noise(spec.seed, name, size, 1, 0.25),
  });
  const bias = (name: string, size: number): TinyTensor => ({
    name,
    shape: [size],
    data: noise(spec.seed, name, size, 0, 0.5),
  });
  const layerVectors = (prefix: string): TinyTensor[] => {
    const attention = `${prefix}.self_attn`;
    const hasBias = fields?.attention_bias === true;
    return [
      ...(hasBias || modelType === 'qwen2'
        ? [
            bias(`${attention}.q_proj.bias`, qSize),
            bias(`${attention}.k_proj.bias`, kvSize),
            bias(`${attention}.v_proj.bias`, kvSize),
          ]
        : []),
      ...(hasBias ? [bias(`${attention}.o_proj.bias`, hiddenSize)] : []),
      ...(modelType === 'qwen3'
        ? [norm(`${attention}.q_norm.weight`, spec.headDim), norm(`${attention}.k_norm.weight`, spec.headDim)]
        : []),
      ...(fields?.mlp_bias === true
        ? [
            bias(`${prefix}.mlp.gate_proj.bias`, intermediateSize),
            bias(`${prefix}.mlp.up_proj.bias`, intermediateSize),
            bias(`${prefix}.mlp.down_proj.bias`, hiddenSize),
          ]
        : []),
    ];
  };
  const layer = (index: number): TinyTensor[] => {
    const prefix = `model.layers.${index}`;
    return [
      norm(`${prefix}.input_layernorm.weight`),
      ...(modelType === 'phi3'
        ? [linear(`${prefix}.self_attn.qkv_proj.weight`, qSize + 2 * kvSize, hiddenSize, 1.25)]
        : [
            linear(`${prefix}.self_attn.q_proj.weight`, qSize, hiddenSize, 1.25),
            linear(`${prefix}.self_attn.k_proj.weight`, kvSize, hiddenSize, 1.25),
            linear(`${prefix}.self_attn.v_proj.weight`, kvSize, hiddenSize, 1),
          ]),
      linear(`${prefix}.self_attn.o_proj.weight`, hiddenSize, qSize, 1),
      norm(`${prefix}.post_attention_layernorm.weight`),
      ...(modelType === 'phi3'
        ? [linear(`${prefix}.mlp.gate_up_proj.weight`, 2 * intermediateSize, hiddenSize, 1.5)]
        : [
            linear(`${prefix}.mlp.gate_proj.weight`, intermediateSize, hiddenSize, 1.5),
            linear(`${prefix}.mlp.up_proj.weight`, intermediateSize, hiddenSize, 1),
          ]),
      linear(`${prefix}.mlp.down_proj.weight`, hiddenSize, intermediateSize, 1),
      ...layerVectors(prefix),
    ];
  };
  return [
    linear('model.embed_tokens.weight', vocabSize, hiddenSize, 2),
    ...Array.from({ length: spec.layers }, (_, index) => layer(index)).flat(),
    norm('model.norm.weight'),
    ...(spec.tied ? [] : [linear('lm_head.weight', vocabSize, hiddenSize, 2)]),
  ];
}

/** A safetensors file of float32 tensors in the order given. */
export async function writeSafetensors(path: string, tensors: readonly TinyTensor[]): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape, data } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8)); // spaces, so that the data is aligned
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await writeFile(path, Buffer.concat([length, padded, ...tensors.map(({ data }) => Buffer.from(data.buffer))]));
}

/** `count` values spread evenly over [middle - reach, middle + reach), each a hash of (seed, name, index). */
function noise(seed: number, name: string, count: number, middle: number, reach: number): Float32Array {
  const stream = [...name].reduce((hash, letter) => mix(hash ^ letter.charCodeAt(0)), mix(seed));
  return Float32Array.from({ length: count }, (_, index) => middle + reach * (mix(stream + index) / 2 ** 31 - 1));
}

/** The 32-bit finalizer of MurmurHash3: every bit of the input moves every bit of the result. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function configJson(spec: TinyLlamaSpec): Record<string, unknown> {
  const rope =
    spec.configOf === 'transformers-4'
      ? { torch_dtype: spec.dtype, rope_theta: spec.ropeTheta, rope_scaling: spec.ropeScaling ?? null }
      : {
          dtype: spec.dtype,
          rope_parameters: { rope_type: 'default', ...spec.ropeScaling, rope_theta: spec.ropeTheta },
        };
  const { modelType = 'llama' } = spec;
  return {
    architectures: [MODEL_TYPES[modelType]],
    model_type: modelType,
    vocab_size: spec.vocabSize,
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    num_hidden_layers: spec.layers,
    num_attention_heads: spec.heads,
    num_key_value_heads: spec.kvHeads,
    head_dim: spec.headDim,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    max_position_embeddings: spec.maxPositions,
    tie_word_embeddings: spec.tied,
    attention_bias: false,
    mlp_bias: false,
    ...rope,
    ...(spec.tokenizer === 'bytes' ? { bos_token_id: 257, eos_token_id: 258 } : {}),
    ...spec.fields,
  };
}

async function writeBytesTokenizer(dir: string): Promise<void> {
  const letters = byteLetters();
  const special = TINY_SPECIAL_TOKENS.map((content, index) => ({
    id: 256 + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  await writeJson(join(dir, 'tokenizer.json'), {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(letters.map((letter, byte) => [letter, byte])), merges: [] },
  });
  await writeJson(join(dir, 'tokenizer_config.json'), {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<|im_start|>',
    eos_token: '<|im_end|>',
    chat_template:
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  });
  await writeJson(join(dir, 'generation_config.json'), { bos_token_id: 257, eos_token_id: [258, 256] });
}

/** GPT-2's letter for each byte: printable Latin-1 stands for itself, the others follow from U+0100 on. */
function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : next++);
  });
}

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
