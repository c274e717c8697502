import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LLM } from 'node-tensorrt-llm';
import type { ErrorCode } from '#lib/base/errors.js';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { editJson, readEngineConfig, readJson, temporaryDirectory } from '../helpers.js';

/** A copy of a converted tiny model with a tokenizer, for the test to spoil. */
async function engine(t: TestContext): Promise<string> {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), TINY_LLAMAS.text);
  return convert(join(dir, 'hf'), join(dir, 'engine'));
}

type Json = Record<string, unknown>;

async function editConfig(dir: string, part: 'pretrained_config' | 'build_config', changes: Json): Promise<void> {
  const config = await readJson(join(dir, 'config.json'));
  await editJson(join(dir, 'config.json'), { [part]: { ...(config[part] as Json), ...changes } });
}

test('an engine says where its files are, what ends a text, and how it was made', async (t) => {
  const dir = await engine(t);
  const opened = await openEngine(pathToFileURL(dir));
  assert.equal(opened.path, dir);
  assert.equal(opened.weights, 'checkpoint');
  assert.deepEqual(opened.rankFiles, [join(dir, 'rank0.safetensors')]);
  assert.equal(opened.tokenizerPath, join(dir, 'tokenizer.json'));
  assert.match(opened.chatTemplates.get('default') ?? '', /im_start/);
  assert.ok(opened.endIds.length > 0);
  assert.equal(opened.manifest?.dtype, 'bfloat16');
  assert.deepEqual(opened.manifest?.executors, ['cpu', 'cuda']);
});

test('a directory of tokens only opens without tokenizer, template, generation config and manifest', async (t) => {
  const dir = await engine(t);
  for (const name of [
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'generation_config.json',
    'manifest.json',
  ]) {
    await rm(join(dir, name), { force: true });
  }
  const { tokenizerPath, chatTemplates, specialTokens, endIds, generation, manifest } = await openEngine(dir);
  assert.deepEqual([tokenizerPath, chatTemplates, specialTokens, manifest], [undefined, new Map(), {}, undefined]);
  assert.deepEqual(endIds, []);
  assert.ok(Object.values(generation).every((value) => value === undefined));
});

test("a bare checkpoint config as NVIDIA's converter writes it opens with the default limits", async (t) => {
  const dir = await engine(t);
  const { pretrained_config } = await readJson(join(dir, 'config.json'));
  const bare = {
    ...(pretrained_config as Json),
    rotary_scaling: { type: 'llama3', ...TINY_LLAMAS['llama3-rope'].ropeScaling, rope_type: undefined },
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(bare));
  await openEngine(dir);
  const config = await readEngineConfig(dir);
  assert.equal(config.build_config.max_seq_len, 8192);
  assert.deepEqual(config.pretrained_config.rotary_scaling, TINY_LLAMAS['llama3-rope'].ropeScaling);
});

test('an argument that is no path is refused as such', async () => {
  for (const dir of ['', new URL('https://example.com/engine'), undefined as unknown as string]) {
    await assert.rejects(openEngine(dir), failsWith('ERR_INVALID_OPTION', 'dir'));
  }
});

test('a missing directory, a file and a directory that is no engine are told apart', async (t) => {
  const dir = await engine(t);
  await assert.rejects(openEngine(join(dir, 'gone')), failsWith('ERR_ENGINE_NOT_FOUND', join(dir, 'gone')));
  await assert.rejects(openEngine(join(dir, 'config.json')), failsWith('ERR_ENGINE_NOT_FOUND', 'config.json'));
  await mkdir(join(dir, 'empty'));
  await assert.rejects(openEngine(join(dir, 'empty')), failsWith('ERR_ENGINE_CONFIG', 'empty', 'config.json'));
  await assert.rejects(openEngine(join(dir, '..', 'hf')), failsWith('ERR_ENGINE_CONFIG', 'Hugging Face', 'convert'));
  await writeFile(join(dir, 'config.json'), 'hello');
  await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_CONFIG', join(dir, 'config.json'), 'not valid JSON'));
});

test('a file nested so deep that its reading would end the stack is refused', async (t) => {
  const dir = await engine(t);
  for (const name of ['config.json', 'generation_config.json', 'manifest.json']) {
    const file = join(dir, name);
    const text = await readFile(file, 'utf8');
    await writeFile(file, `{"format": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
    await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_CONFIG', file, 'nested deeper than 500'));
    await writeFile(file, text.replace('{', `{"deep": ${'['.repeat(499)}${']'.repeat(499)}, "x": "[[{{\\"[[",`));
    await openEngine(dir);
    await writeFile(file, text);
  }
});

/** The part of config.json, a change to it, the code, and the field the message must name. */
const WRONG: ['pretrained_config' | 'build_config', Json, ErrorCode, string][] = [
  ['pretrained_config', { architecture: 'GPTForCausalLM' }, 'ERR_MODEL_UNSUPPORTED', 'pretrained_config.architecture'],
  ['pretrained_config', { architecture: undefined }, 'ERR_ENGINE_CONFIG', 'pretrained_config.architecture is missing'],
  ['pretrained_config', { dtype: 'fp8' }, 'ERR_MODEL_UNSUPPORTED', 'pretrained_config.dtype'],
  ['pretrained_config', { logits_dtype: 'float16' }, 'ERR_MODEL_UNSUPPORTED', 'pretrained_config.logits_dtype'],
  ['pretrained_config', { hidden_act: 'gelu' }, 'ERR_MODEL_UNSUPPORTED', 'pretrained_config.hidden_act'],
  [
    'pretrained_config',
    { position_embedding_type: 'alibi' },
    'ERR_MODEL_UNSUPPORTED',
    'pretrained_config.position_embedding_type',
  ],
  ['pretrained_config', { qk_layernorm: 1 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.qk_layernorm'],
  ['pretrained_config', { attn_bias: 'yes' }, 'ERR_ENGINE_CONFIG', 'pretrained_config.attn_bias'],
  ['pretrained_config', { no_rope_layers: [1, 2] }, 'ERR_ENGINE_CONFIG', 'pretrained_config.no_rope_layers'],
  ['pretrained_config', { sliding_window_layers: [1] }, 'ERR_ENGINE_CONFIG', 'pretrained_config.sliding_window_layers'],
  ['pretrained_config', { sliding_window: 0 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.sliding_window'],
  [
    'pretrained_config',
    { use_parallel_embedding: true, embedding_sharding_dim: 1 },
    'ERR_MODEL_UNSUPPORTED',
    'pretrained_config.embedding_sharding_dim',
  ],
  ['pretrained_config', { quantization: { quant_algo: 'NVFP4' } }, 'ERR_MODEL_UNSUPPORTED', 'quantization.quant_algo'],
  [
    'pretrained_config',
    { quantization: { quant_algo: 'W4A16_GPTQ' } },
    'ERR_MODEL_UNSUPPORTED',
    'quantization.quant_algo is "W4A16_GPTQ"; expected W4A16_AWQ',
  ],
  [
    'pretrained_config',
    { quantization: { kv_cache_quant_algo: 'NVFP4' } },
    'ERR_MODEL_UNSUPPORTED',
    'quantization.kv_cache_quant_algo',
  ],
  [
    'pretrained_config',
    { quantization: { quant_algo: 'W4A16_AWQ', group_size: 100 } },
    'ERR_MODEL_UNSUPPORTED',
    'quantization.group_size',
  ],
  [
    'pretrained_config',
    { quantization: { quant_algo: 'W8A16', exclude_modules: ['*lm_head', 'transformer.layers.0.*'] } },
    'ERR_MODEL_UNSUPPORTED',
    'quantization.exclude_modules',
  ],
  [
    'pretrained_config',
    { quantization: { quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN', clamp_val: [1] } },
    'ERR_ENGINE_CONFIG',
    'quantization.clamp_val',
  ],
  [
    'pretrained_config',
    { rotary_scaling: { rope_type: 'longrope' } },
    'ERR_MODEL_UNSUPPORTED',
    'rotary_scaling.rope_type',
  ],
  ['pretrained_config', { hidden_size: 0 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.hidden_size'],
  ['pretrained_config', { hidden_size: 1e300 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.hidden_size'],
  ['pretrained_config', { vocab_size: '260' }, 'ERR_ENGINE_CONFIG', 'pretrained_config.vocab_size'],
  ['pretrained_config', { num_key_value_heads: 3 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.num_key_value_heads'],
  ['pretrained_config', { head_size: 15 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.head_size'],
  ['pretrained_config', { norm_epsilon: 0 }, 'ERR_ENGINE_CONFIG', 'pretrained_config.norm_epsilon'],
  ['pretrained_config', { rotary_base: 'x' }, 'ERR_ENGINE_CONFIG', 'pretrained_config.rotary_base'],
  ['pretrained_config', { mapping: { tp_size: 2, world_size: 3 } }, 'ERR_ENGINE_CONFIG', 'mapping.world_size'],
  ['pretrained_config', { mapping: [] }, 'ERR_ENGINE_CONFIG', 'pretrained_config.mapping'],
  ['build_config', { max_seq_len: 10_000 }, 'ERR_ENGINE_CONFIG', 'build_config.max_seq_len'],
  ['build_config', { max_input_len: 10_000 }, 'ERR_ENGINE_CONFIG', 'build_config.max_input_len'],
  ['build_config', { max_batch_size: 0 }, 'ERR_ENGINE_CONFIG', 'build_config.max_batch_size'],
  ['build_config', { max_num_tokens: null, max_beam_width: 4 }, 'ERR_MODEL_UNSUPPORTED', 'build_config.max_beam_width'],
  ['build_config', { plugin_config: { tokens_per_block: 0 } }, 'ERR_ENGINE_CONFIG', 'plugin_config.tokens_per_block'],
];

for (const [part, change, code, named] of WRONG) {
  test(`${named.split(' ')[0]} with ${JSON.stringify(Object.values(change))} is refused by its name`, async (t) => {
    const dir = await engine(t);
    await editConfig(dir, part, change);
    await assert.rejects(openEngine(dir), failsWith(code, join(dir, 'config.json'), named));
  });
}

for (const quantization of [
  { quant_algo: 'W8A16', exclude_modules: ['*lm_head'] },
  { quant_algo: 'W4A16', exclude_modules: null },
  { quant_algo: 'W4A16_AWQ', group_size: 64, has_zero_point: false, pre_quant_scale: true, exclude_modules: null },
  { quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', exclude_modules: ['*lm_head', 'transformer.layers.0.mlp'] },
  { quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN', smoothquant_val: 0.5, clamp_val: [-1200, 1200], use_meta_recipe: true },
]) {
  test(`${quantization.quant_algo} as NVIDIA's converters write it is read, and the CUDA executor runs it`, async (t) => {
    const dir = await engine(t);
    await editConfig(dir, 'pretrained_config', { quantization });
    assert.equal((await openEngine(dir)).lacksOnCuda, undefined);
  });
}

test('rank files that do not fit the parallel sizes are refused, naming those found and those needed', async (t) => {
  const dir = await engine(t);
  await editConfig(dir, 'pretrained_config', { mapping: { tp_size: 2 } });
  await assert.rejects(
    openEngine(dir),
    failsWith('ERR_ENGINE_RANKS', 'holds rank0.safetensors;', 'rank0.safetensors, rank1.safetensors'),
  );
  await cp(join(dir, 'rank0.safetensors'), join(dir, 'rank1.safetensors'));
  assert.equal((await openEngine(dir)).rankFiles.length, 2);
  await editConfig(dir, 'pretrained_config', { mapping: {} });
  await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_RANKS', 'rank1.safetensors'));
  await rm(join(dir, 'rank0.safetensors'));
  await rm(join(dir, 'rank1.safetensors'));
  await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_RANKS', 'no rank file'));
});

/** A config.json of trtllm-build with fields that no checkpoint here may have. */
const TENSORRT_CONFIG = {
  version: '1.2.1',
  pretrained_config: {
    architecture: 'Qwen2ForCausalLM',
    dtype: 'bfloat16',
    vocab_size: 259,
    hidden_act: 'gelu',
    use_parallel_embedding: true,
    mapping: { world_size: 2, gpus_per_node: 8, tp_size: 2, pp_size: 1, cp_size: 1, moe_tp_size: 2, cp_config: {} },
    quantization: { quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', exclude_modules: ['lm_head'] },
    runtime_defaults: null,
  },
  build_config: {
    max_batch_size: 2048,
    max_beam_width: 4,
    max_input_len: 1024,
    max_seq_len: 131_072,
    max_num_tokens: 8192,
    kv_cache_type: 'PAGED',
    auto_parallel_config: { world_size: 1, cluster_key: null },
    plugin_config: { dtype: 'bfloat16', gemm_plugin: 'auto', paged_kv_cache: null, tokens_per_block: 32 },
  },
} as const;

/** An engine directory as trtllm-build leaves it, with the tokenizer of a model. */
async function tensorRtEngine(t: TestContext, config: string | object = TENSORRT_CONFIG): Promise<string> {
  const dir = await engine(t);
  await rm(join(dir, 'manifest.json'));
  await rm(join(dir, 'rank0.safetensors'));
  for (const rank of [0, 1]) await writeFile(join(dir, `rank${rank}.engine`), 'a plan');
  await writeFile(join(dir, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  return dir;
}

test('of an engine of trtllm-build only the architecture, the vocabulary and the ranks are asked', async (t) => {
  const dir = await tensorRtEngine(t);
  const { weights, architecture, vocabSize, rankFiles } = await openEngine(dir);
  assert.deepEqual(
    { weights, architecture, vocabSize },
    { weights: 'tensorrt', architecture: 'Qwen2ForCausalLM', vocabSize: 259 },
  );
  assert.deepEqual(rankFiles, [join(dir, 'rank0.engine'), join(dir, 'rank1.engine')]);
});

test('a config.json that starts with a byte order mark is read', async (t) => {
  const dir = await tensorRtEngine(t, `\uFEFF${JSON.stringify(TENSORRT_CONFIG)}`);
  assert.equal((await openEngine(dir)).vocabSize, 259);
});

/** Fields of pretrained_config of a TensorRT engine, and what the message must name. */
const WRONG_OF_TENSORRT: [Json, string][] = [
  [{ architecture: undefined }, 'pretrained_config.architecture is missing'],
  [{ architecture: 7 }, 'pretrained_config.architecture is 7'],
  [{ vocab_size: undefined }, 'pretrained_config.vocab_size is missing'],
  [{ vocab_size: 1e300 }, 'pretrained_config.vocab_size is 1e+300'],
  [{ vocab_size: '259' }, 'pretrained_config.vocab_size is "259"'],
  [{ mapping: 2 }, 'pretrained_config.mapping is 2'],
  [{ mapping: { tp_size: 0 } }, 'mapping.tp_size is 0'],
  [{ mapping: { tp_size: 2, pp_size: 1.5 } }, 'mapping.pp_size is 1.5'],
  [
    { mapping: { tp_size: 1024, pp_size: 1024, cp_size: 1024 } },
    'mapping.tp_size is 1024; expected a size that makes 1024',
  ],
];

for (const [change, named] of WRONG_OF_TENSORRT) {
  test(`${named} in an engine of trtllm-build is refused by its name`, async (t) => {
    const pretrained_config = { ...TENSORRT_CONFIG.pretrained_config, ...change };
    const dir = await tensorRtEngine(t, { ...TENSORRT_CONFIG, pretrained_config });
    await assert.rejects(
      openEngine(dir),
      failsWith('ERR_ENGINE_CONFIG', join(dir, 'config.json'), named, 'trtllm-build'),
    );
  });
}

test('a config.json of trtllm-build that is no JSON object, or has no model, is refused', async (t) => {
  for (const config of ['', '{"version": ', '[]', '{"build_config": {}}', '{"pretrained_config": []}']) {
    const dir = await tensorRtEngine(t, config);
    await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_CONFIG', join(dir, 'config.json'), 'trtllm-build'));
  }
});

test('rank engines that are missing or too many are refused, naming those found and those needed', async (t) => {
  const dir = await tensorRtEngine(t);
  const refused = (found: string) =>
    failsWith('ERR_ENGINE_RANKS', `holds ${found}; expected rank0.engine, rank1.engine,`, 'trtllm-build');
  await writeFile(join(dir, 'rank2.engine'), 'a plan');
  await assert.rejects(openEngine(dir), refused('rank0.engine, rank1.engine, rank2.engine'));
  await rm(join(dir, 'rank0.engine'));
  await assert.rejects(openEngine(dir), refused('rank1.engine, rank2.engine'));
  await rm(join(dir, 'rank2.engine'));
  await assert.rejects(openEngine(dir), refused('rank1.engine'));
});

test('a directory with both kinds of weights opens as either, and by default as an engine', async (t) => {
  const dir = await engine(t);
  await writeFile(join(dir, 'rank0.engine'), 'a plan');
  assert.equal((await openEngine(dir)).weights, 'tensorrt');
  assert.deepEqual((await openEngine(dir, { weights: 'tensorrt' })).rankFiles, [join(dir, 'rank0.engine')]);
  assert.deepEqual((await openEngine(dir, { weights: 'checkpoint' })).rankFiles, [join(dir, 'rank0.safetensors')]);
});

test('weights of the other kind alone are refused, naming what runs them', async (t) => {
  const checkpoint = await engine(t);
  await assert.rejects(
    openEngine(checkpoint, { weights: 'tensorrt' }),
    failsWith('ERR_EXECUTOR_UNAVAILABLE', `trtllm-build --checkpoint_dir ${checkpoint}`, "'cpu'"),
  );
  const engines = await tensorRtEngine(t);
  await assert.rejects(
    openEngine(engines, { weights: 'checkpoint' }),
    failsWith('ERR_EXECUTOR_UNAVAILABLE', `${engines} holds a TensorRT engine`, "'tensorrt-llm'"),
  );
});

test('a rank file cut short is found by its size', async (t) => {
  const dir = await engine(t);
  await truncate(join(dir, 'rank0.safetensors'), 1000);
  await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_WEIGHTS', 'rank0.safetensors', '1000 bytes'));
});

test('a manifest that is damaged is refused by the field', async (t) => {
  const dir = await engine(t);
  const file = join(dir, 'manifest.json');
  for (const change of [
    { format: 'x' },
    { source: { kind: 'onnx', name: 'a' } },
    { executors: 'cpu' },
    { files: { 'config.json': 1 } },
    { dtype: 1 },
  ]) {
    const copy = await readJson(file);
    await editJson(file, change);
    await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_CONFIG', file));
    await writeFile(file, JSON.stringify(copy));
  }
});

test('generation_config.json gives the sampling defaults and one or several end ids', async (t) => {
  const dir = await engine(t);
  const file = join(dir, 'generation_config.json');
  const config = {
    do_sample: true,
    temperature: 0.6,
    top_k: 50,
    top_p: 0.9,
    min_p: 0.05,
    repetition_penalty: 1.1,
    eos_token_id: [2, 3, 2],
    bos_token_id: 1,
    pad_token_id: null,
    no_repeat_ngram_size: 3,
    max_new_tokens: 100,
    min_new_tokens: 2,
  };
  await writeFile(file, JSON.stringify(config));
  const { generation, endIds } = await openEngine(dir);
  assert.deepEqual(generation, {
    doSample: true,
    temperature: 0.6,
    topK: 50,
    topP: 0.9,
    minP: 0.05,
    repetitionPenalty: 1.1,
    noRepeatNgramSize: 3,
    maxTokens: 100,
    minTokens: 2,
  });
  assert.deepEqual(endIds, [2, 3]);
  await writeFile(file, '{"eos_token_id":7}');
  assert.deepEqual((await openEngine(dir)).endIds, [7]);
});

test('what generation does not need, and what says that there is no limit, does not stop a load', async (t) => {
  const dir = await engine(t);
  const file = join(dir, 'generation_config.json');
  await writeFile(
    file,
    `{ "do_sample": true, "temperature": NaN, "top_p": Infinity, "min_p": -Infinity, "top_k": -1, "repetition_penalty": -1,
       "max_new_tokens": -1, "pad_token_id": -1, "bos_token_id": [1, 2], "eos_token_id": [3, 99999, -1], "note": "NaN \\" Infinity" }`,
  );
  const { generation, endIds } = await openEngine(dir);
  assert.equal(generation.doSample, true);
  for (const [name, value] of Object.entries(generation)) {
    if (name !== 'doSample') assert.equal(value, undefined, name);
  }
  assert.deepEqual(endIds, [3]);
});

for (const [field, value] of [
  ['temperature', 'warm'],
  ['top_p', 1.5],
  ['top_k', 0.5],
  ['do_sample', 'yes'],
  ['eos_token_id', [1, 'x']],
] as const) {
  test(`generation_config.json with ${field} ${JSON.stringify(value)} is refused by the field's name`, async (t) => {
    const dir = await engine(t);
    await editJson(join(dir, 'generation_config.json'), { [field]: value });
    await assert.rejects(openEngine(dir), failsWith('ERR_ENGINE_CONFIG', 'generation_config.json', field));
  });
}

test('where no config names an end id, that of the end token in tokenizer.json is taken', async (t) => {
  const dir = await engine(t);
  await rm(join(dir, 'generation_config.json'));
  await editJson(join(dir, 'tokenizer_config.json'), { eos_token: { content: '<|im_end|>' } });
  const { endIds, specialTokens } = await openEngine(dir);
  assert.equal(specialTokens.eos_token, '<|im_end|>');
  assert.deepEqual(endIds, [258]);
  await appendFile(join(dir, 'tokenizer.json'), ' '.repeat(17 << 20)); // as long as that of Llama 3
  assert.deepEqual((await openEngine(dir)).endIds, [258]);
});

test('an end token whose id in tokenizer.json is no token of the model is refused', async (t) => {
  const dir = await engine(t);
  await rm(join(dir, 'generation_config.json'));
  const file = join(dir, 'tokenizer.json');
  for (const id of [-1, 0.5, 259]) {
    await editJson(file, { added_tokens: [{ id, content: '<|im_end|>' }] });
    await assert.rejects(openEngine(dir), failsWith('ERR_TOKENIZER_INVALID', file, '"<|im_end|>" id', String(id)));
  }
});

test('chat templates are those of files, else of tokenizer_config.json, else of chat_template.json', async (t) => {
  const dir = await engine(t);
  const file = join(dir, 'tokenizer_config.json');
  const templates = async (): Promise<object> => Object.fromEntries((await openEngine(dir)).chatTemplates);
  const inConfig = async (chat_template: unknown, expected: object): Promise<void> => {
    await editJson(file, { chat_template });
    assert.deepEqual(await templates(), expected);
  };
  await inConfig(undefined, {});
  await writeFile(join(dir, 'chat_template.json'), JSON.stringify({ chat_template: 'of its own' }));
  await inConfig(undefined, { default: 'of its own' });
  await inConfig('a string', { default: 'a string' });
  await inConfig({ default: 'a', tool_use: 'b' }, { default: 'a', tool_use: 'b' });
  await inConfig([{ name: 'tool_use', template: 'for tools' }], { tool_use: 'for tools' }); // without a default
  await inConfig(
    [
      { name: 'tool_use', template: 'for tools' },
      { name: 'default', template: 'from a list' },
    ],
    { tool_use: 'for tools', default: 'from a list' },
  );
  await mkdir(join(dir, 'additional_chat_templates'));
  await writeFile(join(dir, 'additional_chat_templates', 'rag.jinja'), 'with documents');
  await writeFile(join(dir, 'additional_chat_templates', 'README.md'), 'about them');
  assert.deepEqual(await templates(), { rag: 'with documents' });
  await writeFile(join(dir, 'chat_template.jinja'), 'a file');
  assert.deepEqual(await templates(), { default: 'a file', rag: 'with documents' });
});

test('a chat template of another type is an error that names the file', async (t) => {
  const dir = await engine(t);
  const file = join(dir, 'tokenizer_config.json');
  const many = Array.from({ length: 101 }, (_, i) => ({ name: `${i}`, template: '' }));
  for (const chat_template of [5, [5], [{ name: 'default' }], { default: 5 }, many]) {
    await editJson(file, { chat_template });
    await assert.rejects(openEngine(dir), failsWith('ERR_TOKENIZER_INVALID', file, 'chat_template'));
  }
  await editJson(file, { chat_template: 'a string' });
  await writeFile(join(dir, 'additional_chat_templates'), 'no directory');
  assert.equal((await openEngine(dir)).chatTemplates.size, 1);
  await rm(join(dir, 'additional_chat_templates'));
  await mkdir(join(dir, 'additional_chat_templates'));
  for (const { name } of many) await writeFile(join(dir, 'additional_chat_templates', `${name}.jinja`), '');
  await assert.rejects(openEngine(dir), failsWith('ERR_CHAT_TEMPLATE', dir, '101 templates; expected at most 100'));
});

test('special_tokens_map.json is asked where tokenizer_config.json does not name a token', async (t) => {
  const dir = await engine(t);
  await editJson(join(dir, 'tokenizer_config.json'), { bos_token: undefined, eos_token: 'config' });
  await writeFile(
    join(dir, 'special_tokens_map.json'),
    JSON.stringify({ bos_token: 'map', eos_token: 'map', pad_token: { content: 'pad' } }),
  );
  assert.deepEqual((await openEngine(dir)).specialTokens, { bos_token: 'map', eos_token: 'config', pad_token: 'pad' });
});

test('add_bos_token and add_eos_token of tokenizer_config.json count, and of some classes their defaults', async (t) => {
  const dir = await engine(t);
  const read = async (changes: Json): Promise<unknown> => {
    await editJson(join(dir, 'tokenizer_config.json'), {
      tokenizer_class: 'PreTrainedTokenizerFast',
      add_bos_token: undefined,
      add_eos_token: undefined,
      ...changes,
    });
    const { addBosToken, addEosToken } = await openEngine(dir);
    return [addBosToken, addEosToken];
  };
  assert.deepEqual(await read({}), [undefined, undefined]);
  assert.deepEqual(await read({ add_bos_token: false }), [false, undefined]);
  assert.deepEqual(await read({ add_bos_token: null, add_eos_token: true }), [undefined, true]);
  assert.deepEqual(await read({ tokenizer_class: 'LlamaTokenizer' }), [true, false]);
  assert.deepEqual(await read({ tokenizer_class: 'GemmaTokenizerFast', add_bos_token: false }), [false, false]);
});

test('a text begins as add_bos_token says, and not as tokenizer.json does', async (t) => {
  const dir = await engine(t);
  const first = async (add_bos_token: boolean): Promise<number | undefined> => {
    await editJson(join(dir, 'tokenizer_config.json'), { add_bos_token, bos_token: '<|im_start|>' });
    const llm = await LLM.load(dir);
    try {
      return (await llm.tokenizer.encode('a'))[0];
    } finally {
      await llm.close();
    }
  };
  const start = await first(true);
  assert.notEqual(start, 97);
  assert.equal(await first(false), 97);
});
