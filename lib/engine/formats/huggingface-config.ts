import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { isJsonObject, JsonFields, type JsonObject } from '../../base/json.js';
import { type Architecture, MAX_LAYERS, MAX_SIZE } from '../directory/checkpoint-config.js';
import { parseRotaryScaling } from '../directory/rope.js';
import type { LlamaModel } from './source.js';

/** A kind of model: a Llama, and what of it config.json can say otherwise. */
interface Family {
  readonly architecture: Architecture;
  /** What transformers takes config.json to say where it leaves a field out; null in the file stays null. */
  readonly defaults: JsonObject;
  /** The fields that transformers reads of this model besides {@link COMMON_FIELDS}. */
  readonly fields: readonly string[];
  readonly read: (config: JsonFields) => Partial<LlamaModel>;
}

const COMMON_FIELDS = [
  'model_type',
  'architectures',
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'hidden_act',
  'rms_norm_eps',
  'max_position_embeddings',
  'original_max_position_embeddings',
  'partial_rotary_factor',
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'tie_word_embeddings',
  'quantization_config',
];
const LAYER_TYPES = ['full_attention', 'sliding_attention'] as const;
const WINDOW_FIELDS = ['use_sliding_window', 'sliding_window', 'max_window_layers', 'layer_types'];

const biases = (config: JsonFields): Partial<LlamaModel> => ({
  attn_bias: config.boolean('attention_bias', { fallback: false }),
  mlp_bias: config.boolean('mlp_bias', { fallback: false }),
});

/** By `model_type`. */
const FAMILIES: ReadonlyMap<string, Family> = new Map<string, Family>([
  ['llama', { architecture: 'LlamaForCausalLM', defaults: {}, fields: ['attention_bias', 'mlp_bias'], read: biases }],
  [
    'mistral',
    {
      architecture: 'MistralForCausalLM',
      defaults: { num_key_value_heads: 8, sliding_window: 4096 },
      fields: ['sliding_window'],
      read: (config) => ({ sliding_window: readWindow(config) }),
    },
  ],
  [
    'qwen2',
    {
      architecture: 'Qwen2ForCausalLM',
      defaults: { num_key_value_heads: 32, sliding_window: 4096, max_window_layers: 28 },
      fields: WINDOW_FIELDS,
      read: (config) => ({ attn_bias: true, ...readQwenWindow(config) }),
    },
  ],
  [
    'qwen3',
    {
      architecture: 'Qwen3ForCausalLM',
      defaults: { num_key_value_heads: 32, head_dim: 128, sliding_window: 4096, max_window_layers: 28 },
      fields: [...WINDOW_FIELDS, 'attention_bias'],
      read: (config) => ({ ...biases(config), qk_layernorm: true, ...readQwenWindow(config) }),
    },
  ],
  [
    'smollm3',
    {
      architecture: 'SmolLM3ForCausalLM',
      defaults: { num_key_value_heads: 4, tie_word_embeddings: true },
      fields: [...WINDOW_FIELDS, 'attention_bias', 'mlp_bias', 'no_rope_layers', 'no_rope_layer_interval'],
      read: (config) => ({ ...biases(config), ...readSmolLm3Layers(config) }),
    },
  ],
  [
    'phi3',
    {
      architecture: 'Phi3ForCausalLM',
      defaults: { rms_norm_eps: 1e-5 },
      fields: ['sliding_window'],
      read: (config) => ({ sliding_window: readWindow(config) }),
    },
  ],
]);

/** Reads a model's config.json; what the executors would compute otherwise than transformers is refused by name. */
export function parseModel(file: JsonFields): LlamaModel {
  const type = file.oneOf('model_type', [...FAMILIES.keys()]);
  const family = FAMILIES.get(type) as Family;
  const config = new JsonFields({ ...family.defaults, ...file.object }, file.context);
  checkArchitectures(config, family.architecture);
  config.oneOf('hidden_act', ['silu', 'swish'], { fallback: 'silu' });
  config.oneOf('partial_rotary_factor', [1], { fallback: 1 });
  refuseUnknownMaths(config, family);
  if (type === 'phi3') refusePhi3Scaling(config);
  const size = (name: string): number => config.integer(name, { min: 1, max: MAX_SIZE });
  const hidden_size = size('hidden_size');
  const num_attention_heads = size('num_attention_heads');
  const max_position_embeddings = size('max_position_embeddings');
  return {
    architecture: family.architecture,
    vocab_size: size('vocab_size'),
    hidden_size,
    intermediate_size: size('intermediate_size'),
    num_hidden_layers: layersOf(config),
    num_attention_heads,
    num_key_value_heads: config.integer('num_key_value_heads', { min: 1, fallback: num_attention_heads }),
    head_size: config.integer('head_dim', { min: 1, fallback: hidden_size / num_attention_heads }),
    norm_epsilon: config.positive('rms_norm_eps', { fallback: 1e-6 }),
    max_position_embeddings,
    ...parseRope(config, max_position_embeddings),
    tie_word_embeddings: config.boolean('tie_word_embeddings', { fallback: false }),
    ...family.read(config),
  };
}

function checkArchitectures(config: JsonFields, architecture: Architecture): void {
  if (!config.has('architectures')) return;
  const { architectures } = config.object;
  // LLaMAForCausalLM: as the first converted Llamas have it.
  const names = architecture === 'LlamaForCausalLM' ? [architecture, 'LLaMAForCausalLM'] : [architecture];
  if (Array.isArray(architectures) && names.some((name) => architectures.includes(name))) return;
  throw config.error('architectures', `["${architecture}"]`, 'ERR_MODEL_UNSUPPORTED');
}

/** Transformers 5 has `rope_parameters`; 4 has `rope_theta` and, where frequencies are scaled, `rope_scaling`, which wins. */
function parseRope(config: JsonFields, positions: number): Pick<LlamaModel, 'rotary_base' | 'rotary_scaling'> {
  const { rope_scaling } = config.object;
  const isScaled =
    config.has('rope_scaling') && !(isJsonObject(rope_scaling) && Object.keys(rope_scaling).length === 0);
  const parameters = config.child(isScaled ? 'rope_scaling' : 'rope_parameters');
  const original = config.maybe('original_max_position_embeddings', (name) => config.integer(name, { min: 1 }));
  return {
    rotary_base: parameters.positive('rope_theta', { fallback: config.positive('rope_theta', { fallback: 10_000 }) }),
    rotary_scaling: parseRotaryScaling(parameters, positions, original),
  };
}

/** Transformers takes "yarn" and "su" of a Phi3 to mean longrope. */
function refusePhi3Scaling(config: JsonFields): void {
  for (const name of ['rope_scaling', 'rope_parameters']) {
    const scaling = config.child(name);
    scaling.oneOf(scaling.has('rope_type') ? 'rope_type' : 'type', ['default'], { fallback: 'default' });
  }
}

const layersOf = (config: JsonFields): number => config.integer('num_hidden_layers', { min: 1, max: MAX_LAYERS });

const readWindow = (config: JsonFields): number | null =>
  config.maybe('sliding_window', (name) => config.integer(name, { min: 1 })) ?? null;

/** Layers of Qwen2 and Qwen3 from `max_window_layers` on have the window, if it is used at all. */
function readQwenWindow(config: JsonFields): Partial<LlamaModel> {
  const layers = layersOf(config);
  const first = config.integer('max_window_layers', { fallback: 28 });
  return readLayerTypes(
    config,
    Array.from({ length: layers }, (_, layer) => layer >= first),
  );
}

/** Layers of SmolLM3 have RoPE unless `no_rope_layers` has a 0 for them, and those without have the window, if it is used. */
function readSmolLm3Layers(config: JsonFields): Partial<LlamaModel> {
  const layers = layersOf(config);
  const interval = config.integer('no_rope_layer_interval', { min: 1, fallback: 4 });
  const ropeLayers =
    config.maybe('no_rope_layers', (name) => config.listOf(name, [0, 1], layers)) ??
    Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1));
  return {
    ...(ropeLayers.includes(0) && { no_rope_layers: ropeLayers }),
    ...readLayerTypes(
      config,
      ropeLayers.map((hasRope) => hasRope === 0),
    ),
  };
}

/** `slides`: by layer, where the file has no `layer_types`. */
function readLayerTypes(config: JsonFields, slides: readonly boolean[]): Partial<LlamaModel> {
  const window = config.boolean('use_sliding_window', { fallback: false }) ? readWindow(config) : null;
  const given = config.maybe('layer_types', (name) => config.listOf(name, LAYER_TYPES, slides.length));
  if (window === null) {
    if (!given?.includes('sliding_attention')) return { sliding_window: null };
    throw config.error('layer_types', 'only "full_attention", because no sliding window is used');
  }
  const layers = (given ? given.map((type) => type === 'sliding_attention') : slides).map((slide) => (slide ? 1 : 0));
  if (!layers.includes(1)) return { sliding_window: null };
  return { sliding_window: window, ...(layers.includes(0) && { sliding_window_layers: layers }) };
}

// config.json holds whatever its writers put there: transformers' own fields, those of trainers and of other programs.
// What transformers reads of a model is listed above. Of the rest a field is ignored if its name says nothing about
// what a model computes ("unsloth_version", "transformers.js_config"), or about training and speed only; or if its value
// says that the model does not have what the name says. Any other may be what makes the model another one, so it is refused.
const ABOUT_MATHS =
  /attn|attention|head|expert|moe|rout|rope|rotary|position|alibi|norm|scal|multipl|softcap|logit|bias|act(ivation)?(_|$)|mlp|ffn|feed_forward|window|layer|residual|parallel_block|latent|lora|rank|_proj|q_?k|kv_|embed|embd|hidden|state|ssm|conv_|mamba|mask|sink|quant|bits|spars|compress|clip|softmax|gate|glu|mup|causal|bidirect/i;
const ABOUT_TRAINING_OR_SPEED =
  /dropout|pdrop|initializer|init_(std|range|method)|implementation|flash|fuse|efficient|xformers|sdpa|loss|recompute|checkpoint|^output_|use_cache/i;
/** Flags that change what is computed where they are false. */
const TRUE_FLAGS = ['is_causal', 'causal', 'use_rope', 'use_rotary'];

function refuseUnknownMaths(config: JsonFields, { architecture, fields }: Family): void {
  for (const [name, value] of Object.entries(config.object)) {
    if (COMMON_FIELDS.includes(name) || fields.includes(name) || ABOUT_TRAINING_OR_SPEED.test(name)) continue;
    if (!(TRUE_FLAGS.includes(name) || ABOUT_MATHS.test(name)) || saysNothing(name, config)) continue;
    const { file } = config.context;
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${file}: ${name} is ${show(value)}; expected no such field for ${architecture}, because it may change what the ` +
        'model computes. Remove it if transformers runs this model and does not use it.',
    );
  }
}

/** Whether a field's value is that of a model which does not have what the field is about. */
function saysNothing(name: string, config: JsonFields): boolean {
  const value = config.object[name];
  if (TRUE_FLAGS.includes(name)) return value !== false;
  if (value === null || value === false || value === 0 || value === '') return true;
  if (value === 1) return /pct|percent|factor|scal|multipl/i.test(name);
  if (name === 'sliding_window' || name === 'max_window_layers') return config.object.use_sliding_window === false;
  if (Array.isArray(value)) return value.every((each) => name === 'layer_types' && each === 'full_attention');
  return isJsonObject(value) && Object.keys(value).length === 0;
}
