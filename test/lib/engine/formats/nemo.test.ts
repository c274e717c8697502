import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, copyFile, mkdir, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ErrorCode } from '#lib/base/errors.js';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { openCheckpoint } from '#lib/engine/formats/open-checkpoint.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, TINY_SPECIAL_TOKENS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { packNemo, type TinyNemoOptions, writeTinyNemo } from '../../../tools/tiny-nemo.js';
import { editJson, temporaryDirectory } from '../helpers.js';
import { base256, tarHeader } from './tar-bytes.js';

const VOCAB = 256 + TINY_SPECIAL_TOKENS.length;
const text = (spec: TinyLlamaSpec): TinyLlamaSpec => ({
  ...spec,
  vocabSize: VOCAB,
  dtype: 'bfloat16',
  tokenizer: 'bytes',
});
const SPEC = text(TINY_LLAMAS.gqa);
/** The only one that NeMo knows. */
const LLAMA3_ROPE = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const TEXTS = ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'];

/** The Hugging Face directory `hf` and the NeMo directory `nemo` of one model, the tokenizer in both. */
async function writeBoth(t: TestContext, spec: TinyLlamaSpec = SPEC, options: TinyNemoOptions = {}): Promise<string> {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), spec);
  await writeTinyNemo(join(dir, 'nemo'), spec, options);
  for (const name of TEXTS) await copyFile(join(dir, 'hf', name), join(dir, 'nemo', name));
  return dir;
}

const MODELS: Record<string, TinyLlamaSpec> = {
  'grouped queries, tied': SPEC,
  'no groups, untied': text({ ...TINY_LLAMAS.mha, tied: false }),
  'one group, three layers': text(TINY_LLAMAS.mqa),
  'llama3 RoPE, untied': text({ ...TINY_LLAMAS['llama3-rope'], ropeScaling: LLAMA3_ROPE, maxPositions: 131_072 }),
  'linear RoPE': text(TINY_LLAMAS['linear-rope']),
  'heads that do not fill the hidden size': text({ ...TINY_LLAMAS['odd-head-dim'], headDim: 20 }),
};

for (const [name, spec] of Object.entries(MODELS)) {
  test(`NeMo's and Hugging Face's files of one model become the same engine: ${name}`, async (t) => {
    const dir = await writeBoth(t, spec);
    await packNemo(join(dir, 'nemo'), join(dir, 'packed'));
    const engines = ['hf', 'nemo', 'packed'].map((source) => convert(join(dir, source), join(dir, `${source}-engine`)));
    const [hf, nemo, packed] = (await Promise.all(engines)) as [string, string, string];
    for (const file of ['rank0.safetensors', 'config.json', ...TEXTS]) {
      const expected = await readFile(join(hf, file));
      assert.ok(expected.equals(await readFile(join(nemo, file))), `${file} of the directory`);
      assert.ok(expected.equals(await readFile(join(packed, file))), `${file} of the archive`);
    }
    assert.deepEqual((await openEngine(packed)).manifest?.source, { kind: 'nemo', name: 'packed' });
  });
}

for (const [name, options] of Object.entries<TinyNemoOptions>({
  'four shards': { savedBy: 4, vocabMultiple: 32 },
  'one shard': { savedBy: 1 },
  'chunks that divide nothing': { chunk: [37, 23] },
  'rows chunked but not columns': { chunk: [5, 1 << 20] },
  'nested chunk files': { separator: '/' },
  'the prefix of megatron_amp_O2': { prefix: 'model.module.' },
  'float32 of mixed precision': { stored: 'float32', config: { precision: 'bf16-mixed' } },
  'a vocabulary of a given size': { savedBy: 1, vocabMultiple: 1, config: { override_vocab_size: VOCAB } },
})) {
  test(`how NeMo stored the weights does not matter: ${name}`, async (t) => {
    const dir = await writeBoth(t, SPEC, options);
    const weights = async (source: string): Promise<Buffer> =>
      readFile(join(await convert(join(dir, source), join(dir, `${source}-engine`)), 'rank0.safetensors'));
    assert.ok((await weights('hf')).equals(await weights('nemo')));
  });
}

test('a tokenizer comes from the archive, by its hashed name too, or from the directory that the option names', async (t) => {
  const dir = await writeBoth(t);
  const nemo = join(dir, 'nemo');
  const expected = await readFile(join(nemo, 'tokenizer.json'));
  const hash = '0123456789abcdef0123456789abcdef';
  await writeFile(join(nemo, `${hash}_tokenizer.json`), expected);
  for (const name of TEXTS) await rm(join(nemo, name));
  const hashed = await convert(nemo, join(dir, 'hashed'));
  assert.ok(expected.equals(await readFile(join(hashed, 'tokenizer.json'))));

  await rm(join(nemo, `${hash}_tokenizer.json`));
  await assert.rejects(
    convert(nemo, join(dir, 'out')),
    failsWith('ERR_TOKENIZER_MISSING', nemo, 'some/model', '--tokenizer DIR'),
  );
  const given = await convert(nemo, join(dir, 'given'), { tokenizer: join(dir, 'hf') });
  const { endIds } = await openEngine(given);
  assert.deepEqual(endIds, [258, 256]);
});

test('a tokenizer of another size than the vocabulary that NeMo padded is refused', async (t) => {
  const dir = await writeBoth(t, SPEC, { savedBy: 1, vocabMultiple: 8 });
  for (const [added, tokens] of [
    [[], '256 tokens'],
    [[{ id: 300, content: 'x' }], '301 tokens'],
  ] as const) {
    await editJson(join(dir, 'nemo', 'tokenizer.json'), { added_tokens: added });
    await assert.rejects(
      convert(join(dir, 'nemo'), join(dir, 'out')),
      failsWith('ERR_TOKENIZER_INVALID', tokens, '264 rows'),
    );
  }
});

/** A change to model_config.yaml, the code, and what the message must name. */
const REFUSED: [Record<string, unknown>, ErrorCode, string][] = [
  [{ activation: 'gelu' }, 'ERR_MODEL_UNSUPPORTED', 'activation is "gelu"'],
  [{ activation: undefined }, 'ERR_MODEL_UNSUPPORTED', 'activation'],
  [{ normalization: 'layernorm1p' }, 'ERR_MODEL_UNSUPPORTED', 'normalization is "layernorm1p"'],
  [{ layernorm_zero_centered_gamma: true }, 'ERR_MODEL_UNSUPPORTED', 'layernorm_zero_centered_gamma'],
  [{ bias: true }, 'ERR_MODEL_UNSUPPORTED', 'bias'],
  [{ bias: undefined }, 'ERR_MODEL_UNSUPPORTED', 'bias'],
  [{ qkv_bias: true }, 'ERR_MODEL_UNSUPPORTED', 'qkv_bias'],
  [{ mcore_gpt: false }, 'ERR_MODEL_UNSUPPORTED', 'mcore_gpt'],
  [{ position_embedding_type: 'learned_absolute' }, 'ERR_MODEL_UNSUPPORTED', 'position_embedding_type'],
  [{ rotary_percentage: 0.5 }, 'ERR_MODEL_UNSUPPORTED', 'rotary_percentage is 0.5'],
  [{ rotary_interleaved: true }, 'ERR_MODEL_UNSUPPORTED', 'rotary_interleaved'],
  [{ window_size: '\n- 4096\n- 0' }, 'ERR_MODEL_UNSUPPORTED', 'window_size'],
  [{ num_moe_experts: 8 }, 'ERR_MODEL_UNSUPPORTED', 'num_moe_experts is 8'],
  [{ qk_layernorm: 'true' }, 'ERR_MODEL_UNSUPPORTED', 'qk_layernorm'],
  [{ apply_embedding_scaling: true }, 'ERR_MODEL_UNSUPPORTED', 'apply_embedding_scaling'],
  [{ final_logit_softcapping: 30.0 }, 'ERR_MODEL_UNSUPPORTED', 'final_logit_softcapping is 30'],
  [{ mcore_customization_config: '\n  softmax_scale: 2' }, 'ERR_MODEL_UNSUPPORTED', 'mcore_customization_config'],
  [{ transformer_block_type: 'post_ln' }, 'ERR_MODEL_UNSUPPORTED', 'transformer_block_type'],
  [{ normalize_attention_scores: false }, 'ERR_MODEL_UNSUPPORTED', 'normalize_attention_scores'],
  [
    { scale_positional_embedding: true, seq_len_interpolation_factor: 4 },
    'ERR_MODEL_UNSUPPORTED',
    'seq_len_interpolation_factor is 4',
  ],
  [{ num_layers: 3 }, 'ERR_SOURCE_INVALID', 'expected [3, '],
  [{ num_layers: '.nan' }, 'ERR_SOURCE_INVALID', 'num_layers is ".nan"'],
  [{ num_layers: 2_000_000_000 }, 'ERR_SOURCE_INVALID', 'num_layers'],
  [{ hidden_size: undefined }, 'ERR_SOURCE_INVALID', 'hidden_size is missing'],
  [{ hidden_size: 1e300 }, 'ERR_SOURCE_INVALID', 'hidden_size'],
  [{ ffn_hidden_size: '"172"' }, 'ERR_SOURCE_INVALID', 'ffn_hidden_size is "172"'],
  [{ ffn_hidden_size: 171 }, 'ERR_SOURCE_INVALID', 'mlp.linear_fc'],
  [{ num_query_groups: 3 }, 'ERR_SOURCE_INVALID', 'num_query_groups is 3'],
  [{ num_query_groups: 4 }, 'ERR_SOURCE_INVALID', 'linear_qkv'],
  [{ override_vocab_size: 300 }, 'ERR_SOURCE_INVALID', 'override_vocab_size is 300'],
  [{ encoder_seq_length: '*anchor' }, 'ERR_SOURCE_INVALID', 'model_config.yaml:4'],
];

for (const [change, code, named] of REFUSED) {
  test(`model_config.yaml with ${Object.entries(change).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)} is refused by name`, async (t) => {
    const dir = await writeBoth(t, SPEC, { config: change });
    await assert.rejects(convert(join(dir, 'nemo'), join(dir, 'out')), failsWith(code, join(dir, 'nemo'), named));
    assert.deepEqual((await readdir(dir)).sort(), ['hf', 'nemo']);
  });
}

test('keys that say what a Llama is anyway do not stop a load', async (t) => {
  const config = {
    num_moe_experts: null,
    mcore_customization_config: '{}',
    qk_layernorm: false,
    normalization: 'RMSNorm',
    activation: 'swiglu',
    fp8: true,
    hyena: null,
    window_size: '~ # none',
  };
  const dir = await writeBoth(t, SPEC, { config });
  await convert(join(dir, 'nemo'), join(dir, 'out'));
});

const QKV = 'model.decoder.layers.self_attention.linear_qkv.weight';
/** What is done to `model_weights`, and what the message must name. */
const DAMAGED: Record<string, [(weights: string) => Promise<unknown>, ErrorCode, string]> = {
  'a missing chunk': [(weights) => rm(join(weights, QKV, '1.1.0')), 'ERR_SOURCE_INVALID', '1.1.0 is missing'],
  'a short chunk': [(weights) => truncate(join(weights, QKV, '0.1.0'), 10), 'ERR_SOURCE_INVALID', '0.1.0 has 10 bytes'],
  'a long chunk': [(weights) => appendFile(join(weights, QKV, '0.1.0'), 'xx'), 'ERR_SOURCE_INVALID', '0.1.0'],
  'a missing tensor': [
    (weights) => rm(join(weights, QKV), { recursive: true }),
    'ERR_SOURCE_INVALID',
    'decoder.layers.self_attention.linear_qkv.weight',
  ],
  'no embedding': [
    (weights) => rm(join(weights, 'model.embedding.word_embeddings.weight'), { recursive: true }),
    'ERR_SOURCE_INVALID',
    'embedding.word_embeddings.weight',
  ],
  'a wrong shape': [
    (weights) => editJson(join(weights, QKV, '.zarray'), { shape: [2, 96, 64] }),
    'ERR_SOURCE_INVALID',
    `${QKV} has the shape [2, 96, 64]; expected [2, 128, 64]`,
  ],
  'shards of torch_dist': [
    (weights) => writeFile(join(weights, '__0_0.distcp'), ''),
    'ERR_MODEL_UNSUPPORTED',
    'convert_llama_nemo_to_hf.py',
  ],
  'a metadata file that is no JSON': [
    (weights) => writeFile(join(weights, QKV, '.zarray'), '{"shape": [nan]}'),
    'ERR_SOURCE_INVALID',
    '.zarray is not valid JSON',
  ],
  'a huge metadata file': [
    (weights) => truncate(join(weights, QKV, '.zarray'), 2 ** 40),
    'ERR_SOURCE_INVALID',
    '1099511627776',
  ],
};
const edit = (changes: Record<string, unknown>) => (weights: string) =>
  editJson(join(weights, QKV, '.zarray'), changes);
for (const [changes, code, named] of [
  [{ zarr_format: 3 }, 'ERR_MODEL_UNSUPPORTED', 'zarr_format is 3'],
  [{ order: 'F' }, 'ERR_MODEL_UNSUPPORTED', 'order is "F"'],
  [{ compressor: { id: 'blosc' } }, 'ERR_MODEL_UNSUPPORTED', 'compressor'],
  [{ filters: [{ id: 'delta' }] }, 'ERR_MODEL_UNSUPPORTED', 'filters'],
  [{ dtype: '|u1' }, 'ERR_MODEL_UNSUPPORTED', 'dtype is "|u1"'],
  [{ dtype: '<V2' }, 'ERR_MODEL_UNSUPPORTED', 'dtype is "<V2"'],
  [{ dtype: '<f4' }, 'ERR_SOURCE_INVALID', 'bytes; expected'],
  [{ dimension_separator: ':' }, 'ERR_MODEL_UNSUPPORTED', 'dimension_separator'],
  [{ shape: [2, 128] }, 'ERR_SOURCE_INVALID', 'chunks'],
  [{ shape: [1e10, 1e10, 1e10] }, 'ERR_SOURCE_INVALID', 'is missing'],
  [{ chunks: [1, 1e300, 64] }, 'ERR_SOURCE_INVALID', 'chunks'],
  [{ chunks: [1, 0, 64] }, 'ERR_SOURCE_INVALID', 'chunks'],
  [{ chunks: [1, -64, 64] }, 'ERR_SOURCE_INVALID', 'chunks'],
  [{ shape: 'x' }, 'ERR_SOURCE_INVALID', 'shape'],
] satisfies [Record<string, unknown>, ErrorCode, string][]) {
  DAMAGED[`.zarray with ${JSON.stringify(changes)}`] = [edit(changes), code, named];
}

for (const [what, [damage, code, named]] of Object.entries(DAMAGED)) {
  test(`a NeMo checkpoint with ${what} is refused by name, and nothing is left behind`, async (t) => {
    const dir = await writeBoth(t);
    await damage(join(dir, 'nemo', 'model_weights'));
    await assert.rejects(convert(join(dir, 'nemo'), join(dir, 'out')), failsWith(code, join(dir, 'nemo'), named));
    assert.ok(!existsSync(join(dir, 'out')));
    assert.deepEqual((await readdir(dir)).sort(), ['hf', 'nemo']);
  });
}

test('a truncated .nemo, a compressed one and one without a config are refused with what to do', async (t) => {
  const dir = await writeBoth(t);
  const file = join(dir, 'x.nemo');
  await packNemo(join(dir, 'nemo'), file);
  const bytes = await readFile(file);
  await truncate(file, bytes.length - 2048);
  await assert.rejects(convert(file, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', file));
  await writeFile(file, Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), bytes]));
  await assert.rejects(convert(file, join(dir, 'out')), failsWith('ERR_MODEL_UNSUPPORTED', file, 'tar -xzf'));
  await mkdir(join(dir, 'other'));
  await writeFile(join(dir, 'other', 'a.txt'), '');
  await packNemo(join(dir, 'other'), file);
  await assert.rejects(
    convert(file, join(dir, 'out')),
    failsWith('ERR_SOURCE_NOT_FOUND', 'a.txt', 'model_config.yaml'),
  );
  await rm(join(dir, 'nemo', 'model_weights'), { recursive: true });
  await packNemo(join(dir, 'nemo'), file);
  await assert.rejects(convert(file, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', 'no model_weights'));
  await writeFile(join(dir, 'nemo', 'model_weights.ckpt'), '');
  await packNemo(join(dir, 'nemo'), file);
  await assert.rejects(
    convert(file, join(dir, 'out')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'model_weights.ckpt', 'pickles'),
  );
});

test('a tensor that a Llama does not have is refused by its name', async (t) => {
  const dir = await writeBoth(t);
  const weights = join(dir, 'nemo', 'model_weights');
  const [from, to] = ['model.decoder.final_layernorm.weight', 'model.decoder.final_layernorm.bias'];
  await mkdir(join(weights, to));
  for (const name of ['.zarray', '0']) await copyFile(join(weights, from, name), join(weights, to, name));
  await assert.rejects(
    convert(join(dir, 'nemo'), join(dir, 'out')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'decoder.final_layernorm.bias'),
  );
});

test('a 70B archive, one member of it 75 GB long, opens and is read in place, some rows at a time', async (t) => {
  const file = join(await temporaryDirectory(t), 'x.nemo');
  const [layers, hidden, ffn, heads, groups, vocab] = [80, 8192, 28672, 64, 8, 128256];
  const qkvRows = (heads + 2 * groups) * 128;
  const shapes: Record<string, [shape: number[], chunks: number[]]> = {
    'embedding.word_embeddings.weight': [
      [vocab, hidden],
      [vocab / 2, hidden],
    ],
    'output_layer.weight': [
      [vocab, hidden],
      [vocab / 2, hidden],
    ],
    'decoder.final_layernorm.weight': [[hidden], [hidden]],
    'decoder.layers.self_attention.linear_qkv.layer_norm_weight': [
      [layers, hidden],
      [1, hidden],
    ],
    'decoder.layers.self_attention.linear_qkv.weight': [
      [layers, qkvRows, hidden],
      [1, qkvRows / 2, hidden],
    ],
    'decoder.layers.self_attention.linear_proj.weight': [
      [layers, hidden, hidden],
      [1, hidden, hidden / 2],
    ],
    'decoder.layers.mlp.linear_fc1.layer_norm_weight': [
      [layers, hidden],
      [1, hidden],
    ],
    'decoder.layers.mlp.linear_fc1.weight': [
      [layers, 2 * ffn, hidden],
      [layers, 2 * ffn, hidden],
    ],
    'decoder.layers.mlp.linear_fc2.weight': [
      [layers, hidden, ffn],
      [1, hidden, ffn / 2],
    ],
  };
  const handle = await open(file, 'w');
  let end = 0;
  const append = async (name: string, size: number, data?: string): Promise<number> => {
    const position = end + 512;
    await handle.write(tarHeader({ name, size: base256(BigInt(size)) }), 0, 512, end);
    if (data !== undefined) await handle.write(data, position);
    end = position + Math.ceil(size / 512) * 512;
    return position;
  };
  const appendText = (name: string, data: string) => append(name, data.length, data);
  const config = {
    ...{
      mcore_gpt: true,
      bias: false,
      normalization: 'rmsnorm',
      activation: 'fast-swiglu',
      position_embedding_type: 'rope',
    },
    ...{
      num_layers: layers,
      hidden_size: hidden,
      ffn_hidden_size: ffn,
      num_attention_heads: heads,
      num_query_groups: groups,
    },
    ...{
      max_position_embeddings: 131072,
      share_embeddings_and_output_weights: false,
      scale_positional_embedding: true,
    },
  };
  await appendText(
    './model_config.yaml',
    Object.entries(config)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(''),
  );
  await appendText('./tokenizer.json', JSON.stringify({ model: { vocab: {} }, added_tokens: [{ id: vocab - 1 }] }));
  const places = new Map<string, number>();
  for (const [key, [shape, chunks]] of Object.entries(shapes)) {
    const metadata = {
      shape,
      chunks,
      dtype: 'bfloat16',
      order: 'C',
      zarr_format: 2,
      compressor: null,
      fill_value: null,
    };
    await appendText(`./model_weights/model.${key}/.zarray`, JSON.stringify(metadata));
    const [first, second = 1, third = 1] = shape.map((size, axis) => size / (chunks[axis] as number));
    const size = chunks.reduce((product, count) => product * count, 2);
    for (let chunk = 0; chunk < (first as number) * second * third; chunk++) {
      const indices = [Math.floor(chunk / third / second), Math.floor(chunk / third) % second, chunk % third];
      const name = `${key}/${indices.slice(0, shape.length).join('.')}`;
      places.set(name, await append(`./model_weights/model.${name}`, size));
    }
  }
  const mark = async (name: string, row: number, columns: number, column: number): Promise<void> => {
    await handle.write(Buffer.from([0x80, 0x3f]), 0, 2, (places.get(name) as number) + (row * columns + column) * 2); // 1.0
  };
  await mark('decoder.layers.mlp.linear_fc1.weight/0.0.0', 79 * 2 * ffn + ffn + 28_000, hidden, 8191);
  await mark('decoder.layers.mlp.linear_fc2.weight/79.0.1', 8191, ffn / 2, 0);
  await mark('decoder.layers.self_attention.linear_qkv.weight/79.1.0', qkvRows / 2 - 128, hidden, 5); // the last head of v
  await handle.write(Buffer.alloc(1024), 0, 1024, end);
  await handle.close();

  const source = await openCheckpoint(file);
  const found = async (name: string, first: number, count: number): Promise<number[]> => {
    const bytes = await source.tensors.get(`model.layers.79.${name}.weight`)?.readRows(first, count, 'bfloat16');
    assert.ok(bytes);
    return [bytes.length, bytes.indexOf(0x80)];
  };
  const rows = 512; // 4 million values, as the converter reads
  assert.deepEqual(await found('mlp.up_proj', 27_900, rows), [rows * hidden * 2, (100 * hidden + 8191) * 2]);
  assert.deepEqual(await found('mlp.gate_proj', 27_900, rows), [rows * hidden * 2, -1]);
  assert.deepEqual(await found('self_attn.v_proj', 512, rows), [rows * hidden * 2, (384 * hidden + 5) * 2]);
  for (let first = 0; first < hidden; first += 256) {
    const expected = first + 256 === hidden ? (255 * ffn + ffn / 2) * 2 : -1;
    assert.deepEqual(await found('mlp.down_proj', first, 256), [256 * ffn * 2, expected]);
    assert.ok(process.memoryUsage().arrayBuffers < 400e6, 'a tensor has 470 MB, all of which were read');
  }
  await source.close();
});
