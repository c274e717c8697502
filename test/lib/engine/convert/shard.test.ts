import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConvertOptions, convert } from '#lib/engine/convert/convert.js';
import { decodeValues } from '#lib/engine/formats/numeric.js';
import { dtypeOfName, SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { readExactly } from '#lib/engine/formats/source.js';
import { failsAbout } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { readEngineConfig, readJson, temporaryDirectory } from '../helpers.js';

interface Values {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

async function readRank(dir: string, rank: number): Promise<Map<string, Values>> {
  const file = await SafetensorsFile.open(join(dir, `rank${rank}.safetensors`));
  try {
    const tensors = new Map<string, Values>();
    for (const [name, { dtype, shape, position, bytes }] of file.entries) {
      const type = dtypeOfName(dtype);
      assert(type);
      const raw = await readExactly(file.handle, file.path, position, bytes);
      tensors.set(name, { shape, values: decodeValues(raw, type) });
    }
    return tensors;
  } finally {
    await file.close();
  }
}

/** A model converted whole, and split: the tensors of each rank. */
async function convertBoth(t: TestContext, spec: TinyLlamaSpec, options: ConvertOptions) {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'source'), spec);
  const whole = await convert(join(dir, 'source'), join(dir, 'whole'));
  const split = await convert(join(dir, 'source'), join(dir, 'split'), options);
  const names = (await readdir(split)).filter((name) => name.startsWith('rank'));
  const ranks = await Promise.all(names.map((_, rank) => readRank(split, rank)));
  return { dir: split, whole: await readRank(whole, 0), ranks };
}

const rows = ({ shape, values }: Values, first: number, count: number): number[] => {
  const columns = shape[1] ?? 1;
  return [...values.subarray(first * columns, (first + count) * columns)];
};

const columns = ({ shape, values }: Values, first: number, count: number): number[] => {
  const width = shape[1] ?? 1;
  return [...values].filter((_, i) => i % width >= first && i % width < first + count);
};

const of = (tensors: Map<string, Values> | undefined, name: string): Values => {
  const found = tensors?.get(name);
  assert(found, name);
  return found;
};

test('two ranks have half of the heads, of the intermediate size and of the vocabulary each', async (t) => {
  const spec = { ...TINY_LLAMAS.biases, vocabSize: 161 };
  const { dir, whole, ranks } = await convertBoth(t, spec, { tpSize: 2 });
  assert.equal(ranks.length, 2);
  const { hiddenSize: hidden, headDim, intermediateSize } = spec;
  const queries = spec.heads * headDim;
  const keys = spec.kvHeads * headDim;
  const half = intermediateSize / 2;
  const at = 'transformer.layers.1.';
  for (const [rank, tensors] of ranks.entries()) {
    for (const kind of ['weight', 'bias']) {
      const qkv = of(whole, `${at}attention.qkv.${kind}`);
      const expected = [
        rows(qkv, (rank * queries) / 2, queries / 2),
        rows(qkv, queries + (rank * keys) / 2, keys / 2),
        rows(qkv, queries + keys + (rank * keys) / 2, keys / 2),
      ].flat();
      assert.deepEqual([...of(tensors, `${at}attention.qkv.${kind}`).values], expected);
      for (const name of ['fc', 'gate']) {
        const part = of(tensors, `${at}mlp.${name}.${kind}`);
        assert.deepEqual([...part.values], rows(of(whole, `${at}mlp.${name}.${kind}`), rank * half, half));
      }
    }
    const dense = of(tensors, `${at}attention.dense.weight`);
    assert.deepEqual(dense.shape, [hidden, queries / 2]);
    const wholeDense = of(whole, `${at}attention.dense.weight`);
    assert.deepEqual([...dense.values], columns(wholeDense, (rank * queries) / 2, queries / 2));
    const proj = of(tensors, `${at}mlp.proj.weight`);
    assert.deepEqual([...proj.values], columns(of(whole, `${at}mlp.proj.weight`), rank * half, half));
    // Added to the ranks' sum, which it must be once.
    for (const name of [`${at}attention.dense.bias`, `${at}mlp.proj.bias`]) {
      const bias = of(tensors, name).values;
      assert.deepEqual(bias, rank === 0 ? of(whole, name).values : new Float32Array(hidden));
    }
    for (const name of [
      `${at}input_layernorm.weight`,
      `${at}post_layernorm.weight`,
      'transformer.ln_f.weight',
      'transformer.vocab_embedding.weight',
    ]) {
      assert.deepEqual(of(tensors, name), of(whole, name));
    }
    const head = of(tensors, 'lm_head.weight'); // 161 tokens, and one of padding
    assert.deepEqual(head.shape, [81, hidden]);
    const padding = rank === 1 ? Array(hidden).fill(0) : [];
    assert.deepEqual([...head.values], [...rows(of(whole, 'lm_head.weight'), rank * 81, 81), ...padding]);
    assert.deepEqual([...tensors.keys()].sort(), [...whole.keys()].sort());
  }
  const { pretrained_config } = await readEngineConfig(dir);
  assert.deepEqual(
    [pretrained_config.mapping.world_size, pretrained_config.mapping.tp_size, pretrained_config.vocab_size],
    [2, 2, 161],
  );
  const { files } = (await readJson(join(dir, 'manifest.json'))) as { files: object };
  assert(['rank0.safetensors', 'rank1.safetensors'].every((name) => name in files));
});

test('ranks share a KV head where there are more of them than heads', async (t) => {
  const { whole, ranks } = await convertBoth(t, TINY_LLAMAS.gqa, { tpSize: 4 });
  const { heads, kvHeads, headDim } = TINY_LLAMAS.gqa;
  const qkv = of(whole, 'transformer.layers.0.attention.qkv.weight');
  for (const [rank, tensors] of ranks.entries()) {
    const head = Math.floor((rank * kvHeads) / 4);
    const expected = [
      rows(qkv, rank * headDim, headDim),
      rows(qkv, (heads + head) * headDim, headDim),
      rows(qkv, (heads + kvHeads + head) * headDim, headDim),
    ].flat();
    assert.deepEqual([...of(tensors, 'transformer.layers.0.attention.qkv.weight').values], expected);
  }
});

test('stages have the layers one after another; the first has the embedding, the last the head, even a tied one', async (t) => {
  const { dir, whole, ranks } = await convertBoth(t, TINY_LLAMAS.gqa, { ppSize: 2 });
  assert.equal(TINY_LLAMAS.gqa.tied, true);
  assert.equal((await readEngineConfig(dir)).pretrained_config.tie_word_embeddings, false);
  const embedding = of(whole, 'transformer.vocab_embedding.weight');
  assert.deepEqual(of(ranks[0], 'transformer.vocab_embedding.weight'), embedding);
  assert.deepEqual(of(ranks[1], 'lm_head.weight'), embedding);
  assert.deepEqual(of(ranks[1], 'transformer.ln_f.weight'), of(whole, 'transformer.ln_f.weight'));
  for (const [stage, tensors] of ranks.entries()) {
    for (const name of ['attention.qkv.weight', 'mlp.proj.weight', 'input_layernorm.weight']) {
      assert.deepEqual(of(tensors, `transformer.layers.0.${name}`), of(whole, `transformer.layers.${stage}.${name}`));
    }
    assert.equal(tensors.has('transformer.layers.1.mlp.proj.weight'), false);
  }
  assert.equal(ranks[1]?.has('transformer.vocab_embedding.weight'), false);
  assert.equal(ranks[0]?.has('lm_head.weight'), false);
});

test('both halves of a Phi-3 are split, and a Phi-3 that is split again from an engine is the same', async (t) => {
  const { whole, ranks } = await convertBoth(t, TINY_LLAMAS.phi3, { tpSize: 2 });
  const { intermediateSize: size } = TINY_LLAMAS.phi3;
  const fc = of(whole, 'transformer.layers.0.mlp.fc.weight');
  for (const [rank, tensors] of ranks.entries()) {
    const expected = [0, size].flatMap((first) => rows(fc, first + (rank * size) / 2, size / 2));
    assert.deepEqual([...of(tensors, 'transformer.layers.0.mlp.fc.weight').values], expected);
  }
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS.phi3);
  await convert(join(dir, 'source'), join(dir, 'engine'));
  await convert(join(dir, 'engine'), join(dir, 'split'), { tpSize: 2 });
  for (const rank of [0, 1]) assert.deepEqual(await readRank(join(dir, 'split'), rank), ranks[rank]);
});

test('int8_wo and int4_wo keep the weights, which are rounded at load, and say so', async (t) => {
  const { dir, whole, ranks } = await convertBoth(t, TINY_LLAMAS.untied, { quantization: 'int8_wo' });
  assert.equal((await readEngineConfig(dir)).pretrained_config.quantization.quant_algo, 'W8A16');
  assert.deepEqual(ranks[0], whole);
  assert.equal(((await readJson(join(dir, 'manifest.json'))) as { dtype: string }).dtype, 'bfloat16');
});

test('sizes that do not divide are refused, with what they must divide', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS['odd-head-dim']);
  const cases: [ConvertOptions, option: string, words: RegExp][] = [
    [{ tpSize: 2 }, 'tpSize', /tpSize is 2; expected a divisor of the model's 3 attention heads/],
    [{ tpSize: 3 }, 'tpSize', /intermediate_size, 100/],
    [{ ppSize: 3 }, 'ppSize', /ppSize is 3; expected a divisor of the model's 2 layers/],
  ];
  for (const [options, option, words] of cases) {
    await assert.rejects(
      convert(join(dir, 'source'), join(dir, 'out'), options),
      failsAbout(option, 'ERR_INVALID_OPTION', words),
    );
    assert.equal((await readdir(dir)).includes('out'), false);
  }
});

test('with parallelEmbedding each rank has its part of the embedding, padded as that of the head', async (t) => {
  const spec = { ...TINY_LLAMAS.biases, vocabSize: 161 };
  const { dir, whole, ranks } = await convertBoth(t, spec, { tpSize: 2, parallelEmbedding: true });
  const embedding = of(whole, 'transformer.vocab_embedding.weight');
  for (const [rank, tensors] of ranks.entries()) {
    const part = of(tensors, 'transformer.vocab_embedding.weight');
    assert.deepEqual(part.shape, [81, spec.hiddenSize]);
    const padding = rank === 1 ? Array(spec.hiddenSize).fill(0) : [];
    assert.deepEqual([...part.values], [...rows(embedding, rank * 81, 81), ...padding]);
  }
  assert.equal((await readEngineConfig(dir)).pretrained_config.use_parallel_embedding, true);
});
