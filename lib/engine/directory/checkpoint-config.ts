import type { JsonFields } from '../../base/json.js';
import { type BlockType, parseQuantization, type Quantization } from './quantization.js';
import { parseRotaryScaling, type RotaryScaling, scaledPositions } from './rope.js';

export const DTYPES = ['float32', 'float16', 'bfloat16'] as const;
/** What the weights are stored in, by TensorRT-LLM's names. */
export type Dtype = (typeof DTYPES)[number];

/** What the values of one tensor are stored in. */
export type WeightType = Dtype | BlockType;

export const ARCHITECTURES = [
  'LlamaForCausalLM',
  'MistralForCausalLM',
  'Qwen2ForCausalLM',
  'Qwen3ForCausalLM',
  'SmolLM3ForCausalLM',
  'Phi3ForCausalLM',
] as const;
/** Of a model, by Hugging Face's name, which TensorRT-LLM takes over. TensorRT-LLM has no SmolLM3. */
export type Architecture = (typeof ARCHITECTURES)[number];

/** What a `config.json` holds, in TensorRT-LLM's schema and names; lengths are in tokens. */
export interface EngineConfig {
  /** What wrote the file. */
  readonly version: string;
  readonly pretrained_config: PretrainedConfig;
  readonly build_config: BuildConfig;
}

export interface PretrainedConfig {
  readonly architecture: Architecture;
  readonly dtype: Dtype;
  readonly logits_dtype: 'float32';
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_size: number;
  /** 'swiglu': of a Phi3, whose `mlp.fc` has the rows of `mlp.gate` before its own. */
  readonly hidden_act: 'silu' | 'swiglu';
  readonly norm_epsilon: number;
  readonly position_embedding_type: 'rope_gpt_neox';
  readonly max_position_embeddings: number;
  readonly rotary_base: number;
  readonly rotary_scaling: RotaryScaling | null;
  /** Of the queries, keys and values, and of `dense` unless the model is a Qwen2. */
  readonly attn_bias: boolean;
  readonly mlp_bias: boolean;
  /** Whether each head of queries and keys has a norm before RoPE. */
  readonly qk_layernorm: boolean;
  /** By which TensorRT-LLM tells one Qwen from another. */
  readonly qwen_type?: 'qwen2' | 'qwen3';
  /** How much of a head RoPE turns; TensorRT-LLM needs it of a Phi3. */
  readonly rotary_pct?: 1;
  /**
   * How many tokens a query sees, itself included. TensorRT-LLM's schema has no place for it: its executor takes it as
   * `kvCache.maxAttentionWindows`. Null: all of them.
   */
  readonly sliding_window: number | null;
  /**
   * Which layers have the sliding window (1) and which see all tokens (0); without it, all have it. Not in TensorRT-LLM's schema,
   * where Hugging Face's `layer_types` is something else.
   */
  readonly sliding_window_layers?: readonly (0 | 1)[];
  /** Which layers have RoPE (1) and which have not (0), as Hugging Face has it; without it, all of them. Not in TensorRT-LLM's schema. */
  readonly no_rope_layers?: readonly (0 | 1)[];
  /** Whether each tensor parallel rank has its part of the embedding, by tokens, as of the head. */
  readonly use_parallel_embedding: boolean;
  readonly tie_word_embeddings: boolean;
  readonly mapping: Mapping;
  readonly quantization: Quantization;
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
export const MAX_LAYERS = 10_000;
export const MAX_RANKS = 1024;

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
  const build_config = parseBuildConfig(config.child('build_config'), positionsOf(pretrained_config));
  return { version: config.string('version', { fallback: 'none' }), pretrained_config, build_config };
}

/** The longest sequence a model can have, its RoPE scaling included. */
export const positionsOf = (config: Pick<PretrainedConfig, 'max_position_embeddings' | 'rotary_scaling'>): number =>
  scaledPositions(config.max_position_embeddings, config.rotary_scaling);

/**
 * What of a model the CUDA executor does not compute yet, for people; undefined if it computes all of it.
 * native/embedded/cuda/memory_plan.cc and cuda/weight_layout.cc refuse the same.
 * @param types of the weights, where they are known.
 */
export function lacksOnCuda(
  { pretrained_config: model, build_config }: EngineConfig,
  types: Iterable<string> = [],
): string | undefined {
  for (const type of types) if (type === 'Q2_K' || type === 'Q3_K') return `weights in ${type}`;
  const isDynamic = model.rotary_scaling?.rope_type === 'dynamic';
  const isStretched = build_config.max_seq_len > model.max_position_embeddings;
  return isDynamic && isStretched ? 'dynamic frequencies (rotary_scaling)' : undefined;
}

export function parsePretrainedConfig(fields: JsonFields): PretrainedConfig {
  const architecture = fields.oneOf('architecture', ARCHITECTURES);
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
  fields.oneOf('residual_mlp', [false], { fallback: false }); // no field here says it
  const max_position_embeddings = size('max_position_embeddings');
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
    hidden_act: fields.oneOf('hidden_act', [architecture === 'Phi3ForCausalLM' ? 'swiglu' : 'silu']),
    norm_epsilon: fields.positive('norm_epsilon', { fallback: 1e-5 }),
    position_embedding_type: fields.oneOf('position_embedding_type', ['rope_gpt_neox']),
    max_position_embeddings,
    rotary_base: fields.positive('rotary_base', { fallback: 10_000 }),
    rotary_scaling: parseRotaryScaling(fields.child('rotary_scaling'), max_position_embeddings),
    attn_bias: fields.boolean('attn_bias', { fallback: false }),
    mlp_bias: fields.boolean('mlp_bias', { fallback: false }),
    qk_layernorm: fields.boolean('qk_layernorm', { fallback: false }),
    ...(architecture === 'Qwen2ForCausalLM' && { qwen_type: 'qwen2' }),
    ...(architecture === 'Qwen3ForCausalLM' && { qwen_type: 'qwen3' }),
    ...(architecture === 'Phi3ForCausalLM' && { rotary_pct: fields.oneOf('rotary_pct', [1], { fallback: 1 }) }),
    ...parseLayers(fields),
    use_parallel_embedding: parseParallelEmbedding(fields),
    tie_word_embeddings: fields.boolean('tie_word_embeddings', {
      fallback: fields.boolean('share_embedding_table', { fallback: false }),
    }),
    mapping: parseMapping(fields.child('mapping')),
    quantization: parseQuantization(fields.child('quantization')),
  };
}

function parseLayers(
  fields: JsonFields,
): Pick<PretrainedConfig, 'sliding_window' | 'sliding_window_layers' | 'no_rope_layers'> {
  const layers = fields.integer('num_hidden_layers', { min: 1 });
  const flags = (name: string): (0 | 1)[] | undefined => fields.maybe(name, () => fields.listOf(name, [0, 1], layers));
  const sliding_window_layers = flags('sliding_window_layers');
  const no_rope_layers = flags('no_rope_layers');
  return {
    sliding_window: fields.maybe('sliding_window', (name) => fields.integer(name, { min: 1 })) ?? null,
    ...(sliding_window_layers && { sliding_window_layers }),
    ...(no_rope_layers && { no_rope_layers }),
  };
}

function parseParallelEmbedding(fields: JsonFields): boolean {
  const isParallel = fields.boolean('use_parallel_embedding', { fallback: false });
  if (isParallel) fields.oneOf('embedding_sharding_dim', [0], { fallback: 0 });
  return isParallel;
}

function parseMapping(fields: JsonFields): Mapping {
  const size = (name: string, fallback: number): number => fields.integer(name, { min: 1, max: MAX_RANKS, fallback });
  const tp_size = size('tp_size', 1);
  const pp_size = size('pp_size', 1);
  const cp_size = size('cp_size', 1);
  const ranks = tp_size * pp_size * cp_size;
  const world_size = size('world_size', ranks);
  if (world_size !== ranks) throw fields.error('world_size', `tp_size * pp_size * cp_size, which is ${ranks}`);
  return { world_size, tp_size, pp_size, cp_size, gpus_per_node: size('gpus_per_node', 8) };
}

/** Reads `build_config`; what it leaves out gets the default, so `{}` gives the defaults of a model. */
export function parseBuildConfig(fields: JsonFields, positions: number): BuildConfig {
  const max_seq_len = fields.integer('max_seq_len', { min: 2, max: positions, fallback: positions });
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
