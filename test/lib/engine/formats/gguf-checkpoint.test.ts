import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { toHalfSplitRows } from '#lib/engine/formats/gguf-checkpoint.js';
import { toBfloat16, toFloat16 } from '#lib/engine/formats/numeric.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { readEngineConfig, temporaryDirectory } from '../helpers.js';
import { type GgufInput, type GgufTensorInput, ggufBytes } from './gguf-bytes.js';
import { architectureOf, ggufMetadata, ggufTensors } from './tiny-gguf.js';

const SPEC: TinyLlamaSpec = { ...TINY_LLAMAS.untied, ropeTheta: 100_000 };

test('the rows of a head of 6 go from 0 3 1 4 2 5 back to 0 1 2 3 4 5, head by head', () => {
  const stored = [0, 3, 1, 4, 2, 5];
  const rowsOf = (numbers: number[]): number[] => numbers.flatMap((row) => [row + 1, 100 + row]); // of two bytes
  const twoHeads = Uint8Array.from(rowsOf([...stored, ...stored.map((row) => row + 6)]));
  assert.deepEqual([...toHalfSplitRows(twoHeads, 2, 6)], rowsOf(Array.from({ length: 12 }, (_, row) => row)));
});

test('a GGUF file gives the same engine as the Hugging Face directory of the same model', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const [name, spec] of Object.entries({
    untied: SPEC,
    tied: { ...SPEC, tied: true },
    odd: TINY_LLAMAS['odd-head-dim'],
    biases: TINY_LLAMAS.biases,
    qwen2: TINY_LLAMAS.qwen2,
    qwen3: TINY_LLAMAS.qwen3,
    smollm3: TINY_LLAMAS.smollm3,
    phi3: TINY_LLAMAS.phi3,
    'smollm3 with biases': { ...TINY_LLAMAS.smollm3, fields: { attention_bias: true, mlp_bias: true } },
  })) {
    await writeTinyLlama(join(dir, `${name}-hf`), spec);
    const metadata = {
      ...ggufMetadata(spec),
      [`${architectureOf(spec)}.attention.key_length`]: { u32: spec.headDim },
      [`${architectureOf(spec)}.attention.value_length`]: { u32: spec.headDim },
      ...(spec.modelType === 'phi3' && { 'phi3.attention.sliding_window': { u32: 47 } }),
    };
    await writeFile(join(dir, `${name}.gguf`), ggufBytes(metadata, ggufTensors(spec)));
    const fromHuggingFace = await openEngine(
      await convert(join(dir, `${name}-hf`), join(dir, `${name}-1`), { dtype: 'float32' }),
    );
    const fromGguf = await openEngine(
      await convert(join(dir, `${name}.gguf`), join(dir, `${name}-2`), { dtype: 'float32' }),
    );
    assert.deepEqual(await readEngineConfig(fromGguf.path), await readEngineConfig(fromHuggingFace.path));
    const weights = await Promise.all([fromGguf, fromHuggingFace].map((engine) => readFile(engine.rankFiles[0] ?? '')));
    assert.ok(weights[0]?.equals(weights[1] ?? Buffer.alloc(0)), name);
  }
});

test('a GGUF model becomes float16 by itself, and its manifest says what it came from', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeFile(join(dir, 'tiny.gguf'), ggufBytes(ggufMetadata(SPEC), ggufTensors(SPEC)));
  const out = await convert(join(dir, 'tiny.gguf'), join(dir, 'out'));
  const { manifest, tokenizerPath } = await openEngine(out);
  assert.equal((await readEngineConfig(out)).pretrained_config.dtype, 'float16');
  assert.deepEqual(manifest?.source, { kind: 'gguf', name: 'tiny.gguf' });
  assert.equal(tokenizerPath, undefined);
});

test('linear RoPE scaling is read', async (t) => {
  const dir = await temporaryDirectory(t);
  const metadata = { ...ggufMetadata(SPEC), 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 };
  await writeFile(join(dir, 'linear.gguf'), ggufBytes(metadata, ggufTensors(SPEC)));
  const config = await readEngineConfig(await convert(join(dir, 'linear.gguf'), join(dir, 'out')));
  assert.deepEqual(config.pretrained_config.rotary_scaling, { rope_type: 'linear', factor: 4 });
});

test('yarn RoPE scaling is read, its own limits too', async (t) => {
  const dir = await temporaryDirectory(t);
  const scaling = (fields: Record<string, GgufInput>) => async () => {
    const metadata = {
      ...ggufMetadata(SPEC),
      'llama.rope.scaling.type': 'yarn',
      'llama.rope.scaling.factor': 4,
      ...fields,
    };
    await writeFile(join(dir, 'yarn.gguf'), ggufBytes(metadata, ggufTensors(SPEC)));
    return (await readEngineConfig(await convert(join(dir, 'yarn.gguf'), join(dir, 'out')))).pretrained_config
      .rotary_scaling;
  };
  assert.deepEqual(await scaling({ 'llama.rope.scaling.original_context_length': { u32: 2048 } })(), {
    rope_type: 'yarn',
    factor: 4,
    original_max_position_embeddings: 2048,
  });
  assert.deepEqual(await scaling({ 'llama.rope.scaling.yarn_beta_fast': 16 })(), {
    rope_type: 'yarn',
    factor: 4,
    original_max_position_embeddings: SPEC.maxPositions,
    beta_fast: 16,
  });
});

/** What llama.cpp writes of Llama 3.1's scaling: by what the frequency of each pair is divided. */
function ropeFactors({ headDim, ropeTheta }: TinyLlamaSpec, factor: number, type = 0): GgufTensorInput {
  const factors = Float32Array.from({ length: headDim / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * ropeTheta ** ((2 * pair) / headDim);
    if (wavelength < 8192 / 4) return 1;
    if (wavelength > 8192) return factor;
    const smooth = (8192 / wavelength - 1) / (4 - 1);
    return 1 / ((1 - smooth) / factor + smooth);
  });
  const encoded = { 0: factors, 1: toFloat16(factors), 30: toBfloat16(factors) }[type] ?? assert.fail();
  return { name: 'rope_freqs.weight', shape: [factors.length], type, data: new Uint8Array(encoded.buffer) };
}

test('the RoPE scaling of Llama 3.1 to 3.3 is known by its factors', async (t) => {
  const dir = await temporaryDirectory(t);
  const spec = { ...SPEC, ropeTheta: 20_000 }; // with a pair in each band
  for (const [factor, type] of [
    [8, 0],
    [32, 0],
    [8, 1],
    [32, 30],
  ] as const) {
    const tensors = [...ggufTensors(spec), ropeFactors(spec, factor, type)];
    await writeFile(join(dir, 'llama3.gguf'), ggufBytes(ggufMetadata(spec), tensors));
    const config = await readEngineConfig(await convert(join(dir, 'llama3.gguf'), join(dir, 'out')));
    assert.deepEqual(config.pretrained_config.rotary_scaling, {
      rope_type: 'llama3',
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
  }
});

test('factors of 1 scale nothing, those of another scaling are refused', async (t) => {
  const dir = await temporaryDirectory(t);
  const convertWith = async (factors: number[]) => {
    const data = new Uint8Array(Float32Array.from(factors).buffer);
    const tensors = [...ggufTensors(SPEC), { name: 'rope_freqs.weight', shape: [factors.length], type: 0, data }];
    await writeFile(join(dir, 'factors.gguf'), ggufBytes(ggufMetadata(SPEC), tensors));
    return (await readEngineConfig(await convert(join(dir, 'factors.gguf'), join(dir, 'out')))).pretrained_config;
  };
  const ones = Array.from({ length: SPEC.headDim / 2 }, () => 1);
  assert.equal((await convertWith(ones)).rotary_scaling, null);
  for (const factors of [ones.with(0, 8), ones.with(1, Number.NaN), ones.with(2, 0), ones.map(() => -1)]) {
    await assert.rejects(convertWith(factors), failsWith('ERR_MODEL_UNSUPPORTED', 'rope_freqs.weight goes up to'));
  }
});

/** A change to the metadata, or a tensor more, and what the message must name. */
const REFUSED: [
  Record<string, GgufInput>,
  GgufTensorInput[],
  'ERR_MODEL_UNSUPPORTED' | 'ERR_SOURCE_INVALID',
  string,
][] = [
  [{ 'general.architecture': 'gemma2' }, [], 'ERR_MODEL_UNSUPPORTED', 'general.architecture is "gemma2"'],
  [{ 'llama.expert_count': { u32: 8 } }, [], 'ERR_MODEL_UNSUPPORTED', 'llama.expert_count is 8'],
  [{ 'llama.attn_logit_softcapping': 50 }, [], 'ERR_MODEL_UNSUPPORTED', 'llama.attn_logit_softcapping'],
  [{ 'llama.attention.sliding_window': { u32: 512 } }, [], 'ERR_MODEL_UNSUPPORTED', 'llama.attention.sliding_window'],
  [{ 'llama.rope.scaling.type': 'longrope' }, [], 'ERR_MODEL_UNSUPPORTED', 'llama.rope.scaling.type is "longrope"'],
  [{ 'llama.rope.dimension_count': { u32: 4 } }, [], 'ERR_MODEL_UNSUPPORTED', 'llama.rope.dimension_count'],
  [{ 'llama.attention.head_count': Int32Array.of(4, 4) }, [], 'ERR_SOURCE_INVALID', 'llama.attention.head_count'],
  [{ 'llama.attention.head_count_kv': { u32: 3 } }, [], 'ERR_SOURCE_INVALID', 'num_key_value_heads'],
  [{ 'llama.block_count': { u32: 2 ** 31 - 1 } }, [], 'ERR_SOURCE_INVALID', 'llama.block_count'],
  [{ 'llama.embedding_length': 'wide' }, [], 'ERR_SOURCE_INVALID', 'llama.embedding_length is "wide"'],
  [{ 'llama.feed_forward_length': { u32: 7 } }, [], 'ERR_SOURCE_INVALID', 'mlp.gate_proj'],
  [{ 'llama.attention.layer_norm_rms_epsilon': 0 }, [], 'ERR_SOURCE_INVALID', 'layer_norm_rms_epsilon'],
  [
    {},
    [{ name: 'rope_freqs.weight', shape: [8], type: 0, data: new Uint8Array(32) }],
    'ERR_MODEL_UNSUPPORTED',
    'rope_freqs.weight',
  ],
  [
    {},
    [{ name: 'blk.0.ffn_gate_inp.weight', shape: [8], type: 0, data: new Uint8Array(32) }],
    'ERR_MODEL_UNSUPPORTED',
    'blk.0.ffn_gate_inp.weight',
  ],
];

for (const [change, extra, code, named] of REFUSED) {
  test(`a GGUF model with ${extra[0]?.name ?? Object.keys(change)} that cannot be run is refused by name`, async (t) => {
    const dir = await temporaryDirectory(t);
    const path = join(dir, 'other.gguf');
    await writeFile(path, ggufBytes({ ...ggufMetadata(SPEC), ...change }, [...ggufTensors(SPEC), ...extra]));
    await assert.rejects(convert(path, join(dir, 'out')), failsWith(code, path, named));
  });
}
