import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLMError } from '#lib/base/errors.js';
import type { Quantization } from '#lib/engine/directory/quantization.js';
import { fp8Values } from '#lib/engine/formats/fp8-matrix.js';
import type { SourceQuantization } from '#lib/engine/formats/quantization-config.js';
import { readQuantizedTensors } from '#lib/engine/formats/quantized-tensors.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import type { LlamaModel, SourceTensor } from '#lib/engine/formats/source.js';
import { StoredTensor } from '#lib/engine/formats/stored-tensor.js';
import { PROJECT_ROOT } from '../../../tools/project.js';

// Packed by AutoGPTQ, AutoAWQ and compressed-tensors: fixtures/make_quantized.py.
const FIXTURE = join(PROJECT_ROOT, 'test/lib/engine/formats/fixtures/quantized.safetensors');
const MODULE = 'model.layers.0.mlp.down_proj';
const MODEL = { num_hidden_layers: 1, architecture: 'LlamaForCausalLM' } as LlamaModel;
const GPTQ = {
  format: 'gptq',
  label: 'GPTQ',
  groupSize: 32,
  zeroOffset: 1,
  hasFp8KvCache: false,
  clampVal: null,
} as const;
const AWQ = { ...GPTQ, format: 'awq', zeroOffset: 0 } as const;
const PACKED = { ...AWQ, format: 'packed' } as const;
const FP8 = { ...AWQ, format: 'fp8', groupSize: -1 } as const;

let file: SafetensorsFile;
before(async () => {
  file = await SafetensorsFile.open(FIXTURE);
});
after(() => file.close());

/** The tensors of a case, as those of one module. */
function storedOf(name: string): Map<string, StoredTensor> {
  const tensors = [...file.entries].flatMap(([full, entry]) => {
    const [owner, part] = full.split('.');
    return owner === name && part !== 'expected' ? [new StoredTensor(`${MODULE}.${part}`, file, entry)] : [];
  });
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

async function expectedOf(name: string): Promise<Float32Array> {
  const entry = file.entries.get(`${name}.expected`) ?? assert.fail(`${FIXTURE} has no ${name}.expected`);
  return new Float32Array((await new StoredTensor(name, file, entry).read()).buffer);
}

const floatsOf = async (tensor: SourceTensor | undefined, first: number, count: number): Promise<number[]> => {
  assert.ok(tensor);
  return [...new Float32Array((await tensor.readRows(first, count, 'float32')).buffer)];
};

/** The case, what its config says, and how an engine keeps it. */
const CASES: [string, SourceQuantization, Partial<Quantization> | RegExp][] = [
  ['gptq', GPTQ, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: false }],
  ['gptq_asymmetric', GPTQ, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: true }],
  ['gptq_v2', { ...GPTQ, zeroOffset: 0 }, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: true }],
  ['gptq_reordered', GPTQ, /down_proj.*order of its activations/],
  ['gptq_channel', { ...GPTQ, groupSize: -1 }, { quant_algo: 'W4A16_AWQ', group_size: 64, has_zero_point: false }],
  ['awq', AWQ, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: true }],
  ['packed', PACKED, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: false }],
  ['packed_asymmetric', PACKED, { quant_algo: 'W4A16_AWQ', group_size: 32, has_zero_point: true }],
  ['packed_channel', { ...PACKED, groupSize: -1 }, { quant_algo: 'W4A16_AWQ', group_size: 64, has_zero_point: false }],
  ['fp8', FP8, { quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN', clamp_val: null }],
  ['fp8_channel', { ...FP8, clampVal: [-9, 9] }, { quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN', clamp_val: [-9, 9] }],
];

for (const [name, format, kept] of CASES) {
  test(`${name}: has the values that the tool packed, and says how an engine keeps them`, async () => {
    const { tensors, quantization } = await readQuantizedTensors(storedOf(name), format, MODEL);
    assert.deepEqual([...tensors.keys()], [`${MODULE}.weight`]);
    const weight = tensors.get(`${MODULE}.weight`);
    assert.deepEqual(weight?.shape, [32, 64]);
    const expected = [...(await expectedOf(name))];
    assert.deepEqual(await floatsOf(weight, 0, 32), expected);
    assert.deepEqual(await floatsOf(weight, 5, 2), expected.slice(5 * 64, 7 * 64));
    if (kept instanceof RegExp) {
      assert.ok(LLMError.is(quantization));
      assert.match(quantization.message, kept);
      assert.match(quantization.message, /dtype/);
    } else {
      assert.deepEqual({ ...quantization, ...kept }, quantization);
    }
  });
}

test('all 256 values of FP8 are those of PyTorch', async () => {
  assert.deepEqual([...fp8Values()], [...(await expectedOf('fp8_values'))]);
});
