import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { decodeBlocks, isBlockType } from '#lib/engine/formats/ggml-blocks.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { readExactly } from '#lib/engine/formats/source.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec } from '../../../tools/tiny-llama.js';
import { ggufOf, type NamedTensor, noiseOf, quantizedTensors, TYPES, wide } from '../formats/tiny-gguf.js';
import { readEngineConfig, temporaryDirectory } from '../helpers.js';

const SPEC = wide(TINY_LLAMAS.untied);

async function writeGguf(dir: string, spec: TinyLlamaSpec, tensors: readonly NamedTensor[]): Promise<string> {
  const path = join(dir, 'model.gguf');
  await writeFile(path, ggufOf(spec, tensors));
  return path;
}

/** The tensors of an engine's weights as they are stored. */
async function readStored(dir: string) {
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  const stored = new Map<string, { type: string; shape: readonly number[]; bytes: Buffer }>();
  for (const [name, { dtype, shape, position, bytes }] of file.entries) {
    const type = dtype === 'U8' ? (file.metadata.get(name) ?? 'none') : dtype;
    stored.set(name, { type, shape, bytes: Buffer.from(await readExactly(file.handle, file.path, position, bytes)) });
  }
  await file.close();
  return stored;
}

const PARTS: Record<string, string> = {
  'self_attn.q_proj': 'attention.q',
  'self_attn.k_proj': 'attention.k',
  'self_attn.v_proj': 'attention.v',
  'self_attn.o_proj': 'attention.dense',
  'mlp.gate_proj': 'mlp.fc',
  'mlp.up_proj': 'mlp.gate',
  'mlp.down_proj': 'mlp.proj',
};

/** Of a matrix with Hugging Face's name. */
const engineName = (name: string): string =>
  name
    .replace('model.embed_tokens', 'transformer.vocab_embedding')
    .replace(/^model\./, 'transformer.')
    .replace(/(self_attn|mlp)\.\w+_proj/, (part) => PARTS[part] ?? part);

const nameOfType = (number: number): string =>
  TYPES.find((type) => noiseOf(type, 0, 0).type === number) ?? assert.fail(`type ${number}`);

test('the blocks of a quantized GGUF are kept: each matrix in its own type, q, k and v apart, rows in the order of the engine', async (t) => {
  const dir = await temporaryDirectory(t);
  const tensors = quantizedTensors(SPEC);
  const out = await convert(await writeGguf(dir, SPEC, tensors), join(dir, 'out'));
  const { dtype, quantization } = (await readEngineConfig(out)).pretrained_config;
  assert.deepEqual(quantization, { quant_algo: 'GGML', kv_cache_quant_algo: null });
  assert.equal(dtype, 'bfloat16'); // one matrix is
  assert.deepEqual((await openEngine(out)).manifest?.executors, ['cpu']);
  const stored = await readStored(out);
  for (const { name, shape, type, data } of tensors.filter(({ shape }) => shape.length === 2)) {
    const found = stored.get(engineName(name));
    assert.equal(found?.type, nameOfType(type), name);
    const [rows = 0, columns = 0] = shape;
    assert.deepEqual(found.shape, isBlockType(found.type) ? [rows, data.length / rows] : [rows, columns]);
    assert.ok(found.bytes.equals(data), name);
    stored.delete(engineName(name));
  }
  assert.equal(stored.get('transformer.layers.0.input_layernorm.weight')?.type, 'F32');
  assert.ok([...stored.values()].every(({ type, shape }) => type === 'F32' && shape.length === 1));
  assert.equal(stored.size, 2 * SPEC.layers + 1);
});

test('biases stay one float32 vector of q, k and v, and a Phi3 its one matrix, whose halves trade places', async (t) => {
  const dir = await temporaryDirectory(t);
  const qwen2 = wide(TINY_LLAMAS.qwen2);
  const fromQwen2 = await readStored(
    await convert(await writeGguf(dir, qwen2, quantizedTensors(qwen2, ['Q4_K'])), join(dir, 'out')),
  );
  const kvSize = qwen2.kvHeads * qwen2.headDim;
  const bias = fromQwen2.get('transformer.layers.0.attention.qkv.bias');
  assert.deepEqual([bias?.type, bias?.shape], ['F32', [qwen2.heads * qwen2.headDim + 2 * kvSize]]);
  assert.ok(fromQwen2.has('transformer.layers.0.attention.k.weight'));

  const phi3 = wide(TINY_LLAMAS.phi3);
  const tensors = quantizedTensors(phi3, ['Q6_K']);
  const fromPhi3 = await readStored(await convert(await writeGguf(dir, phi3, tensors), join(dir, 'out')));
  const data = (name: string): Buffer => Buffer.from(tensors.find((tensor) => tensor.name === name)?.data ?? []);
  const [qkv, fc] = ['attention.qkv', 'mlp.fc'].map((name) => fromPhi3.get(`transformer.layers.1.${name}.weight`));
  assert.ok(qkv?.bytes.equals(data('model.layers.1.self_attn.qkv_proj.weight')));
  const gateUp = data('model.layers.1.mlp.gate_up_proj.weight');
  const half = gateUp.length / 2;
  assert.ok(fc?.bytes.equals(Buffer.concat([gateUp.subarray(half), gateUp.subarray(0, half)])));
});

test('an engine in blocks is a source again: the same bytes by itself, what the GGUF dequantizes to with a dtype', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const spec of [SPEC, { ...wide(TINY_LLAMAS.qwen2), tied: true }, wide(TINY_LLAMAS.phi3)]) {
    const gguf = await writeGguf(dir, spec, quantizedTensors(spec));
    const engine = await convert(gguf, join(dir, 'engine'));
    const weights = async (source: string, options = {}): Promise<Buffer> =>
      readFile(join(await convert(source, join(dir, 'out'), options), 'rank0.safetensors'));
    assert.ok((await weights(engine)).equals(await readFile(join(engine, 'rank0.safetensors'))));
    for (const dtype of ['float32', 'bfloat16'] as const) {
      assert.ok((await weights(engine, { dtype })).equals(await weights(gguf, { dtype })));
      const { quantization, dtype: written } = (await readEngineConfig(join(dir, 'out'))).pretrained_config;
      assert.deepEqual([quantization.quant_algo, written], [null, dtype]);
    }
  }
});

test('the CUDA executor runs blocks of four bits and more', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const [type, lacks] of [
    ['Q4_K', undefined],
    ['Q3_K', 'what its manifest leaves to other executors'],
  ] as const) {
    const out = await convert(await writeGguf(dir, SPEC, quantizedTensors(SPEC, [type])), join(dir, type));
    const { manifest, lacksOnCuda } = await openEngine(out);
    assert.deepEqual(manifest?.executors, lacks === undefined ? ['cpu', 'cuda'] : ['cpu']);
    assert.equal(lacksOnCuda, lacks);
  }
});

test('a dtype that is asked for dequantizes, q and k rows in the order of the engine', async (t) => {
  const dir = await temporaryDirectory(t);
  const tensors = quantizedTensors(SPEC, ['Q5_K', 'Q6_K']);
  const out = await convert(await writeGguf(dir, SPEC, tensors), join(dir, 'out'), { dtype: 'float32' });
  assert.deepEqual((await openEngine(out)).manifest?.executors, ['cpu', 'cuda']);
  const stored = await readStored(out);
  const decoded = (part: string): Buffer => {
    const { type, data } =
      tensors.find(({ name }) => name === `model.layers.1.self_attn.${part}_proj.weight`) ?? assert.fail();
    const name = nameOfType(type);
    assert.ok(isBlockType(name));
    return Buffer.from(new Uint8Array(decodeBlocks(data, name).buffer));
  };
  const qkv = stored.get('transformer.layers.1.attention.qkv.weight');
  assert.ok(qkv?.bytes.equals(Buffer.concat(['q', 'k', 'v'].map(decoded))));
});

test('a GGUF without blocks becomes bfloat16 if it holds some, else float16, as other sources do', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const [types, expected] of [
    [['BF16'], 'bfloat16'],
    [['F16', 'F32'], 'float16'],
  ] as const) {
    const out = await convert(await writeGguf(dir, SPEC, quantizedTensors(SPEC, types)), join(dir, 'out'));
    const { dtype, quantization } = (await readEngineConfig(out)).pretrained_config;
    assert.deepEqual([dtype, quantization.quant_algo], [expected, null]);
    assert.ok((await readStored(out)).has('transformer.layers.0.attention.qkv.weight'));
  }
});

/** Changes the header of an engine's weights, in place: what is put in has as many letters as what it replaces. */
async function edited(engine: string, from: string, to: string): Promise<string> {
  assert.equal(from.length, to.length);
  const file = join(engine, 'rank0.safetensors');
  const text = (await readFile(file)).toString('latin1');
  assert.ok(text.includes(from), from);
  await writeFile(file, Buffer.from(text.replace(from, to), 'latin1'));
  return engine;
}

test('an engine whose notes are missing, wrong or of another type is refused as a source by the name of the tensor', async (t) => {
  const dir = await temporaryDirectory(t);
  const gguf = await writeGguf(dir, SPEC, quantizedTensors(SPEC, ['Q4_K']));
  const engine = (): Promise<string> => convert(gguf, join(dir, 'engine'));
  const name = 'transformer.layers.0.mlp.fc.weight';
  for (const [from, to, ...words] of [
    [`"${name}":"Q4_K"`, `"${name}":"Q9_K"`, `${name} is Q9_K, by __metadata__; expected Q4_0`],
    [`"${name}":"Q4_K"`, `"${name.replace('fc', 'xx')}":"Q4_K"`, `${name} is U8 without a type in __metadata__`],
    [`"${name}":"Q4_K"`, `"${name}":"Q6_K"`, `${name} has the shape [512, 144]; expected rows of whole blocks of 210`],
    [
      `"${name}":{"dtype":"U8","shape":[512,144]`,
      `"${name}":{"dtype":"U8","shape":[256,288]`,
      `${name} has the shape [256, 512]; expected [512, 256]`,
    ],
  ] as const) {
    const changed = await edited(await engine(), from, to);
    await assert.rejects(convert(changed, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', ...words));
  }
});

test('a vector in blocks is refused by name', async (t) => {
  const dir = await temporaryDirectory(t);
  const tensors = quantizedTensors(SPEC, ['Q8_0']).map((tensor) =>
    tensor.name === 'model.norm.weight' ? { ...tensor, ...noiseOf('Q8_0', 256, 1) } : tensor,
  );
  await assert.rejects(
    convert(await writeGguf(dir, SPEC, tensors), join(dir, 'out')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'output_norm.weight is a vector in Q8_0'),
  );
});
