import type { JsonFields } from '../../base/json.js';
import { parseRotaryScaling, type RotaryScaling } from './rope.js';

export const DTYPES = ['float32', 'float16', 'bfloat16'] as const;
/** What the weights are stored in, by TensorRT-LLM's names. */
export type Dtype = (typeof DTYPES)[number];

/** What a `config.json` holds, in TensorRT-LLM's schema and names; lengths are in tokens. */
export interface EngineConfig {
  /** What wrote the file. */
  readonly version: string;
  readonly pretrained_config: PretrainedConfig;
  readonly build_config: BuildConfig;
}

export interface PretrainedConfig {
  readonly architecture: 'LlamaForCausalLM';
  readonly dtype: Dtype;
  readonly logits_dtype: 'float32';
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_size: number;
  readonly hidden_act: 'silu';
  readonly norm_epsilon: number;
  readonly position_embedding_type: 'rope_gpt_neox';
  readonly max_position_embeddings: number;
  readonly rotary_base: number;
  readonly rotary_scaling: RotaryScaling | null;
  readonly attn_bias: false;
  readonly mlp_bias: false;
  readonly use_parallel_embedding: false;
  readonly tie_word_embeddings: boolean;
  readonly mapping: Mapping;
  readonly quantization: { readonly quant_algo: null; readonly kv_cache_quant_algo: null };
}

export interface Mapping {
  readonly world_size: number;
  readonly tp_size: number;
  readonly pp_size: number;
  readonly cp_size: number;
  readonly gpus_per_node: number;
}

export interface BuildConfig {
  readonly max_batch_size: number;
  readonly max_beam_width: 1;
  readonly max_input_len: number;
  /** Prompt and new tokens together. */
  readonly max_seq_len: number;
  /** Tokens one step computes, over all requests. */
  readonly max_num_tokens: number;
  readonly plugin_config: {
    readonly paged_kv_cache: true;
    readonly remove_input_padding: true;
    readonly tokens_per_block: number;
  };
}

/** The largest sizes that executors take: kLargestSize of native/json/config_file.h, and kMostLayers. */
export const MAX_SIZE = 2 ** 27;
const MAX_LAYERS = 10_000;

const DEFAULT_MAX_BATCH_SIZE = 64;
const DEFAULT_MAX_NUM_TOKENS = 512;
const DEFAULT_TOKENS_PER_BLOCK = 32;

/**
 * Reads `config.json`: of an engine (`pretrained_config` and `build_config`), or of a bare checkpoint as NVIDIA's
 * `convert_checkpoint` writes it, whose limits then are the defaults.
 * @throws {LLMError} `ERR_ENGINE_CONFIG` for a field that is missing or wrong, `ERR_MODEL_UNSUPPORTED` for one that asks for
 *   what no executor here does; the message names it.
 */
export function parseEngineConfig(config: JsonFields): EngineConfig {
  const isEngine = config.has('pretrained_config');
  const pretrained_config = parsePretrainedConfig(isEngine ? config.child('pretrained_config') : config);
  const build_config = parseBuildConfig(config.child('build_config'), pretrained_config.max_position_embeddings);
  return { version: config.string('version', { fallback: 'none' }), pretrained_config, build_config };
}

export function parsePretrainedConfig(fields: JsonFields): PretrainedConfig {
  const architecture = fields.oneOf('architecture', ['LlamaForCausalLM']);
  const size = (name: string, fallback?: number): number =>
    fields.integer(name, { min: 1, max: MAX_SIZE, ...(fallback === undefined ? {} : { fallback }) });
  const hidden_size = size('hidden_size');
  const num_attention_heads = size('num_attention_heads');
  const num_key_value_heads = size('num_key_value_heads', num_attention_heads);
  if (num_attention_heads % num_key_value_heads !== 0) {
    throw fields.error('num_key_value_heads', `a divisor of num_attention_heads (${num_attention_heads})`);
  }
  const head_size = size('head_size', hidden_size / num_attention_heads);
  if ((num_attention_heads + 2 * num_key_value_heads) * head_size > MAX_SIZE) {
    throw fields.error('head_size', 'a number small enough for its number of heads');
  }
  if (head_size % 2 !== 0) throw fields.error('head_size', 'an even number: rotary embedding turns pairs');
  for (const flag of ['qk_layernorm', 'residual_mlp']) fields.oneOf(flag, [false], { fallback: false }); // no field here says them
  return {
    architecture,
    dtype: fields.oneOf('dtype', DTYPES),
    logits_dtype: fields.oneOf('logits_dtype', ['float32'], { fallback: 'float32' }),
    vocab_size: size('vocab_size'),
    hidden_size,
    intermediate_size: size('intermediate_size', 4 * hidden_size),
    num_hidden_layers: fields.integer('num_hidden_layers', { min: 1, max: MAX_LAYERS }),
    num_attention_heads,
    num_key_value_heads,
    head_size,
    hidden_act: fields.oneOf('hidden_act', ['silu']),
    norm_epsilon: fields.positive('norm_epsilon', { fallback: 1e-5 }),
    position_embedding_type: fields.oneOf('position_embedding_type', ['rope_gpt_neox']),
    max_position_embeddings: size('max_position_embeddings'),
    rotary_base: fields.positive('rotary_base', { fallback: 10_000 }),
    rotary_scaling: parseRotaryScaling(fields.child('rotary_scaling')),
    attn_bias: fields.oneOf('attn_bias', [false], { fallback: false }),
    mlp_bias: fields.oneOf('mlp_bias', [false], { fallback: false }),
    use_parallel_embedding: fields.oneOf('use_parallel_embedding', [false], { fallback: false }),
    tie_word_embeddings: fields.boolean('tie_word_embeddings', {
      fallback: fields.boolean('share_embedding_table', { fallback: false }),
    }),
    mapping: parseMapping(fields.child('mapping')),
    quantization: parseQuantization(fields.child('quantization')),
  };
}

function parseMapping(fields: JsonFields): Mapping {
  const size = (name: string, fallback: number): number => fields.integer(name, { min: 1, max: 1024, fallback });
  const tp_size = size('tp_size', 1);
  const pp_size = size('pp_size', 1);
  const cp_size = size('cp_size', 1);
  const ranks = tp_size * pp_size * cp_size;
  const world_size = size('world_size', ranks);
  if (world_size !== ranks) throw fields.error('world_size', `tp_size * pp_size * cp_size, which is ${ranks}`);
  return { world_size, tp_size, pp_size, cp_size, gpus_per_node: size('gpus_per_node', 8) };
}

function parseQuantization(fields: JsonFields): PretrainedConfig['quantization'] {
  for (const name of ['quant_algo', 'kv_cache_quant_algo']) {
    if (fields.has(name)) {
      throw fields.error(name, 'null: quantized checkpoints are not run yet', 'ERR_MODEL_UNSUPPORTED');
    }
  }
  return { quant_algo: null, kv_cache_quant_algo: null };
}

/** Reads `build_config`; what it leaves out gets the default, so `{}` gives the defaults of a model. */
export function parseBuildConfig(fields: JsonFields, maxPositionEmbeddings: number): BuildConfig {
  const max_seq_len = fields.integer('max_seq_len', {
    min: 2,
    max: maxPositionEmbeddings,
    fallback: maxPositionEmbeddings,
  });
  const plugins = fields.child('plugin_config');
  return {
    max_batch_size: fields.integer('max_batch_size', { min: 1, max: MAX_SIZE, fallback: DEFAULT_MAX_BATCH_SIZE }),
    max_beam_width: fields.oneOf('max_beam_width', [1], { fallback: 1 }),
    max_input_len: fields.integer('max_input_len', { min: 1, max: max_seq_len, fallback: max_seq_len - 1 }),
    max_seq_len,
    max_num_tokens: fields.integer('max_num_tokens', { min: 1, max: MAX_SIZE, fallback: DEFAULT_MAX_NUM_TOKENS }),
    plugin_config: {
      paged_kv_cache: plugins.oneOf('paged_kv_cache', [true], { fallback: true }),
      remove_input_padding: plugins.oneOf('remove_input_padding', [true], { fallback: true }),
      tokens_per_block: plugins.integer('tokens_per_block', { min: 1, max: 1024, fallback: DEFAULT_TOKENS_PER_BLOCK }),
    },
  };
}
