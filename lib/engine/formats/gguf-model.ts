import { LLMError } from '../../base/errors.js';
import { type Architecture, MAX_LAYERS } from '../directory/checkpoint-config.js';
import type { RotaryScaling } from '../directory/rope.js';
import type { GgufMetadata } from './gguf-metadata.js';
import type { Gguf } from './gguf-parts.js';
import { TENSOR_TYPES } from './gguf-tensors.js';
import { type LlamaModel, readExactly } from './source.js';

/** By `general.architecture`. A Mistral's file says llama, and knows no sliding window. */
const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ['llama', 'LlamaForCausalLM'],
  ['qwen2', 'Qwen2ForCausalLM'],
  ['qwen3', 'Qwen3ForCausalLM'],
  ['smollm3', 'SmolLM3ForCausalLM'],
  ['phi3', 'Phi3ForCausalLM'],
]);

/** What is read of the keys that begin with the architecture's name. Others may change what is computed. */
const KEYS = [
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'vocab_size',
  'tensor_data_layout', // as the architecture's name has it
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'rope.scaling.yarn_beta_fast',
  'rope.scaling.yarn_beta_slow',
];

/** llama.cpp's NoPE layers of a SmolLM3; no key of the file says so. */
const NO_ROPE_INTERVAL = 4;

/** Reads what a GGUF file says of its model; what the executors would compute otherwise than llama.cpp is refused by name. */
export async function parseGgufModel(gguf: Gguf, metadata: GgufMetadata): Promise<LlamaModel> {
  const name = metadata.string('general.architecture') ?? '';
  const architecture = ARCHITECTURES.get(name);
  if (!architecture) {
    const known = [...ARCHITECTURES.keys()].map((each) => `"${each}"`).join(' or ');
    throw metadata.error('general.architecture', known, 'ERR_MODEL_UNSUPPORTED');
  }
  refuseUnknownKeys(gguf, metadata, name);
  const size = (key: string, fallback?: number): number =>
    metadata.integer(`${name}.${key}`, fallback === undefined ? { min: 1 } : { min: 1, fallback });
  const hidden_size = size('embedding_length');
  const num_attention_heads = size('attention.head_count');
  const head_size = size('attention.key_length', hidden_size / num_attention_heads);
  for (const same of ['attention.value_length', 'rope.dimension_count']) {
    if (size(same, head_size) !== head_size) {
      throw metadata.error(`${name}.${same}`, `the head size, ${head_size}`, 'ERR_MODEL_UNSUPPORTED');
    }
  }
  const layers = size('block_count');
  if (layers > MAX_LAYERS) throw metadata.error(`${name}.block_count`, `at most ${MAX_LAYERS}`);
  const rotary_base = metadata.positive(`${name}.rope.freq_base`, { fallback: 10_000 });
  const max_position_embeddings = size('context_length');
  const window = name === 'phi3' && metadata.integer('phi3.attention.sliding_window', { fallback: 0 });
  const hasBlocks = [...gguf.tensors.values()].some(({ type }) => (TENSOR_TYPES.get(type)?.blockValues ?? 1) > 1);
  const isSmolLm3 = architecture === 'SmolLM3ForCausalLM';
  const ropeLayers = Array.from({ length: layers }, (_, layer) => ((layer + 1) % NO_ROPE_INTERVAL === 0 ? 0 : 1));
  return {
    architecture,
    vocab_size: gguf.tensors.get('token_embd.weight')?.shape[0] ?? size('vocab_size'),
    hidden_size,
    intermediate_size: size('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads,
    num_key_value_heads: size('attention.head_count_kv', num_attention_heads),
    head_size,
    norm_epsilon: metadata.positive(`${name}.attention.layer_norm_rms_epsilon`),
    max_position_embeddings,
    rotary_base,
    rotary_scaling:
      (await readRopeFactors(gguf, { head_size, rotary_base })) ??
      parseScaling(metadata, name, max_position_embeddings),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    attn_bias: gguf.tensors.has('blk.0.attn_q.bias'),
    mlp_bias: gguf.tensors.has('blk.0.ffn_gate.bias'),
    qk_layernorm: architecture === 'Qwen3ForCausalLM',
    sliding_window: window || null,
    quantization: { quant_algo: hasBlocks ? 'GGML' : null, kv_cache_quant_algo: null },
    ...(isSmolLm3 && ropeLayers.includes(0) && { no_rope_layers: ropeLayers }),
  };
}

function refuseUnknownKeys(gguf: Gguf, metadata: GgufMetadata, architecture: string): void {
  for (const [key, value] of gguf.metadata) {
    const known = !key.startsWith(`${architecture}.`) || KEYS.includes(key.slice(architecture.length + 1));
    if (key === 'phi3.attention.sliding_window') continue;
    const isNone = value === 0 || value === false || value === '' || (value === 1 && /factor|scale/.test(key));
    if (known || isNone || (key.endsWith('.attention.causal') && value === true)) continue;
    throw metadata.error(key, 'no such key: it may change what the model computes', 'ERR_MODEL_UNSUPPORTED');
  }
}

function parseScaling(metadata: GgufMetadata, architecture: string, positions: number): RotaryScaling | null {
  const key = (name: string): string => `${architecture}.rope.scaling.${name}`;
  const type = metadata.string(key('type')) ?? 'none';
  const scale = metadata.positive(`${architecture}.rope.scale_linear`, { fallback: 1 }); // of files before the type had a key
  if (type === 'none') return scale === 1 ? null : { rope_type: 'linear', factor: scale };
  if (type === 'linear') return { rope_type: 'linear', factor: metadata.positive(key('factor')) };
  if (type !== 'yarn') throw metadata.error(key('type'), '"none", "linear" or "yarn"', 'ERR_MODEL_UNSUPPORTED');
  const beta = (name: 'beta_fast' | 'beta_slow') =>
    metadata.has(key(`yarn_${name}`)) && { [name]: metadata.positive(key(`yarn_${name}`)) };
  return {
    rope_type: 'yarn',
    factor: metadata.positive(key('factor')),
    original_max_position_embeddings: metadata.integer(key('original_context_length'), { min: 1, fallback: positions }),
    ...beta('beta_fast'),
    ...beta('beta_slow'),
  };
}

/** By what each frequency is divided: Llama 3.1's scaling, worked out by whoever made the file. */
export const ROPE_FACTORS = 'rope_freqs.weight';

// Of Llama 3.1 to 3.3; the factor is the greatest of the file.
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } as const;

/** By how much factors of a type may differ from the right ones: what rounding to it does, and the maker's arithmetic. */
const TOLERANCES: Readonly<Record<string, number>> = { F32: 1e-4, F16: 1e-3, BF16: 5e-3 };

/** The scaling of Llama 3.1 whose factors a file has; null if it has none. */
async function readRopeFactors(
  gguf: Gguf,
  { head_size, rotary_base }: { head_size: number; rotary_base: number },
): Promise<RotaryScaling | null> {
  const tensor = gguf.tensors.get(ROPE_FACTORS);
  if (!tensor) return null;
  const { file, position, shape } = tensor;
  const type = TENSOR_TYPES.get(tensor.type);
  const tolerance = TOLERANCES[type?.name ?? ''];
  const count = head_size / 2;
  const refuse = (found: string): LLMError =>
    new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${file.path}: ${ROPE_FACTORS} ${found}; expected the ${count} factors of Llama 3.1's RoPE scaling. Use another GGUF of the model.`,
    );
  if (!type || tolerance === undefined || shape.join() !== String(count)) {
    throw refuse(`is ${type?.name} [${shape.join(', ')}]`);
  }
  const stored = [...type.decode(await readExactly(file.handle, file.path, position, count * type.blockBytes))];
  const greatest = Math.max(...stored);
  if (stored.every((found) => found === 1)) return null;
  const factor = Math.abs(greatest / Math.round(greatest) - 1) < tolerance ? Math.round(greatest) : greatest;
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: positions } = LLAMA3;
  const isLlama3 = stored.every((found, pair) => {
    const turns = positions / (2 * Math.PI * rotary_base ** ((2 * pair) / head_size)); // in the original context
    const smooth = Math.min(Math.max((turns - low) / (high - low), 0), 1);
    return Math.abs(found * ((1 - smooth) / factor + smooth) - 1) < tolerance;
  });
  if (!isLlama3) throw refuse(`goes up to ${greatest} in another way`);
  return { rope_type: 'llama3', factor, ...LLAMA3 };
}
