import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConvertOptions, convert } from '#lib/engine/convert/convert.js';
import { encodeFp8, fp8Values } from '#lib/engine/formats/fp8-matrix.js';
import { decodeValues } from '#lib/engine/formats/numeric.js';
import { openCheckpoint } from '#lib/engine/formats/open-checkpoint.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { failsAbout, failsWith } from '../../../tools/fails-with.js';
import {
  TINY_LLAMAS,
  type TinyLlamaSpec,
  tinyLlamaTensors,
  writeSafetensors,
  writeTinyLlama,
} from '../../../tools/tiny-llama.js';
import { writeTinyQuantized } from '../../../tools/tiny-quantized.js';
import { readEngineConfig, temporaryDirectory } from '../helpers.js';

const SPEC: TinyLlamaSpec = {
  ...TINY_LLAMAS.untied,
  hiddenSize: 128,
  intermediateSize: 512,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  layers: 4,
  dtype: 'float32',
};

async function converted(t: TestContext, options: ConvertOptions, spec = SPEC): Promise<string> {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'source'), spec);
  return convert(join(dir, 'source'), join(dir, 'out'), options);
}

/** The values of a matrix of an engine of one rank, dequantized. */
async function valuesOf(dir: string, name: string): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(dir, undefined);
  try {
    const tensor = checkpoint.tensors.get(name) ?? assert.fail(name);
    return decodeValues(await tensor.readRows(0, tensor.shape[0] ?? 0, 'float32'), 'float32');
  } finally {
    await checkpoint.close();
  }
}

/** How far values are from others, by the root of the mean square, as a part of theirs. */
function loss(values: Float32Array, of: Float32Array): number {
  assert.equal(values.length, of.length);
  let [error, power] = [0, 0];
  for (const [i, value] of of.entries()) {
    error += ((values[i] as number) - value) ** 2;
    power += value ** 2;
  }
  return Math.sqrt(error / power);
}

const sourceOf = (name: string): Float32Array =>
  tinyLlamaTensors(SPEC).find((tensor) => tensor.name === name)?.data ?? assert.fail(name);

test('int4_awq: groups of 128 inputs, each with the better of a few scales', async (t) => {
  const dir = await converted(t, { quantization: 'int4_awq', dtype: 'float32' });
  const { quantization } = (await readEngineConfig(dir)).pretrained_config;
  assert.deepEqual(quantization, {
    quant_algo: 'W4A16_AWQ',
    kv_cache_quant_algo: null,
    group_size: 128,
    has_zero_point: false,
    pre_quant_scale: false,
    exclude_modules: null,
  });
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  const shapeOf = (name: string) => file.entries.get(`transformer.layers.1.${name}`)?.shape;
  assert.deepEqual(shapeOf('mlp.proj.weight'), [64, 512]);
  assert.deepEqual(shapeOf('mlp.proj.weights_scaling_factor'), [128, 4]);
  assert.deepEqual(shapeOf('attention.qkv.weights_scaling_factor'), [512, 1]);
  await file.close();
  const source = sourceOf('model.layers.1.mlp.down_proj.weight');
  const found = await valuesOf(dir, 'transformer.layers.1.mlp.proj.weight');
  const byLargest = source.slice();
  for (let first = 0; first < source.length; first += 128) {
    const group = byLargest.subarray(first, first + 128);
    const scale = group.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 7;
    for (const [i, value] of group.entries()) group[i] = Math.round(value / scale) * scale;
  }
  const ratio = loss(found, source) / loss(byLargest, source);
  t.diagnostic(
    `loss ${loss(found, source).toFixed(4)}, with the largest value's scale ${loss(byLargest, source).toFixed(4)}`,
  );
  assert(ratio < 0.95, String(ratio));
});

test('int4_awq: scales are stored in the type of the model, and rounded before the weights are', async (t) => {
  const dir = await converted(t, { quantization: 'int4_awq', dtype: 'bfloat16' });
  const source = sourceOf('model.layers.2.self_attn.o_proj.weight');
  const found = await valuesOf(dir, 'transformer.layers.2.attention.dense.weight');
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  const { dtype } = file.entries.get('transformer.layers.2.attention.dense.weights_scaling_factor') ?? assert.fail();
  await file.close();
  assert.equal(dtype, 'BF16');
  assert(loss(found, source) < 0.11, String(loss(found, source)));
});

test('fp8_rowwise: the MLPs between the first layer and the last, with a scale for each output', async (t) => {
  const dir = await converted(t, { quantization: 'fp8_rowwise', dtype: 'bfloat16' });
  const { quantization } = (await readEngineConfig(dir)).pretrained_config;
  assert.equal(quantization.quant_algo, 'FP8_PER_CHANNEL_PER_TOKEN');
  assert.deepEqual(quantization.clamp_val, [-1200, 1200]);
  const excluded = quantization.exclude_modules ?? [];
  assert(['*attention', '*input_layernorm', '*lm_head'].every((pattern) => excluded.includes(pattern)));
  for (const layer of [0, 3]) {
    for (const name of ['mlp', 'post_layernorm']) assert(excluded.includes(`transformer.layers.${layer}.${name}`));
  }
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  const inFp8 = [...file.entries].filter(([, { dtype }]) => dtype === 'F8_E4M3').map(([name]) => name);
  const scales = file.entries.get('transformer.layers.1.mlp.fc.per_channel_scale');
  await file.close();
  assert.deepEqual([scales?.dtype, scales?.shape], ['F32', [512]]);
  assert.deepEqual(
    inFp8.sort(),
    [1, 2].flatMap((layer) => ['fc', 'gate', 'proj'].map((name) => `transformer.layers.${layer}.mlp.${name}.weight`)),
  );
  const source = sourceOf('model.layers.1.mlp.up_proj.weight');
  const lost = loss(await valuesOf(dir, 'transformer.layers.1.mlp.gate.weight'), source);
  t.diagnostic(`loss ${lost.toFixed(4)}`);
  assert(lost < 0.03, String(lost));
});

test('a float is rounded to the nearest FP8, ties to even, and saturates', () => {
  const values = fp8Values();
  const known = values.filter((value, byte) => byte < 0x7f && value >= 0);
  const between = Float32Array.from(
    { length: known.length - 1 },
    (_, i) => ((known[i] as number) + (known[i + 1] as number)) / 2,
  );
  const given = Float32Array.of(...known, ...between, 449, 1e30, Number.POSITIVE_INFINITY, 0.0001, Number.NaN);
  const bytes = new Uint8Array(given.length);
  encodeFp8(given, bytes);
  const ties = Array.from(between, (_, i) => (i % 2 === 0 ? i : i + 1));
  assert.deepEqual([...bytes], [...Array(127).keys(), ...ties, 0x7e, 0x7e, 0x7e, 0, 0x7f]);
  encodeFp8(given.map((value) => -value).subarray(0, 127), bytes);
  assert.deepEqual(
    [...bytes.subarray(1, 127)],
    Array.from({ length: 126 }, (_, i) => 0x81 + i),
  );
});

test('ranks have the bits of the whole, by outputs and by groups of inputs', async (t) => {
  const bytesOf = async (dir: string, rank: number, name: string): Promise<Buffer> => {
    const file = await SafetensorsFile.open(join(dir, `rank${rank}.safetensors`));
    const { position, bytes } = file.entries.get(`transformer.layers.1.mlp.${name}`) ?? assert.fail(name);
    const read = Buffer.alloc(bytes);
    await file.handle.read(read, 0, bytes, position);
    await file.close();
    return read;
  };
  for (const [quantization, scale] of [
    ['int4_awq', 'weights_scaling_factor'],
    ['fp8_rowwise', 'per_channel_scale'],
  ] as const) {
    const whole = await converted(t, { quantization });
    const split = await converted(t, { quantization, tpSize: 2 });
    for (const name of ['fc.weight', `fc.${scale}`]) {
      const halves = [await bytesOf(split, 0, name), await bytesOf(split, 1, name)];
      assert.deepEqual(Buffer.concat(halves), await bytesOf(whole, 0, name), name);
    }
    const rows = { int4_awq: 64, fp8_rowwise: 128 }[quantization];
    const [all, first, second] = [
      await bytesOf(whole, 0, 'proj.weight'),
      await bytesOf(split, 0, 'proj.weight'),
      await bytesOf(split, 1, 'proj.weight'),
    ];
    for (let row = 0; row < rows; row++) {
      const half = (of: Buffer): Buffer => of.subarray(row * 256, (row + 1) * 256);
      assert.deepEqual(Buffer.concat([half(first), half(second)]), all.subarray(row * 512, (row + 1) * 512));
    }
  }
});

test('what cannot be quantized so is refused, with what can', async (t) => {
  const asked = (quantization: string, more: ConvertOptions = {}, spec = SPEC) =>
    converted(t, { ...more, quantization: quantization as 'int4_awq' }, spec);
  await assert.rejects(asked('fp4'), failsAbout('quantization', 'ERR_INVALID_OPTION', /'fp8_rowwise', .*'fp8'/));
  await assert.rejects(
    asked('int4_awq', { tpSize: 8 }, { ...SPEC, heads: 8, headDim: 32 }),
    failsAbout('quantization', 'ERR_INVALID_OPTION', /32 columns/),
  );
  await assert.rejects(
    asked('int4_awq', {}, TINY_LLAMAS.untied),
    failsAbout('quantization', 'ERR_INVALID_OPTION', /128 weights.* 64 columns/),
  );
  await assert.rejects(
    asked('fp8_rowwise', { ppSize: 2 }),
    failsAbout('quantization', 'ERR_INVALID_OPTION', /one stage/),
  );
});

test('a quantized model is quantized again only if a type is asked for', async (t) => {
  const dir = await temporaryDirectory(t);
  const source = join(dir, 'source');
  await writeTinyQuantized(source, SPEC, 'fp8');
  const again = (options: ConvertOptions) =>
    convert(source, join(dir, 'out'), { quantization: 'int4_awq', ...options });
  await assert.rejects(again({}), failsAbout('quantization', 'ERR_INVALID_OPTION', /quantized already.*dtype/));
  const { quantization } = (await readEngineConfig(await again({ dtype: 'float16' }))).pretrained_config;
  assert.equal(quantization.quant_algo, 'W4A16_AWQ');
});

test('weights that are not finite are refused', async (t) => {
  for (const quantization of ['int4_awq', 'fp8_rowwise'] as const) {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const dir = await temporaryDirectory(t);
      await writeTinyLlama(join(dir, 'source'), SPEC);
      const tensors = tinyLlamaTensors(SPEC);
      const damaged = tensors.find(({ name }) => name === 'model.layers.1.mlp.up_proj.weight') ?? assert.fail();
      damaged.data[1000] = value;
      await writeSafetensors(join(dir, 'source', 'model.safetensors'), tensors);
      const out = convert(join(dir, 'source'), join(dir, 'out'), { quantization, dtype: 'float32' });
      await assert.rejects(out, failsWith('ERR_SOURCE_INVALID', 'transformer.layers.1.mlp.gate', 'not finite'));
    }
  }
});
