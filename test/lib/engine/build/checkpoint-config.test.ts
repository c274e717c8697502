import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkpointConfig } from '#lib/engine/build/checkpoint-config.js';
import { planConversion } from '#lib/engine/convert/convert.js';
import { hollowCheckpoint, NEMOTRON } from '../../../tools/hollow-checkpoint.js';
import { temporaryDirectory } from '../helpers.js';

// What convert_checkpoint.py --model_dir Llama-3.1-Nemotron-70B-Instruct-HF --tp_size 2 writes as config.json, derived from NVIDIA's sources and
// not from a run of them. The tags v0.13.0 and v1.2.x could not be had. Line numbers after a colon are of 0.13.0.dev2024090300
// (NVIDIA/TensorRT-LLM 78f5c293, of 3 September 2024), in these files:
//   config.py              tensorrt_llm/models/llama/config.py
//   modeling_utils.py      tensorrt_llm/models/modeling_utils.py
//   mapping.py             tensorrt_llm/mapping.py
//   moe.py                 tensorrt_llm/layers/moe.py
//   convert_checkpoint.py  examples/llama/convert_checkpoint.py
// Of 1.2, mapping.py is that of 1.2.0rc2 (b35ac1b6). Its other files were read without their commit, so they have no line numbers.
// `PretrainedConfig.to_dict` (modeling_utils.py:290) writes all attributes of the object, so a field is there if __init__ sets it.

/** config.py:77, LLaMAConfig.from_hugging_face, which passes on what Hugging Face's config.json has. */
const FROM_HUGGING_FACE = {
  architecture: 'LlamaForCausalLM', // :165, architectures[0]
  dtype: 'bfloat16', // :155, torch_dtype, by --dtype auto
  num_hidden_layers: 80, // :167
  num_attention_heads: 64, // :168
  num_key_value_heads: 8, // :117
  hidden_size: 8192, // :169
  intermediate_size: 28672, // :170
  head_size: 128, // :127, hidden_size // num_attention_heads, without head_dim
  vocab_size: 128256, // :173, as it is: what is padded is the head
  position_embedding_type: 'rope_gpt_neox', // :174
  max_position_embeddings: 131072, // :175
  hidden_act: 'silu', // :125
  norm_epsilon: 1e-5, // :126, rms_norm_eps
  attn_bias: false, // :131, bias or attention_bias
  rotary_base: 500000, // :134, rope_theta
  // :133, rope_scaling, as it is
  rotary_scaling: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
  residual_mlp: false, // :135, parallel_attn_mlp_res
  disable_weight_only_quant_plugin: false, // convert_checkpoint.py:324, args_to_build_options
  remove_duplicated_kv_heads: false, // convert_checkpoint.py:326, likewise
};

/** The defaults of LLaMAConfig.__init__ and PretrainedConfig.__init__. */
const DEFAULTS = {
  mlp_bias: false, // config.py:32
  logits_dtype: 'float32', // modeling_utils.py:179
  qk_layernorm: false, // modeling_utils.py:193
};

/** convert_checkpoint.py:321, args_to_build_options: without --use_parallel_embedding. */
const EMBEDDING = { use_parallel_embedding: false, embedding_sharding_dim: 0 };

/** mapping.py:247, Mapping.to_dict, less `rank`, which PretrainedConfig.to_dict (modeling_utils.py:295) takes out. */
const MAPPING = {
  world_size: 2, // convert_checkpoint.py:372, convert_and_save_hf: tp_size * pp_size
  gpus_per_node: 8, // mapping.py:98, Mapping.__init__; in 1.2 :46
  cp_size: 1, // mapping.py:99, likewise; in 1.2 :48
  tp_size: 2,
  pp_size: 1,
  moe_tp_size: 2, // convert_checkpoint.py:458, main: tp_size
  moe_ep_size: 1, // convert_checkpoint.py:459, likewise
};

/** modeling_utils.py:95 to 102, QuantConfig, which convert_checkpoint.py:244, args_to_quant_config, leaves as it is. */
const QUANTIZATION = {
  quant_algo: null,
  kv_cache_quant_algo: null,
  group_size: 128,
  smoothquant_val: 0.5,
  clamp_val: null,
  has_zero_point: false,
  pre_quant_scale: false,
  exclude_modules: null,
};

/** moe.py:63 to 67, MoeConfig.to_dict, of what LLaMAConfig.from_hugging_face (config.py:147 to 152) sets without experts. */
const MOE = { num_experts: 0, top_k: 0, normalization_mode: null, sparse_mixer_epsilon: 0.01, tp_mode: 0 };

const GOLDENS = {
  '0.13': {
    ...FROM_HUGGING_FACE,
    ...DEFAULTS,
    ...EMBEDDING,
    share_embedding_table: false, // convert_checkpoint.py:323, args_to_build_options: without --use_embedding_sharing
    mapping: MAPPING,
    quantization: QUANTIZATION,
    moe: MOE,
  },
  '1.2': {
    ...FROM_HUGGING_FACE,
    ...DEFAULTS,
    ...EMBEDDING,
    tie_word_embeddings: false, // LLaMAConfig.from_hugging_face
    mapping: {
      ...MAPPING,
      moe_cluster_size: 1, // mapping.py:62, Mapping.__init__
      attn_tp_size: -1, // convert_checkpoint.py, convert_and_save_rank
      attn_cp_size: -1, // likewise
      cp_config: {}, // mapping.py:126, Mapping.__init__
      enable_attention_dp: false, // mapping.py:57, likewise
      enable_lm_head_tp_in_adp: false, // mapping.py:58, likewise
    },
    quantization: {
      ...QUANTIZATION,
      use_meta_recipe: false, // args_to_quant_config: without --use_meta_fp8_rowwise_recipe
      mamba_ssm_cache_dtype: null, // QuantConfig
    },
    moe: {
      ...MOE,
      shared_expert_intermediate_size: 0, // MoeConfig
      device_limited_n_group: 0, // likewise
      device_limited_topk_group: 0, // likewise
      device_limited_routed_scaling_factor: 1, // likewise
    },
    rotary_embedding_dim: 128, // PretrainedConfig.__init__: head_size
    runtime_defaults: null, // likewise
    fc_after_embed: false, // LLaMAConfig.__init__
    use_input_layernorm_in_first_layer: true, // likewise
    use_last_layernorm: true, // likewise
    layer_idx_offset: 0, // likewise
    has_partial_lora_mask: false, // likewise
    embedding_multiplier: 1, // LLaMAConfig.from_hugging_face
    attention_multiplier: 1, // likewise
    residual_multiplier: 1, // likewise
    output_multiplier_scale: 1, // likewise: 1 / logits_scaling
  },
};

/** Left out, because the class that reads them gives them the value of the golden, by the defaults of its __init__. */
const HAS_DEFAULT = [
  'residual_mlp',
  'disable_weight_only_quant_plugin',
  'remove_duplicated_kv_heads',
  'embedding_sharding_dim',
  'moe', // but for normalization_mode, which nothing reads without experts
  'mapping.moe_tp_size',
  'mapping.moe_ep_size',
  'mapping.moe_cluster_size',
  'mapping.attn_tp_size', // set to tp_size * cp_size: Mapping.__init__ takes -1 for that too
  'mapping.attn_cp_size',
  'mapping.cp_config',
  'mapping.enable_attention_dp',
  'mapping.enable_lm_head_tp_in_adp',
  'quantization.group_size', // of no meaning without quant_algo, as the rest of these
  'quantization.smoothquant_val',
  'quantization.clamp_val',
  'quantization.use_meta_recipe',
  'quantization.has_zero_point',
  'quantization.pre_quant_scale',
  'quantization.exclude_modules',
  'quantization.mamba_ssm_cache_dtype',
  'rotary_embedding_dim',
  'runtime_defaults',
  'fc_after_embed',
  'use_input_layernorm_in_first_layer',
  'use_last_layernorm',
  'layer_idx_offset',
  'has_partial_lora_mask',
  'embedding_multiplier',
  'attention_multiplier',
  'residual_multiplier',
  'output_multiplier_scale',
];

/** Ours alone. PretrainedConfig.__init__ keeps what it does not know, with a warning. */
const OURS: Readonly<Record<keyof typeof GOLDENS, readonly string[]>> = {
  '0.13': ['tie_word_embeddings', 'sliding_window'], // the first is share_embedding_table there; the second has no place in the schema
  '1.2': ['share_embedding_table', 'sliding_window'], // the other way around
};

const flat = (object: object, prefix = ''): [string, unknown][] =>
  Object.entries(object).flatMap(([name, value]) =>
    prefix === '' && (name === 'mapping' || name === 'quantization')
      ? flat(value, `${name}.`)
      : [[prefix + name, value]],
  );

for (const [version, golden] of Object.entries(GOLDENS)) {
  test(`config.json for trtllm-build is that of NVIDIA's converter ${version}, but for fields that have its value by default`, async (t) => {
    const dir = await temporaryDirectory(t);
    await hollowCheckpoint(dir, NEMOTRON);
    const { pretrained_config } = await planConversion(dir, { tpSize: 2 });
    const ours = new Map(flat(checkpointConfig(pretrained_config)));
    const theirs = new Map(flat(golden));
    for (const [name, value] of theirs) {
      if (ours.has(name)) assert.deepEqual(ours.get(name), value, name);
      else assert(HAS_DEFAULT.includes(name), `${name} is missing`);
    }
    const added = [...ours.keys()].filter((name) => !theirs.has(name));
    assert.deepEqual(added.sort(), [...OURS[version as keyof typeof GOLDENS]].sort());
    for (const name of HAS_DEFAULT) assert(!ours.has(name), `${name} is listed, and there`);
  });
}

test('FP8 is told as convert_checkpoint.py --use_fp8 tells it', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const { quantization } = (await planConversion(dir, { quantization: 'fp8' })).pretrained_config;
  // convert_checkpoint.py:253 sets quant_algo; the rest is QuantConfig's, and of no meaning but for FP8 rowwise and groups.
  const theirs = { ...QUANTIZATION, quant_algo: 'FP8' };
  assert.deepEqual({ ...theirs, ...quantization }, theirs);
});

test('0.13 is told where the embedding is the head too', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 1, tie_word_embeddings: true });
  const { pretrained_config } = await planConversion(dir, {});
  assert.equal(checkpointConfig(pretrained_config).share_embedding_table, true);
});
