import type { JsonFields } from '../../base/json.js';
import { MAX_LAYERS } from '../directory/checkpoint-config.js';
import type { RotaryScaling } from '../directory/rope.js';
import { parseNemoYaml } from './nemo-yaml.js';
import type { LlamaModel } from './source.js';
import { readWhole, type SourceFiles } from './source-files.js';

// Keys and defaults: NeMo 1.x and 2.0, MegatronGPTModel and what it hands to Megatron Core's TransformerConfig.

export const NEMO_CONFIG = 'model_config.yaml';
const MAX_CONFIG_BYTES = 1 << 20;
const MAX_TENSOR_PARALLEL = 1024;
const FIX = 'Check the file, or save the model again with NeMo.';

export async function readNemoConfig(files: SourceFiles): Promise<JsonFields> {
  const bytes = await readWhole(files, NEMO_CONFIG, MAX_CONFIG_BYTES, FIX);
  return parseNemoYaml(bytes.toString('utf8'), {
    file: files.label(NEMO_CONFIG),
    code: 'ERR_SOURCE_INVALID',
    fix: FIX,
  });
}

/** Keys that ask for what a Llama does not have. They must be missing, null or empty. */
const REFUSED_IF_SET = [
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'heterogeneous_layers_config_path',
  'hyena',
  'kv_lora_rank',
  'logits_soft_cap',
  'mcore_customization_config',
  'mtp_num_layers',
  'num_moe_experts',
  'q_lora_rank',
  'query_pre_attn_scalar',
  'rope_scaling_factor',
  'sliding_window',
  'softmax_scale',
  'window_size',
];
/** Likewise, but may be false. */
const REFUSED_IF_TRUE = [
  'add_qkv_bias',
  'apply_embedding_scaling',
  'apply_residual_connection_post_layernorm',
  'headscale',
  'layernorm_zero_centered_gamma',
  'multi_latent_attention',
  'multi_query_attention',
  'new_decoder_architecture',
  'parallel_attention',
  'qk_layernorm',
  'qkv_bias',
  'rope_scaling',
  'rotary_interleaved',
  'use_qk_norm',
];

/**
 * Reads the config of a Llama. What the executors would compute differently from NeMo is refused. Any value is taken of the keys of
 * training and of kernel fusion, of `apply_query_key_layer_scaling` (it cancels out), and of `fp8` (the weights are stored unscaled).
 */
export function parseNemoModel(config: JsonFields, vocab_size: number): LlamaModel {
  for (const name of REFUSED_IF_SET) {
    const value = config.object[name];
    if (config.has(name) && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0)) {
      throw config.error(name, 'null', 'ERR_MODEL_UNSUPPORTED');
    }
  }
  for (const name of REFUSED_IF_TRUE) mustBe(config, name, false, [false]);
  mustBe(config, 'mcore_gpt', false, [true]);
  mustBe(config, 'bias', true, [false]);
  mustBe(config, 'normalization', 'layernorm', ['rmsnorm']);
  mustBe(config, 'activation', 'gelu', ['fast-swiglu', 'swiglu']);
  mustBe(config, 'position_embedding_type', 'learned_absolute', ['rope']);
  mustBe(config, 'transformer_block_type', 'pre_ln', ['pre_ln']);
  mustBe(config, 'attention_type', 'multihead', ['multihead']);
  mustBe(config, 'normalize_attention_scores', true, [true]);
  mustBe(config, 'gated_linear_unit', true, [true]);
  mustBe(config, 'rotary_percentage', 1, [1]);
  const size = (name: string): number => config.integer(name, { min: 1 });
  const hidden_size = size('hidden_size');
  const num_attention_heads = size('num_attention_heads');
  const num_key_value_heads = config.integer('num_query_groups', { min: 1, fallback: num_attention_heads });
  if (num_attention_heads % num_key_value_heads !== 0) {
    throw config.error('num_query_groups', `a divisor of num_attention_heads (${num_attention_heads})`);
  }
  return {
    vocab_size,
    hidden_size,
    intermediate_size: size('ffn_hidden_size'),
    num_hidden_layers: config.integer('num_layers', { min: 1, max: MAX_LAYERS }),
    num_attention_heads,
    num_key_value_heads,
    head_size: config.integer('kv_channels', { min: 1, fallback: hidden_size / num_attention_heads }),
    norm_epsilon: config.positive('layernorm_epsilon', { fallback: 1e-5 }),
    max_position_embeddings: size(
      config.has('max_position_embeddings') ? 'max_position_embeddings' : 'encoder_seq_length',
    ),
    rotary_base: config.positive('rotary_base', { fallback: 10_000 }),
    rotary_scaling: parseScaling(config),
    tie_word_embeddings: config.boolean('share_embeddings_and_output_weights', { fallback: true }),
  };
}

type Value = string | number | boolean;

/** Refuses a value that makes the model another than a Llama; `fallback` is NeMo's default. NeMo ignores the case of names. */
function mustBe(config: JsonFields, name: string, fallback: Value, supported: readonly Value[]): void {
  const value = config.object[name] ?? fallback;
  if (supported.some((each) => each === (typeof value === 'string' ? value.toLowerCase() : value))) return;
  throw config.error(name, supported.map((each) => JSON.stringify(each)).join(' or '), 'ERR_MODEL_UNSUPPORTED');
}

/** What `scale_positional_embedding` means; NeMo has no key for other numbers. */
const LLAMA3_SCALING: RotaryScaling = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

function parseScaling(config: JsonFields): RotaryScaling | null {
  const isLlama3 = config.boolean('scale_positional_embedding', { fallback: false });
  if (!config.has('seq_len_interpolation_factor')) return isLlama3 ? LLAMA3_SCALING : null;
  if (isLlama3) {
    throw config.error('seq_len_interpolation_factor', 'null with scale_positional_embedding', 'ERR_MODEL_UNSUPPORTED');
  }
  return { rope_type: 'linear', factor: config.positive('seq_len_interpolation_factor') };
}

/**
 * Whether NeMo pads a vocabulary of `tokens` to `rows`: to a multiple of `make_vocab_size_divisible_by` times the tensor parallel
 * size. That was a divisor of the heads when the model was made; what the config says may have changed since.
 */
export function isPaddedVocabulary(config: JsonFields, tokens: number, rows: number): boolean {
  const base = config.integer('make_vocab_size_divisible_by', { min: 1, fallback: 128 });
  const heads = config.integer('num_attention_heads', { min: 1 });
  for (let ranks = 1; ranks <= Math.min(heads, MAX_TENSOR_PARALLEL); ranks++) {
    const multiple = base * ranks;
    if (heads % ranks === 0 && Math.ceil(tokens / multiple) * multiple === rows) return true;
  }
  return false;
}
