import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import type { ErrorCode } from '#lib/base/errors.js';
import { convert } from '#lib/engine/convert/convert.js';
import { fromFloat16 } from '#lib/engine/formats/numeric.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { readExactly } from '#lib/engine/formats/source.js';
import { temporaryDirectory } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import {
  TINY_LLAMAS,
  type TinyLlamaSpec,
  tinyLlamaTensors,
  writeSafetensors,
  writeTinyLlama,
} from '../tools/tiny-llama.js';
import { FORMATS, type Format, type TypedTensor, writeTinyQuantized, writeTyped } from '../tools/tiny-quantized.js';

// 320 inputs are more than one of the pieces that products are summed in.
const SPEC: TinyLlamaSpec = { ...TINY_LLAMAS.untied, intermediateSize: 320, dtype: 'float32' };
const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 37) % SPEC.vocabSize);

/** Logits over a prompt, and of tokens that are decoded one by one. */
async function logitsOf(engine: string): Promise<Float32Array> {
  const llm = await LLM.load(engine, { executor: 'cpu' });
  try {
    const { contextLogits, outputs } = await llm.generate(
      { tokens: PROMPT },
      { maxTokens: 4, temperature: 0, ignoreEos: true, returnContextLogits: true, returnGenerationLogits: true },
    );
    const [{ generationLogits } = assert.fail('no output')] = outputs;
    assert.ok(contextLogits && generationLogits);
    return Float32Array.of(...contextLogits.data, ...generationLogits.data);
  } finally {
    await llm.close();
  }
}

for (const format of FORMATS) {
  test(`${format} on the CPU gives the bits of logits that the dequantized model gives`, async () => {
    const dir = await temporaryDirectory();
    await writeTinyQuantized(join(dir, 'source'), SPEC, format);
    const kept = await convert(join(dir, 'source'), join(dir, 'kept'));
    await widen(kept);
    const dequantized = await convert(kept, join(dir, 'dequantized'), { dtype: 'float32' });
    assert.deepEqual(await logitsOf(kept), await logitsOf(dequantized));
  });
}

/** Makes the float16 tensors of an engine float32, as those of the dequantized one are: head, keys and values are then computed alike. */
async function widen(engine: string): Promise<void> {
  const tensors = (await tensorsOf(engine)).map((tensor) => {
    if (tensor.dtype !== 'F16') return tensor;
    return { ...tensor, dtype: 'F32', data: fromFloat16(new Uint16Array(tensor.data.buffer)) };
  });
  await writeTyped(join(engine, 'rank0.safetensors'), tensors);
  await editModel(engine, { dtype: 'float32' });
}

for (const [quantization, largest] of [
  ['int8_wo', 128],
  ['int4_wo', 8],
] as const) {
  test(`${quantization} rounds the weights of each output to multiples of its scale when it loads`, async () => {
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), SPEC);
    const kept = await convert(join(dir, 'source'), join(dir, 'kept'), { quantization, dtype: 'float32' });
    const rounded = tinyLlamaTensors(SPEC).map((tensor) => {
      if (!/_proj\.weight$/.test(tensor.name)) return tensor;
      const columns = tensor.shape[1] as number;
      const data = tensor.data.slice();
      for (let row = 0; row < data.length; row += columns) {
        const values = data.subarray(row, row + columns);
        const scale = Math.fround(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / largest);
        for (const [i, value] of values.entries()) {
          const ratio = Math.fround(value / scale);
          const whole = Math.sign(ratio) * Math.round(Math.abs(ratio));
          values[i] = Math.min(largest - 1, Math.max(-largest, whole)) * scale;
        }
      }
      return { ...tensor, data };
    });
    await writeSafetensors(join(dir, 'source', 'model.safetensors'), rounded);
    const plain = await convert(join(dir, 'source'), join(dir, 'plain'), { dtype: 'float32' });
    assert.deepEqual(await logitsOf(kept), await logitsOf(plain));
  });
}

/** The tensors of an engine. */
async function tensorsOf(engine: string): Promise<TypedTensor[]> {
  const file = await SafetensorsFile.open(join(engine, 'rank0.safetensors'));
  const tensors: TypedTensor[] = [];
  for (const [name, { dtype, shape, position, bytes }] of file.entries) {
    tensors.push({ name, dtype, shape, data: await readExactly(file.handle, file.path, position, bytes) });
  }
  await file.close();
  return tensors;
}

async function editModel(engine: string, changes: object): Promise<void> {
  const file = join(engine, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8'));
  Object.assign(config.pretrained_config, changes);
  await writeFile(file, JSON.stringify(config));
  await rm(join(engine, 'manifest.json'), { force: true }); // an engine of NVIDIA's tools has none
}

async function editQuantization(engine: string, changes: object): Promise<void> {
  const { quantization } = JSON.parse(await readFile(join(engine, 'config.json'), 'utf8')).pretrained_config;
  await editModel(engine, { quantization: { ...quantization, ...changes } });
}

test("inputs of int4 matrices are multiplied as ModelOpt's AWQ has it", async () => {
  const dir = await temporaryDirectory();
  await writeTinyQuantized(join(dir, 'source'), SPEC, 'awq');
  const engine = await convert(join(dir, 'source'), join(dir, 'kept'));
  const factors = (await tensorsOf(engine))
    .filter(({ dtype }) => dtype === 'I8')
    .map(({ name, shape }) => ({
      name: name.replace('.weight', '.prequant_scaling_factor'),
      dtype: 'F32',
      shape: [shape[1] as number],
      data: Float32Array.from({ length: shape[1] as number }, (_, i) => 0.5 + (i % 7) / 5),
    }));
  await writeTyped(join(engine, 'rank0.safetensors'), [...(await tensorsOf(engine)), ...factors]);
  await widen(engine);
  await editQuantization(engine, { pre_quant_scale: true });
  const dequantized = await convert(engine, join(dir, 'dequantized'), { dtype: 'float32' });
  assert.deepEqual(await logitsOf(engine), await logitsOf(dequantized));
});

/** The format, a change to what its config says or to its tensors, the code, and what the message names. */
const DAMAGED: [Format, object, (tensor: TypedTensor) => TypedTensor | undefined, ErrorCode, string][] = [
  ['packed', { has_zero_point: true }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.zero'],
  ['packed', { group_size: 64 }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.weights_scaling_factor'],
  ['packed', { group_size: 128 }, keep, 'ERR_ENGINE_WEIGHTS', 'whole groups of 128'],
  ['packed', { pre_quant_scale: true }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.prequant_scaling_factor'],
  ['packed', { quant_algo: 'FP8' }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.weight'],
  ['packed', { quant_algo: 'W8A16' }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.weight'],
  ['packed', { quant_algo: null }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.weight'],
  ['fp8', { quant_algo: 'W4A16_AWQ' }, keep, 'ERR_ENGINE_WEIGHTS', 'attention.qkv.weight'],
  ['fp8', {}, without('mlp.fc.weights_scaling_factor'), 'ERR_ENGINE_WEIGHTS', 'mlp.fc.weights_scaling_factor'],
  ['fp8_channel', {}, without('mlp.fc.per_channel_scale'), 'ERR_ENGINE_WEIGHTS', 'mlp.fc.per_channel_scale'],
  ['fp8_channel', {}, nan('mlp.fc.weight'), 'ERR_ENGINE_WEIGHTS', 'NaN in tensor transformer.layers.0.mlp.fc.weight'],
];
function keep(tensor: TypedTensor): TypedTensor {
  return tensor;
}
function without(name: string) {
  return (tensor: TypedTensor) => (tensor.name.endsWith(name) ? undefined : tensor);
}
function nan(name: string) {
  return (tensor: TypedTensor) =>
    tensor.name.endsWith(name) ? { ...tensor, data: new Uint8Array(tensor.data.byteLength).fill(0x7f) } : tensor;
}

for (const [format, changes, change, code, named] of DAMAGED) {
  test(`an engine of ${format} with ${JSON.stringify(changes)} or damaged tensors is refused: ${named}`, async () => {
    const dir = await temporaryDirectory();
    await writeTinyQuantized(join(dir, 'source'), SPEC, format);
    const engine = await convert(join(dir, 'source'), join(dir, 'kept'));
    await editQuantization(engine, changes);
    const tensors = (await tensorsOf(engine)).flatMap((tensor) => change(tensor) ?? []);
    await writeTyped(join(engine, 'rank0.safetensors'), tensors);
    await assert.rejects(LLM.load(engine, { executor: 'cpu' }), failsWith(code, named));
  });
}

test('dummy weights of a quantized engine are refused', async () => {
  const dir = await temporaryDirectory();
  await writeTinyQuantized(join(dir, 'source'), SPEC, 'awq');
  const kept = await convert(join(dir, 'source'), join(dir, 'kept'));
  const load = LLM.load(kept, { executor: 'cpu', loadFormat: 'dummy' });
  await assert.rejects(load, failsWith('ERR_UNSUPPORTED', 'loadFormat', 'quantized'));
});
