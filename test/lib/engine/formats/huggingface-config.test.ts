import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JsonFields } from '#lib/base/json.js';
import { parseModel } from '#lib/engine/formats/huggingface-config.js';
import type { LlamaModel } from '#lib/engine/formats/source.js';
import { failsWith } from '../../../tools/fails-with.js';

type Json = Record<string, unknown>;

const SIZES: Json = {
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 4,
  num_attention_heads: 32,
  max_position_embeddings: 1024,
};

const parse = (fields: Json): LlamaModel =>
  parseModel(new JsonFields({ ...SIZES, ...fields }, { file: 'config.json', code: 'ERR_SOURCE_INVALID', fix: '' }));

const of = (model_type: string, fields: Json = {}): Partial<LlamaModel> => {
  const { sliding_window, sliding_window_layers, no_rope_layers } = parse({ model_type, ...fields });
  return {
    ...(sliding_window !== undefined && { sliding_window }),
    ...(sliding_window_layers && { sliding_window_layers }),
    ...(no_rope_layers && { no_rope_layers }),
  };
};

const FULL = 'full_attention';
const SLIDING = 'sliding_attention';

describe('what a config.json says of the layers is what transformers takes it to say', () => {
  const CASES: [string, string, Json, Partial<LlamaModel>][] = [
    ['a Mistral has its window', 'mistral', { sliding_window: 512 }, { sliding_window: 512 }],
    ['a Mistral whose window is null has none', 'mistral', { sliding_window: null }, { sliding_window: null }],
    ['a Mistral that names no window has one of 4096', 'mistral', {}, { sliding_window: 4096 }],
    ['a Qwen2 does not use its window by itself', 'qwen2', { sliding_window: 512 }, { sliding_window: null }],
    [
      'a Qwen2 has its window from max_window_layers on',
      'qwen2',
      { use_sliding_window: true, sliding_window: 512, max_window_layers: 3 },
      { sliding_window: 512, sliding_window_layers: [0, 0, 0, 1] },
    ],
    [
      'a window of all layers needs no list of them',
      'qwen3',
      { use_sliding_window: true, sliding_window: 512, max_window_layers: 0 },
      { sliding_window: 512 },
    ],
    [
      'a window of no layer is none',
      'qwen3',
      { use_sliding_window: true, sliding_window: 512 },
      { sliding_window: null },
    ],
    [
      'layer_types come before max_window_layers',
      'qwen3',
      {
        use_sliding_window: true,
        sliding_window: 512,
        max_window_layers: 0,
        layer_types: [SLIDING, FULL, FULL, FULL],
      },
      { sliding_window: 512, sliding_window_layers: [1, 0, 0, 0] },
    ],
    ['a Phi-3 has its window', 'phi3', { sliding_window: 512 }, { sliding_window: 512 }],
    [
      'every fourth layer of a SmolLM3 has no RoPE',
      'smollm3',
      {},
      { sliding_window: null, no_rope_layers: [1, 1, 1, 0] },
    ],
    [
      'or every second one, if it says so',
      'smollm3',
      { no_rope_layer_interval: 2 },
      { sliding_window: null, no_rope_layers: [1, 0, 1, 0] },
    ],
    [
      'no_rope_layers come before the interval',
      'smollm3',
      { no_rope_layers: [1, 1, 1, 1], no_rope_layer_interval: 2 },
      { sliding_window: null },
    ],
    [
      'the window of a SmolLM3 is that of its layers without RoPE',
      'smollm3',
      { use_sliding_window: true, sliding_window: 512 },
      { sliding_window: 512, sliding_window_layers: [0, 0, 0, 1], no_rope_layers: [1, 1, 1, 0] },
    ],
  ];
  for (const [what, type, fields, expected] of CASES) {
    test(what, () => assert.deepEqual(of(type, fields), expected));
  }

  test('biases and norms come with the kind of model, or where its fields say so', () => {
    const flags = (fields: Json) => {
      const { attn_bias = false, mlp_bias = false, qk_layernorm = false } = parse(fields);
      return [attn_bias, mlp_bias, qk_layernorm];
    };
    assert.deepEqual(flags({ model_type: 'llama' }), [false, false, false]);
    assert.deepEqual(flags({ model_type: 'llama', attention_bias: true, mlp_bias: true }), [true, true, false]);
    assert.deepEqual(flags({ model_type: 'mistral' }), [false, false, false]);
    assert.deepEqual(flags({ model_type: 'qwen2' }), [true, false, false]);
    assert.deepEqual(flags({ model_type: 'qwen3' }), [false, false, true]);
    assert.deepEqual(flags({ model_type: 'smollm3', mlp_bias: true }), [false, true, false]);
  });

  test('the RoPE scaling of transformers 4 wins over that of 5, as it does there', () => {
    const scaling = (fields: Json) => parse({ model_type: 'llama', ...fields }).rotary_scaling;
    const linear = { rope_type: 'linear', factor: 2 } as const;
    assert.deepEqual(scaling({ rope_scaling: linear, rope_parameters: { rope_type: 'default' } }), linear);
    assert.deepEqual(scaling({ rope_scaling: {}, rope_parameters: linear }), linear);
  });

  test('original_max_position_embeddings beside the scaling wins over the one in it, and without both it is the model’s', () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 } as const;
    const read = (fields: Json) => parse({ model_type: 'llama', ...fields }).rotary_scaling;
    assert.deepEqual(read({ rope_scaling: yarn }), yarn);
    assert.deepEqual(read({ rope_scaling: yarn, original_max_position_embeddings: 256 }), {
      ...yarn,
      original_max_position_embeddings: 256,
    });
    assert.deepEqual(read({ rope_scaling: { type: 'yarn', factor: 2 } }), {
      rope_type: 'yarn',
      factor: 2,
      original_max_position_embeddings: 1024,
    });
  });
});

describe('a field that no model of its kind has', () => {
  // From public files.
  const IGNORED: Json = {
    _name_or_path: './model',
    'transformers.js_config': { dtype: 'q4' },
    unsloth_version: '2024.12.12',
    unsloth_fixed: true,
    is_llama_config: true,
    rope_interleaved: false,
    pretraining_tp: 1,
    initializer_range: 0.02,
    use_cache: true,
    attention_dropout: 0.1,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    _attn_implementation: 'flash_attention_2',
    _attn_implementation_autoset: true,
    use_memorry_efficient_attention: true,
    use_flash_attention: true,
    use_fused_rms_norm: true,
    fuse_attention_qkv: true,
    rope_scaling_factor: 1.0,
    rope_scaling_type: null,
    alibi: false,
    output_hidden_states: false,
    max_length: 4096,
    temperature: 0.9,
    top_p: 0.6,
    use_mrope: false,
    pruned_heads: {},
    chunk_size_feed_forward: 0,
    max_sequence_length: 4096,
    model_max_length: 4096,
    auto_map: { AutoModelForCausalLM: 'modeling_llama.LlamaForCausalLM' },
    bos_token_id: [1],
    pad_token_id: -1,
    task_specific_params: null,
    use_sliding_window: false,
    sliding_window: 4096,
    max_window_layers: 28,
    layer_types: [FULL, FULL, FULL, FULL],
    is_causal: true,
    is_decoder: false,
  };
  test('is ignored if it is about something else, or says that the model does not have it', () => {
    assert.deepEqual(parse({ model_type: 'llama', ...IGNORED }), parse({ model_type: 'llama' }));
  });

  const REFUSED: [string, Json][] = [
    ['llama', { sliding_window: 512 }],
    ['llama', { no_rope_layers: [1, 0, 1, 0] }],
    ['llama', { num_local_experts: 8 }],
    ['llama', { attn_temperature_tuning: true }],
    ['llama', { kv_lora_rank: 512 }],
    ['llama', { attn_logit_softcapping: 50 }],
    ['llama', { final_logit_softcapping: 30 }],
    ['llama', { embedding_multiplier: 12 }],
    ['llama', { residual_multiplier: 0.22 }],
    ['llama', { use_parallel_residual: true }],
    ['llama', { alibi: true }],
    ['llama', { use_qk_norm: true }],
    ['llama', { oproj_bias: true }],
    ['llama', { use_stable_embedding: true }],
    ['llama', { quantization: { group_size: 64, bits: 4 } }],
    ['llama', { compression_config: { format: 'int-quantized' } }],
    ['llama', { rotary_pct: 0.25 }],
    ['llama', { is_causal: false }],
    ['llama', { use_bidirectional_attention: true }],
    ['llama', { layer_types: [FULL, SLIDING, FULL, SLIDING] }],
    ['mistral', { attention_bias: true }],
    ['mistral', { attention_mod: 1 }],
    ['qwen2', { mlp_bias: true }],
    ['qwen3', { mlp_only_layers: [1] }],
    ['smollm3', { rope_local_base_freq: 10_000 }],
    ['phi3', { rope_scaling: { type: 'yarn', factor: 4 } }], // longrope by an old name
    ['phi3', { partial_rotary_factor: 0.75 }],
  ];
  for (const [type, field] of REFUSED) {
    const [name = ''] = Object.keys(field);
    test(`is refused by its name if it may change what a ${type} computes: ${name}`, () => {
      assert.throws(
        () => parse({ model_type: type, ...field }),
        failsWith('ERR_MODEL_UNSUPPORTED', 'config.json', name),
      );
    });
  }
});
