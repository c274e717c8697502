import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ErrorCode } from '#lib/base/errors.js';
import { convert } from '#lib/engine/convert/convert.js';
import { readManifest } from '#lib/engine/directory/manifest.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec } from '../../../tools/tiny-llama.js';
import {
  FORMATS,
  type Format,
  GROUP,
  quantizedTensors,
  type TypedTensor,
  writeTinyQuantized,
  writeTyped,
} from '../../../tools/tiny-quantized.js';
import { editJson, readEngineConfig, readJson, temporaryDirectory } from '../helpers.js';

const SPEC: TinyLlamaSpec = { ...TINY_LLAMAS.untied, intermediateSize: 192, dtype: 'float16' };

/** The name, type and shape of every tensor of an engine. */
async function tensorsOf(dir: string): Promise<Map<string, string>> {
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  await file.close();
  return new Map([...file.entries].map(([name, { dtype, shape }]) => [name, `${dtype} [${shape.join(', ')}]`]));
}

const weightsOf = (dir: string): Promise<Buffer> => readFile(join(dir, 'rank0.safetensors'));

const int4 = { group_size: GROUP, pre_quant_scale: false, exclude_modules: null, kv_cache_quant_algo: null };
const KEPT: Readonly<Record<Format, object>> = {
  gptq: { quant_algo: 'W4A16_AWQ', has_zero_point: true, ...int4 },
  gptq_v2: { quant_algo: 'W4A16_AWQ', has_zero_point: true, ...int4 },
  awq: { quant_algo: 'W4A16_AWQ', has_zero_point: true, ...int4 },
  packed: { quant_algo: 'W4A16_AWQ', has_zero_point: false, ...int4 },
  fp8: { quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', exclude_modules: null },
  fp8_channel: {
    quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN',
    kv_cache_quant_algo: null,
    clamp_val: null,
    exclude_modules: null,
  },
};

for (const format of FORMATS) {
  test(`${format}: stays quantized, in TensorRT-LLM's form, and has the same values as the model that dtype asks for`, async (t) => {
    const dir = await temporaryDirectory(t);
    const source = join(dir, 'source');
    await writeTinyQuantized(source, SPEC, format);
    const kept = await convert(source, join(dir, 'kept'));
    const { quantization, dtype } = (await readEngineConfig(kept)).pretrained_config;
    assert.deepEqual(quantization, KEPT[format]);
    assert.equal(dtype, 'float16');
    assert.deepEqual((await readManifest(kept))?.executors, ['cpu', 'cuda']);
    const plain = await convert(source, join(dir, 'plain'), { dtype: 'float32' });
    assert.deepEqual((await readEngineConfig(plain)).pretrained_config.quantization, {
      quant_algo: null,
      kv_cache_quant_algo: null,
    });
    const again = await convert(kept, join(dir, 'again'));
    assert.deepEqual(await weightsOf(again), await weightsOf(kept), 'an engine converted again');
    // The embedding, head and norms of the kept one went through float16.
    const half = await convert(plain, join(dir, 'half'), { dtype: 'float16' });
    const dequantized = await convert(kept, join(dir, 'dequantized'), { dtype: 'float16' });
    assert.deepEqual(await weightsOf(dequantized), await weightsOf(half), 'an engine dequantized');
  });
}

test('int4 has two outputs in a byte, scales by output, and zero points by group', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyQuantized(join(dir, 'source'), SPEC, 'awq');
  const tensors = await tensorsOf(await convert(join(dir, 'source'), join(dir, 'out')));
  const fc = 'transformer.layers.1.mlp.fc';
  assert.equal(tensors.get(`${fc}.weight`), 'I8 [96, 64]');
  assert.equal(tensors.get(`${fc}.weights_scaling_factor`), 'F16 [192, 2]');
  assert.equal(tensors.get(`${fc}.zero`), 'F16 [2, 192]');
  const qkv = 'transformer.layers.0.attention.qkv';
  assert.equal(tensors.get(`${qkv}.weight`), 'I8 [64, 64]');
  assert.equal(tensors.get(`${qkv}.weights_scaling_factor`), 'F16 [128, 2]');
  assert.equal(tensors.get(`${qkv}.zero`), 'F16 [2, 128]');
  assert.equal(tensors.get('lm_head.weight'), 'F16 [317, 64]');
  assert.equal(tensors.size, 3 + 2 * (2 + 4 * 3 + 3));
});

test('FP8 has a scale for each matrix and its inputs, and one for keys and values', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyQuantized(join(dir, 'source'), SPEC, 'fp8');
  const out = await convert(join(dir, 'source'), join(dir, 'out'));
  const tensors = await tensorsOf(out);
  const attention = 'transformer.layers.0.attention';
  assert.equal(tensors.get(`${attention}.qkv.weight`), 'F8_E4M3 [128, 64]');
  assert.equal(tensors.get(`${attention}.qkv.weights_scaling_factor`), 'F32 [1]');
  assert.equal(tensors.get(`${attention}.qkv.activation_scaling_factor`), 'F32 [1]');
  assert.equal(tensors.get(`${attention}.kv_cache_scaling_factor`), 'F32 [1]');
  const file = await SafetensorsFile.open(join(out, 'rank0.safetensors'));
  const at = file.entries.get(`${attention}.kv_cache_scaling_factor`)?.position ?? 0;
  await file.close();
  assert.equal((await weightsOf(out)).readFloatLE(at), 0.5, 'the greater of the scales of keys and values');
});

test('FP8 whose q, k and v have scales that differ is kept exactly, with a scale for each output', async (t) => {
  const { dir, tensors } = await tinySource(t, 'fp8');
  const scale = tensors.find(({ name }) => name === 'model.layers.1.self_attn.k_proj.weight_scale');
  scale?.data instanceof Float32Array && scale.data.fill(0.0043);
  await writeTyped(join(dir, 'model.safetensors'), tensors);
  const kept = await convert(dir, join(dir, 'kept'));
  const { quant_algo } = (await readEngineConfig(kept)).pretrained_config.quantization;
  assert.equal(quant_algo, 'FP8_PER_CHANNEL_PER_TOKEN');
  assert.equal((await tensorsOf(kept)).get('transformer.layers.1.attention.qkv.per_channel_scale'), 'F32 [128]');
  const half = await convert(await convert(dir, join(dir, 'plain'), { dtype: 'float32' }), join(dir, 'half'));
  assert.deepEqual(await weightsOf(await convert(kept, join(dir, 'd'), { dtype: 'float16' })), await weightsOf(half));
});

test('modules that are not quantized stay plain, and TensorRT-LLM is told their names', async (t) => {
  const dir = await temporaryDirectory(t);
  const cases: [Format, string[]][] = [
    [
      'awq',
      ['*lm_head', '*vocab_embedding', ...['qkv', 'dense'].map((name) => `transformer.layers.0.attention.${name}`)],
    ],
    ['fp8_channel', ['*ln_f', '*ln_embed', 'transformer.layers.0.attention', 'transformer.layers.0.input_layernorm']],
  ];
  for (const [format, excluded] of cases) {
    await writeTinyQuantized(join(dir, format), SPEC, format, /layers\.0\.self_attn/);
    const out = await convert(join(dir, format), join(dir, `${format}-out`));
    assert.deepEqual((await readEngineConfig(out)).pretrained_config.quantization.exclude_modules, excluded);
    assert.equal((await tensorsOf(out)).get('transformer.layers.0.attention.qkv.weight'), 'F16 [128, 64]');
  }
});

async function tinySource(t: TestContext, format: Format): Promise<{ dir: string; tensors: TypedTensor[] }> {
  const dir = await temporaryDirectory(t);
  await writeTinyQuantized(dir, SPEC, format);
  return { dir, tensors: quantizedTensors(SPEC, format) };
}

/** The format, a change to the tensors, the code, and what the message names. */
const DAMAGED: [string, Format, (tensors: TypedTensor[]) => TypedTensor[], ErrorCode, string[]][] = [
  ['without scales', 'gptq', without('mlp.up_proj.scales'), 'ERR_SOURCE_INVALID', ['mlp.up_proj.scales']],
  ['without zero points', 'awq', without('q_proj.qzeros'), 'ERR_SOURCE_INVALID', ['q_proj.qzeros']],
  ['with scales alone', 'awq', without('o_proj.qweight'), 'ERR_SOURCE_INVALID', ['no tensor', 'o_proj.weight']],
  ['without a scale', 'fp8', without('o_proj.weight_scale'), 'ERR_SOURCE_INVALID', ['o_proj.weight_scale']],
  ['with other groups', 'gptq', reshape('o_proj.scales', [1, 128]), 'ERR_SOURCE_INVALID', ['o_proj.scales', '[2, 64]']],
  ['with floats for words', 'gptq', retype('o_proj.qweight', 'F32'), 'ERR_SOURCE_INVALID', ['o_proj.qweight', 'F32']],
  ['with words in a vector', 'awq', reshape('o_proj.qweight', [512]), 'ERR_SOURCE_INVALID', ['o_proj.qweight']],
  [
    'with a NaN',
    'fp8_channel',
    fill('o_proj.weight_scale', Number.NaN),
    'ERR_SOURCE_INVALID',
    ['o_proj.weight_scale holds NaN'],
  ],
  ['with a group out of range', 'gptq', fill('o_proj.g_idx', 7), 'ERR_SOURCE_INVALID', ['o_proj.g_idx holds 7']],
  ['with a shape of its own', 'packed', reshape('k_proj.weight_shape', [1, 2]), 'ERR_SOURCE_INVALID', ['weight_shape']],
  [
    'with scales by block',
    'fp8',
    replace('o_proj.weight_scale', [2, 2], 4),
    'ERR_MODEL_UNSUPPORTED',
    ['blocks', 'o_proj'],
  ],
  [
    'with one group for all inputs',
    'gptq',
    fill('o_proj.g_idx', 0),
    'ERR_MODEL_UNSUPPORTED',
    ['o_proj', 'desc_act', 'dtype'],
  ],
];

type Edit = (tensors: TypedTensor[]) => TypedTensor[];
function without(name: string): Edit {
  return (tensors) => tensors.filter((tensor) => !tensor.name.endsWith(`layers.1.${fullName(name)}`));
}
function edit(name: string, change: (tensor: TypedTensor) => TypedTensor): Edit {
  return (tensors) =>
    tensors.map((tensor) => (tensor.name.endsWith(`layers.1.${fullName(name)}`) ? change(tensor) : tensor));
}
function fullName(name: string): string {
  return name.startsWith('mlp') ? name : `self_attn.${name}`;
}
function reshape(name: string, shape: number[]): Edit {
  return edit(name, (tensor) => ({ ...tensor, shape }));
}
function retype(name: string, dtype: string): Edit {
  return edit(name, (tensor) => ({ ...tensor, dtype }));
}
function fill(name: string, value: number): Edit {
  return edit(name, (tensor) => {
    const { data } = tensor;
    assert.ok(data instanceof Float32Array || data instanceof Int32Array);
    return { ...tensor, data: data.slice().fill(value) };
  });
}
function replace(name: string, shape: number[], length: number): Edit {
  return edit(name, (tensor) => ({ ...tensor, shape, data: new Float32Array(length).fill(1) }));
}

for (const [what, format, change, code, named] of DAMAGED) {
  test(`${format} ${what} is refused by the tensor's name`, async (t) => {
    const { dir, tensors } = await tinySource(t, format);
    await writeTyped(join(dir, 'model.safetensors'), change(tensors));
    await assert.rejects(convert(dir, join(dir, 'out')), failsWith(code, ...named));
  });
}

test('what TensorRT-LLM has no form for converts with dtype, which dequantizes it', async (t) => {
  const { dir, tensors } = await tinySource(t, 'gptq');
  const reordered = fill('o_proj.g_idx', 0)(tensors);
  await writeTyped(join(dir, 'model.safetensors'), reordered);
  await convert(dir, join(dir, 'out'), { dtype: 'float16' });
  await writeTyped(join(dir, 'model.safetensors'), quantizedTensors(SPEC, 'gptq', /k_proj/));
  await assert.rejects(
    convert(dir, join(dir, 'mixed')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'q_proj.weight is quantized', 'k_proj is not', 'dtype'),
  );
  await convert(dir, join(dir, 'mixed'), { dtype: 'bfloat16' });
});

test('biases of zeros, which old AutoGPTQ writes for every matrix, are left out; others are refused', async (t) => {
  const { dir, tensors } = await tinySource(t, 'gptq');
  const bias = { name: 'model.layers.0.self_attn.o_proj.bias', dtype: 'F16', shape: [64], data: new Uint16Array(64) };
  await writeTyped(join(dir, 'model.safetensors'), [...tensors, bias]);
  await convert(dir, join(dir, 'out'));
  bias.data[5] = 1;
  await writeTyped(join(dir, 'model.safetensors'), [...tensors, bias]);
  await assert.rejects(convert(dir, join(dir, 'out')), failsWith('ERR_MODEL_UNSUPPORTED', 'o_proj.bias'));
});

/** `quantization_config`, and what the message names. */
const REFUSED: [object, ...string[]][] = [
  [{ quant_method: 'bitsandbytes', load_in_4bit: true }, 'bitsandbytes', 'GGUF'],
  [{ load_in_8bit: true }, 'bitsandbytes'],
  [{ quant_method: 'mxfp4' }, 'MXFP4'],
  [{ quant_method: 'exl2' }, 'EXL2'],
  [{ quant_method: 'hqq' }, 'HQQ'],
  [{ quant_method: 'aqlm' }, 'AQLM'],
  [{ quant_method: 'my-own' }, 'quant_method is "my-own"'],
  [{ quant_method: 'gptq', bits: 8, group_size: 128 }, 'quantization_config.bits is 8'],
  [{ quant_method: 'gptq', bits: 4, checkpoint_format: 'marlin' }, 'checkpoint_format is "marlin"'],
  [{ quant_method: 'gptq', bits: 4, dynamic: { '.*down_proj.*': { bits: 8 } } }, 'quantization_config.dynamic'],
  [{ quant_method: 'gptq', bits: 4, adapter: { rank: 64 } }, 'quantization_config.adapter'],
  [{ quant_method: 'awq', bits: 4, version: 'gemv' }, 'version is "gemv"'],
  [{ quant_method: 'awq', bits: 4, zero_point: false }, 'zero_point is false'],
  [
    { quant_method: 'compressed-tensors', format: 'nvfp4-pack-quantized', config_groups: { group_0: {} } },
    'nvfp4-pack-quantized',
  ],
  [{ quant_method: 'compressed-tensors', format: 'int-quantized', config_groups: { group_0: {} } }, 'int-quantized'],
  [
    { quant_method: 'compressed-tensors', format: 'pack-quantized', transform_config: { config_groups: { a: {} } } },
    'transform_config',
  ],
  [
    {
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      config_groups: { group_0: { weights: { num_bits: 8, type: 'int' } } },
    },
    'config_groups.group_0.weights.num_bits is 8',
  ],
  [{ quant_method: 'modelopt', quant_algo: 'NVFP4' }, 'quant_algo is "NVFP4"'],
  [{ quant_method: 'fp8', weight_block_size: [128, 128] }, 'weight_block_size'],
];

for (const [config, ...named] of REFUSED) {
  test(`a model with ${JSON.stringify(config)} is refused by name`, async (t) => {
    const { dir } = await tinySource(t, 'gptq');
    await editJson(join(dir, 'config.json'), { quantization_config: config });
    await assert.rejects(convert(dir, join(dir, 'out')), failsWith('ERR_MODEL_UNSUPPORTED', ...named));
  });
}

test("ModelOpt's hf_quant_config.json says it where config.json does not, and the FP8 of fbgemm and of vLLM are read", async (t) => {
  const { dir } = await tinySource(t, 'fp8');
  const warnings: string[] = [];
  const algoOf = async (): Promise<unknown> => {
    const out = await convert(dir, join(dir, 'out'), { onWarning: (message) => warnings.push(message) });
    const { quant_algo, clamp_val, kv_cache_quant_algo } = (await readEngineConfig(out)).pretrained_config.quantization;
    return [quant_algo, clamp_val, kv_cache_quant_algo];
  };
  await editJson(join(dir, 'config.json'), {
    quantization_config: { quant_method: 'fp8', activation_scheme: 'static' },
  });
  assert.deepEqual(await algoOf(), ['FP8', undefined, null]);
  assert.match(warnings.join(), /k_scale.*left out/, 'its config asks for no KV cache of FP8');
  await editJson(join(dir, 'config.json'), { quantization_config: undefined });
  const quantization = { quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', exclude_modules: ['lm_head'] };
  await writeTyped(join(dir, 'model.safetensors'), quantizedTensors(SPEC, 'fp8'));
  const text = JSON.stringify({ producer: { name: 'modelopt', version: '0.19.0' }, quantization });
  await writeFile(join(dir, 'hf_quant_config.json'), text);
  assert.deepEqual(await algoOf(), ['FP8', undefined, 'FP8']);
  assert.equal(warnings.length, 1);
  await editJson(join(dir, 'config.json'), {
    quantization_config: { quant_method: 'fbgemm_fp8', activation_scale_ub: 1200, modules_to_not_convert: ['lm_head'] },
  });
  await writeTyped(join(dir, 'model.safetensors'), quantizedTensors(SPEC, 'fp8_channel'));
  assert.deepEqual(await algoOf(), ['FP8_PER_CHANNEL_PER_TOKEN', [-1200, 1200], null]);
});

test('weights that NVIDIA wrote in the order of one GPU are refused, because the file does not say which', async (t) => {
  const { dir } = await tinySource(t, 'awq');
  const out = await convert(dir, join(dir, 'out'));
  await editConfig(out, { quant_algo: 'W4A16_GPTQ', group_size: 32, has_zero_point: true });
  await assert.rejects(
    convert(out, join(dir, 'again')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'W4A16_GPTQ', 'GPTQ model'),
  );
  await editConfig(out, { quant_algo: 'W8A16' });
  await assert.rejects(convert(out, join(dir, 'again')), failsWith('ERR_MODEL_UNSUPPORTED', 'qkv.weight', 'W8A16'));
});

async function editConfig(dir: string, quantization: object): Promise<void> {
  const { pretrained_config } = await readJson(join(dir, 'config.json'));
  await editJson(join(dir, 'config.json'), { pretrained_config: { ...(pretrained_config as object), quantization } });
}
