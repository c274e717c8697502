import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, readFile, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { loadAddon } from '#lib/addon/addon.js';
import { type ErrorCode, LLMError } from '#lib/base/errors.js';
import { type ConvertOptions, convert, convertHere } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { decodeValues, fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from '#lib/engine/formats/numeric.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { readExactly } from '#lib/engine/formats/source.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { failsWith } from '../../../tools/fails-with.js';
import {
  TINY_LLAMAS,
  type TinyLlamaSpec,
  type TinyTensor,
  tinyLlamaTensors,
  writeSafetensors,
  writeTinyLlama,
} from '../../../tools/tiny-llama.js';
import { editJson, readEngineConfig, readJson, temporaryDirectory } from '../helpers.js';

const SPEC: TinyLlamaSpec = { ...TINY_LLAMAS.untied, dtype: 'float32' };

/** The values of every tensor of an engine, as float32, with its shape. */
async function readWeights(dir: string): Promise<Map<string, { shape: readonly number[]; values: Float32Array }>> {
  const config = await readEngineConfig(dir);
  const file = await SafetensorsFile.open(join(dir, 'rank0.safetensors'));
  const weights = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const [name, { shape, position, bytes }] of file.entries) {
    const values = decodeValues(
      await readExactly(file.handle, file.path, position, bytes),
      config.pretrained_config.dtype,
    );
    weights.set(name, { shape, values });
  }
  await file.close();
  return weights;
}

const joined = (...tensors: (TinyTensor | undefined)[]): number[] =>
  tensors.flatMap((tensor) => [...(tensor?.data ?? [])]);

test('every tensor comes out under its TensorRT-LLM name, q, k and v in one, and nothing else does', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const weights = await readWeights(await convert(join(dir, 'hf'), join(dir, 'out'), { dtype: 'float32' }));
  const source = new Map(tinyLlamaTensors(SPEC).map((tensor) => [tensor.name, tensor]));
  const check = (name: string, shape: number[], ...parts: string[]): void => {
    const found = weights.get(name);
    assert.deepEqual(found?.shape, shape, name);
    assert.deepEqual([...(found?.values ?? [])], joined(...parts.map((part) => source.get(part))), name);
    weights.delete(name);
  };
  const { hiddenSize, intermediateSize, vocabSize, heads, kvHeads, headDim } = SPEC;
  check('transformer.vocab_embedding.weight', [vocabSize, hiddenSize], 'model.embed_tokens.weight');
  check('transformer.ln_f.weight', [hiddenSize], 'model.norm.weight');
  check('lm_head.weight', [vocabSize, hiddenSize], 'lm_head.weight');
  for (let layer = 0; layer < SPEC.layers; layer++) {
    const to = `transformer.layers.${layer}`;
    const from = `model.layers.${layer}`;
    const qkv = ['q', 'k', 'v'].map((part) => `${from}.self_attn.${part}_proj.weight`);
    check(`${to}.attention.qkv.weight`, [(heads + 2 * kvHeads) * headDim, hiddenSize], ...qkv);
    check(`${to}.attention.dense.weight`, [hiddenSize, heads * headDim], `${from}.self_attn.o_proj.weight`);
    check(`${to}.mlp.fc.weight`, [intermediateSize, hiddenSize], `${from}.mlp.gate_proj.weight`);
    check(`${to}.mlp.gate.weight`, [intermediateSize, hiddenSize], `${from}.mlp.up_proj.weight`);
    check(`${to}.mlp.proj.weight`, [hiddenSize, intermediateSize], `${from}.mlp.down_proj.weight`);
    check(`${to}.input_layernorm.weight`, [hiddenSize], `${from}.input_layernorm.weight`);
    check(`${to}.post_layernorm.weight`, [hiddenSize], `${from}.post_attention_layernorm.weight`);
  }
  assert.deepEqual([...weights.keys()], []);
});

test('a tied model whose files have a head is converted as transformers 5 loads it: untied if the head differs, and it says so', async (t) => {
  const dir = await temporaryDirectory(t);
  const spec: TinyLlamaSpec = { ...SPEC, tied: true };
  await writeTinyLlama(join(dir, 'hf'), spec);
  const tensors = tinyLlamaTensors(spec);
  const embedding = tensors.find(({ name }) => name === 'model.embed_tokens.weight') ?? assert.fail();
  const convertWith = async (data: Float32Array) => {
    const head: TinyTensor = { name: 'lm_head.weight', shape: embedding.shape, data };
    await writeSafetensors(join(dir, 'hf', 'model.safetensors'), [...tensors, head]);
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const out = await convert(join(dir, 'hf'), join(dir, 'out'), { dtype: 'float32', onWarning });
    const { tie_word_embeddings } = (await readEngineConfig(out)).pretrained_config;
    return { tie_word_embeddings, head: (await readWeights(out)).get('lm_head.weight')?.values, warnings };
  };
  assert.deepEqual(await convertWith(embedding.data), { tie_word_embeddings: true, head: undefined, warnings: [] });
  const other = embedding.data.map((value, at) => (at === embedding.data.length - 1 ? value + 1 : value));
  const { warnings, ...found } = await convertWith(other);
  assert.deepEqual(found, { tie_word_embeddings: false, head: other });
  assert.match(warnings.join(), /hf says tie_word_embeddings, but its lm_head\.weight differs/);
});

test('tensors that no logit depends on, and names without "model.", do not stop a conversion', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, SPEC);
  const plain = await readWeights(await convert(hf, join(dir, 'plain')));
  const tensors = tinyLlamaTensors(SPEC);
  const extra = [
    'score.weight',
    'v_head.summary.weight',
    'model.rotary_emb.inv_freq',
    'model.layers.0.self_attn.rotary_emb.inv_freq',
    'model.layers.0.self_attn.k_scale',
    'model.layers.0.self_attn.kv_scale',
    'model.layers.1.self_attn.k_proj.output_scale',
  ].map((name): TinyTensor => ({ name, shape: [1], data: new Float32Array(1) }));
  await writeSafetensors(join(hf, 'model.safetensors'), [...tensors, ...extra]);
  assert.deepEqual(await readWeights(await convert(hf, join(dir, 'extra'))), plain);
  const bare = tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, '') }));
  await writeSafetensors(join(hf, 'model.safetensors'), bare);
  assert.deepEqual(await readWeights(await convert(hf, join(dir, 'bare'))), plain);
});

test('an index that names a head which no file holds is taken for a tied model, and refused by name for another', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const tied of [true, false]) {
    const hf = join(dir, `${tied}`);
    const spec: TinyLlamaSpec = { ...SPEC, tied };
    await writeTinyLlama(hf, spec);
    const file = 'model-00001-of-00001.safetensors';
    const tensors = tinyLlamaTensors({ ...spec, tied: true });
    await writeSafetensors(join(hf, file), tensors);
    await rm(join(hf, 'model.safetensors'));
    const names = [...tensors.map(({ name }) => name), 'lm_head.weight'];
    const weight_map = Object.fromEntries(names.map((name) => [name, file]));
    await writeFile(join(hf, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    const converted = convert(hf, join(dir, `${tied}-out`));
    if (tied) await converted;
    else await assert.rejects(converted, failsWith('ERR_SOURCE_INVALID', 'lm_head.weight'));
  }
});

for (const [stored, chosen] of [
  ['float32', 'float16'],
  ['float16', 'float16'],
  ['bfloat16', 'bfloat16'],
] as const) {
  test(`a ${stored} model becomes ${chosen} by itself, norms included, each value rounded once`, async (t) => {
    const dir = await temporaryDirectory(t);
    const spec = { ...SPEC, dtype: stored };
    await writeTinyLlama(join(dir, 'hf'), spec);
    const out = await convert(join(dir, 'hf'), join(dir, 'out'));
    assert.equal((await readEngineConfig(out)).pretrained_config.dtype, chosen);
    const weights = await readWeights(out);
    const source = tinyLlamaTensors(spec);
    const rounded = (values: Float32Array): Float32Array =>
      chosen === 'float16' ? fromFloat16(toFloat16(values)) : fromBfloat16(toBfloat16(values));
    for (const [name, from] of [
      ['transformer.ln_f.weight', 'model.norm.weight'],
      ['lm_head.weight', 'lm_head.weight'],
    ] as const) {
      const expected = source.find((tensor) => tensor.name === from)?.data ?? new Float32Array();
      assert.deepEqual(weights.get(name)?.values, rounded(expected), name);
    }
  });
}

test('a value that float16 cannot say is an error naming the tensor, and bfloat16 takes it', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const tensors = tinyLlamaTensors(SPEC);
  const norm = tensors.find((tensor) => tensor.name === 'model.norm.weight');
  norm?.data.fill(70_000, 3, 4);
  await writeSafetensors(join(dir, 'hf', 'model.safetensors'), tensors);
  await assert.rejects(
    convert(join(dir, 'hf'), join(dir, 'out')),
    failsWith('ERR_MODEL_UNSUPPORTED', 'model.norm.weight', '70000', 'bfloat16'),
  );
  const weights = await readWeights(await convert(join(dir, 'hf'), join(dir, 'out'), { dtype: 'bfloat16' }));
  assert.equal(weights.get('transformer.ln_f.weight')?.values[3], 70_144);
});

/** Splits a one-file model into two shards and their index. */
async function shard(dir: string, spec: TinyLlamaSpec): Promise<void> {
  const tensors = tinyLlamaTensors(spec);
  const files = {
    'model-00001-of-00002.safetensors': tensors.slice(0, 5),
    'model-00002-of-00002.safetensors': tensors.slice(5),
  };
  for (const [name, part] of Object.entries(files)) await writeSafetensors(join(dir, name), part);
  const places = Object.entries(files).flatMap(([name, part]) => part.map((tensor) => [tensor.name, name]));
  await writeFile(
    join(dir, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(places) }),
  );
  await rm(join(dir, 'model.safetensors'));
}

test('a sharded model gives the same weights file as the same model in one file', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const single = await readFile(join(await convert(join(dir, 'hf'), join(dir, 'single')), 'rank0.safetensors'));
  await shard(join(dir, 'hf'), SPEC);
  const sharded = await readFile(join(await convert(join(dir, 'hf'), join(dir, 'sharded')), 'rank0.safetensors'));
  assert.ok(single.equals(sharded));
});

test('an index that contradicts its shards, or names a file elsewhere, is refused, and the message names the tensor', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, SPEC);
  await shard(hf, SPEC);
  const index = join(hf, 'model.safetensors.index.json');
  const places = (await readJson(index)).weight_map as Record<string, string>;
  const convertWith = (changes: Record<string, string>) =>
    editJson(index, { weight_map: { ...places, ...changes } }).then(() => convert(hf, join(dir, 'out')));
  await assert.rejects(
    convertWith({ 'model.norm.weight': 'model-00001-of-00002.safetensors' }),
    failsWith('ERR_SOURCE_INVALID', index, 'model.norm.weight', '00002'),
  );
  await assert.rejects(
    convertWith({ 'no.such': 'model-00001-of-00002.safetensors' }),
    failsWith('ERR_SOURCE_INVALID', index, 'no.such'),
  );
  await assert.rejects(
    convertWith({ 'model.norm.weight': '../model.safetensors' }),
    failsWith('ERR_SOURCE_INVALID', index, '../model.safetensors'),
  );
  await assert.rejects(
    convertWith({ 'model.norm.weight': 'gone.safetensors' }),
    failsWith('ERR_SOURCE_NOT_FOUND', 'gone.safetensors'),
  );
});

test('a missing tensor, one of another shape and one that Llama has no place for are refused by name', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, SPEC);
  const tensors = tinyLlamaTensors(SPEC);
  const convertOnly = (changed: TinyTensor[]) =>
    writeSafetensors(join(hf, 'model.safetensors'), changed).then(() => convert(hf, join(dir, 'out')));
  const extra = { name: 'model.layers.0.self_attn.q_proj.bias', shape: [1], data: new Float32Array(1) };
  await assert.rejects(convertOnly(tensors.slice(1)), failsWith('ERR_SOURCE_INVALID', hf, 'model.embed_tokens.weight'));
  await assert.rejects(convertOnly([...tensors, extra]), failsWith('ERR_MODEL_UNSUPPORTED', extra.name));
  const reshaped = tensors.map((tensor) =>
    tensor.name === 'lm_head.weight' ? { ...tensor, shape: tensor.shape.toReversed() } : tensor,
  );
  await assert.rejects(
    convertOnly(reshaped),
    failsWith('ERR_SOURCE_INVALID', 'lm_head.weight', `[${SPEC.hiddenSize}, ${SPEC.vocabSize}]`),
  );
  const inverse = { name: 'model.layers.0.self_attn.rotary_emb.inv_freq', shape: [1], data: new Float32Array(1) };
  await convertOnly([...tensors, inverse]);
});

test('options set the limits in build_config, and the defaults are those of the model', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const limits = async (options: ConvertOptions) =>
    (await readEngineConfig(await convert(join(dir, 'hf'), join(dir, 'out'), options))).build_config;
  const { max_seq_len, max_input_len, max_batch_size, max_num_tokens } = await limits({});
  assert.deepEqual([max_seq_len, max_input_len, max_batch_size, max_num_tokens], [8192, 8191, 64, 512]);
  const set = await limits({ maxSeqLen: 100, maxBatchSize: 3, maxNumTokens: 17 });
  assert.deepEqual([set.max_seq_len, set.max_input_len, set.max_batch_size, set.max_num_tokens], [100, 99, 3, 17]);
});

test('an option out of its range is refused by name before anything is written', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const wrong: Record<string, unknown>[] = [
    { dtype: 'int8' },
    { maxSeqLen: 8193 },
    { maxSeqLen: 1 },
    { maxBatchSize: 0 },
    { maxNumTokens: 1.5 },
    { maxNumTokens: '5' },
    { dtyp: 'float16' },
  ];
  for (const options of wrong) {
    await assert.rejects(
      convert(join(dir, 'hf'), join(dir, 'out'), options),
      failsWith('ERR_INVALID_OPTION', ...Object.keys(options)),
    );
  }
  assert.deepEqual(await readdir(dir), ['hf']);
});

test('the manifest has the size and hash of every other file', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), TINY_LLAMAS.text);
  const out = await convert(join(dir, 'hf'), join(dir, 'out'));
  const { manifest } = await openEngine(out);
  assert.deepEqual(manifest?.source, { kind: 'huggingface', name: 'hf' });
  const names = (await readdir(out)).filter((name) => name !== 'manifest.json').sort();
  assert.deepEqual(Object.keys(manifest?.files ?? {}).sort(), names);
  assert.ok(names.includes('tokenizer.json'));
  for (const name of names) {
    const bytes = await readFile(join(out, name));
    assert.deepEqual(manifest?.files[name], {
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
  }
});

test('no message tells to get a file again where config and weights contradict each other', async (t) => {
  const dir = await temporaryDirectory(t);
  const source = join(dir, 'hf');
  for (const [change, found] of [
    [{ num_hidden_layers: 40 }, 'has no tensor model.layers.'],
    [{ intermediate_size: 99 }, 'has the shape'],
    [{ hidden_size: 'x' }, 'hidden_size is "x"'],
    [{ num_attention_heads: 0 }, 'num_attention_heads is 0'],
  ] as const) {
    await writeTinyLlama(source, SPEC);
    await editJson(join(source, 'config.json'), change);
    await assert.rejects(convert(source, join(dir, 'out')), (error) => {
      assert.ok(LLMError.is(error) && error.code === 'ERR_SOURCE_INVALID');
      assert.ok(error.message.includes(found), error.message);
      assert.doesNotMatch(error.message, /again/);
      return true;
    });
  }
});

test('tokenizer files are copied as they are', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), TINY_LLAMAS.text);
  const named = 'additional_chat_templates/tool_use.jinja';
  await mkdir(join(dir, 'hf', 'additional_chat_templates'));
  for (const name of ['chat_template.jinja', 'chat_template.json', named]) {
    await writeFile(join(dir, 'hf', name), JSON.stringify({ name }));
  }
  const out = await convert(join(dir, 'hf'), join(dir, 'out'));
  const copied = ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json', 'chat_template.jinja'];
  for (const name of [...copied, 'chat_template.json', named]) {
    assert.deepEqual(await readFile(join(out, name)), await readFile(join(dir, 'hf', name)), name);
  }
  const { manifest, chatTemplates } = await openEngine(out);
  assert.ok(manifest?.files[named]);
  assert.deepEqual([...chatTemplates.keys()], ['default', 'tool_use']);
  // From a directory of the tokenizer alone, and once more from the engine.
  const other = await convert(out, join(dir, 'other'), { tokenizer: join(dir, 'hf') });
  assert.deepEqual([...(await openEngine(other)).chatTemplates.keys()], ['default', 'tool_use']);
  const again = await convert(out, join(dir, 'again'));
  assert.deepEqual([...(await openEngine(again)).chatTemplates.keys()], ['default', 'tool_use']);
});

test('where there is no generation_config.json, the end tokens of config.json are kept', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  await editJson(join(dir, 'hf', 'config.json'), { eos_token_id: [5, 7], bos_token_id: 1 });
  const out = await convert(join(dir, 'hf'), join(dir, 'out'));
  assert.deepEqual((await openEngine(out)).endIds, [5, 7]);
  assert.equal((await readJson(join(out, 'generation_config.json'))).bos_token_id, 1);
});

test('a model whose tokenizer is in another format is refused rather than converted without it', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  await writeFile(join(dir, 'hf', 'vocab.json'), '{}');
  await assert.rejects(
    convert(join(dir, 'hf'), join(dir, 'out')),
    failsWith('ERR_TOKENIZER_MISSING', 'vocab.json', 'tokenizer.json'),
  );
});

const SENTENCEPIECE = new URL(
  '../../../../test/lib/engine/formats/fixtures/sentencepiece/bpe-llama.model',
  import.meta.url,
);

test('of a tokenizer.model a tokenizer.json is made, whether it lies beside the weights or in a directory of its own', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), { ...SPEC, vocabSize: 500 });
  const bare = await convert(join(dir, 'hf'), join(dir, 'bare'));
  await copyFile(SENTENCEPIECE, join(dir, 'hf', 'tokenizer.model'));
  await writeFile(join(dir, 'hf', 'tokenizer_config.json'), '{"add_bos_token": false}');
  const tokens = async (engine: string): Promise<number[]> => {
    const { tokenizerPath } = await openEngine(engine);
    const tokenizer = await Tokenizer.load(loadAddon(), { tokenizerPath: tokenizerPath as string });
    return [...(await tokenizer.encode('the quick'))];
  };
  const beside = await convert(join(dir, 'hf'), join(dir, 'beside'));
  const apart = await convert(bare, join(dir, 'apart'), { tokenizer: join(dir, 'hf') });
  assert.deepEqual(await tokens(beside), [264, 384, 363]);
  assert.deepEqual(await tokens(apart), [264, 384, 363]);
  assert.ok(!(await readdir(beside)).includes('tokenizer.model'));
});

test('a tokenizer.model that is none is refused before the weights are read', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  await writeFile(join(dir, 'hf', 'tokenizer.model'), 'IQ== 0\n');
  await assert.rejects(
    convert(join(dir, 'hf'), join(dir, 'out')),
    failsWith('ERR_SOURCE_INVALID', join(dir, 'hf', 'tokenizer.model'), 'expected a SentencePiece model'),
  );
});

test('an abort throws its own reason and leaves nothing behind', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const controller = new AbortController();
  const reason = new Error('enough');
  let calls = 0;
  const onProgress = (): void => {
    if (++calls === 3) controller.abort(reason);
  };
  await assert.rejects(convert(join(dir, 'hf'), join(dir, 'out'), { signal: controller.signal, onProgress }), reason);
  await assert.rejects(convert(join(dir, 'hf'), join(dir, 'out'), { signal: controller.signal }), reason);
  assert.equal(calls, 3);
  assert.deepEqual(await readdir(dir), ['hf']);
});

test('a conversion goes on while the thread that asked for it is held, and an abort after that still leaves nothing', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const isWritten = (): boolean => readdirSync(dir).some((name) => existsSync(join(dir, name, 'manifest.json')));
  const controller = new AbortController();
  const onProgress = (): void => {
    while (!isWritten()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    controller.abort();
  };
  await assert.rejects(convert(join(dir, 'hf'), join(dir, 'out'), { signal: controller.signal, onProgress }), {
    name: 'AbortError',
  });
  assert.deepEqual(await readdir(dir), ['hf']);
});

test('an error of the system keeps its cause and its code', async (t) => {
  const dir = await temporaryDirectory(t);
  await assert.rejects(convert(join(dir, 'gone'), join(dir, 'out')), (error) => {
    assert.ok(LLMError.is(error) && error.cause instanceof Error && 'code' in error.cause, String(error));
    return error.cause.code === 'ENOENT';
  });
});

test('a failure half way leaves nothing behind, and an engine that was there stays', async (t) => {
  const dir = await temporaryDirectory(t);
  const [hf, out] = [join(dir, 'hf'), join(dir, 'out')];
  await writeTinyLlama(hf, SPEC);
  await convert(hf, out);
  const before = await readFile(join(out, 'rank0.safetensors'));
  const onProgress = (): void => {
    throw new Error('from the callback');
  };
  await assert.rejects(convert(hf, out, { dtype: 'float32', onProgress }), /from the callback/);
  assert.deepEqual((await readdir(dir)).sort(), ['hf', 'out']);
  assert.ok(before.equals(await readFile(join(out, 'rank0.safetensors'))));
});

test('an engine of this package and an empty directory are replaced, anything else is refused and left alone', async (t) => {
  const dir = await temporaryDirectory(t);
  const [hf, out, mine] = [join(dir, 'hf'), join(dir, 'deep', 'out'), join(dir, 'mine')];
  await writeTinyLlama(hf, SPEC);
  await mkdir(out, { recursive: true });
  await convert(hf, out);
  await convert(hf, out, { dtype: 'float32' });
  assert.equal((await readEngineConfig(out)).pretrained_config.dtype, 'float32');
  assert.deepEqual(await readdir(join(dir, 'deep')), ['out']);
  await mkdir(mine);
  await writeFile(join(mine, 'thesis.txt'), 'text');
  await assert.rejects(convert(hf, mine), failsWith('ERR_NOT_WRITABLE', mine));
  await assert.rejects(convert(hf, hf), failsWith('ERR_NOT_WRITABLE', hf));
  await assert.rejects(convert(hf, join(mine, 'thesis.txt')), failsWith('ERR_NOT_WRITABLE', 'thesis.txt'));
  await assert.rejects(convert(hf, join(mine, 'thesis.txt', 'out')), failsWith('ERR_NOT_WRITABLE', 'thesis.txt'));
  assert.deepEqual(await readdir(mine), ['thesis.txt']);
});

test('two conversions to one directory at once both succeed, and it is whole', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  await Promise.all(Array.from({ length: 4 }, () => convert(join(dir, 'hf'), join(dir, 'out'))));
  await openEngine(join(dir, 'out'));
  assert.deepEqual((await readdir(dir)).sort(), ['hf', 'out']);
});

test('a directory in which the source or the tokenizer lies is not replaced, and an engine may be made inside its source', async (t) => {
  const dir = await temporaryDirectory(t);
  const out = join(dir, 'out');
  await writeTinyLlama(join(dir, 'hf'), TINY_LLAMAS.text);
  await convert(join(dir, 'hf'), out);
  const inside = join(out, 'hf');
  await cp(join(dir, 'hf'), inside, { recursive: true });
  await assert.rejects(convert(inside, out), failsWith('ERR_NOT_WRITABLE', out, inside));
  await assert.rejects(
    convert(join(dir, 'hf'), out, { tokenizer: inside }),
    failsWith('ERR_NOT_WRITABLE', out, inside),
  );
  const before = (await readdir(inside)).sort();
  await convert(inside, join(inside, 'engine'));
  assert.deepEqual((await readdir(inside)).sort(), ['engine', ...before].sort());
  await convert(inside, join(inside, 'engine'));
});

/** Converts to `out`, and does something to the source when it is open, before its weights are read. */
const convertWhile = (source: string, out: string, act: () => Promise<void>): Promise<void> =>
  convertHere({ source, tokenizer: undefined }, {}, async (write) => {
    await act();
    await mkdir(out);
    await write(out);
  });

test('a source that is written to while it is read is refused, and named', async (t) => {
  const dir = await temporaryDirectory(t);
  const [hf, weights] = [join(dir, 'hf'), join(dir, 'hf', 'model.safetensors')];
  await writeTinyLlama(hf, SPEC);
  await assert.rejects(
    convertWhile(hf, join(dir, 'touched'), () => utimes(weights, 1, 1)),
    failsWith('ERR_SOURCE_INVALID', weights, 'was changed while it was read'),
  );
  await assert.rejects(
    convertWhile(hf, join(dir, 'cut'), () => truncate(weights, 100_000)),
    failsWith('ERR_SOURCE_INVALID', weights, 'became shorter while it was read'),
  );
});

test('a source that is removed while it is read is converted as it was', async (t) => {
  const dir = await temporaryDirectory(t);
  const [hf, out] = [join(dir, 'hf'), join(dir, 'out')];
  await writeTinyLlama(hf, SPEC);
  const expected = await readFile(join(await convert(hf, join(dir, 'before')), 'rank0.safetensors'));
  await convertWhile(hf, out, () => rm(hf, { recursive: true }));
  assert.ok(expected.equals(await readFile(join(out, 'rank0.safetensors'))));
});

test('progress counts the bytes of the weights file up to its size', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const seen: number[] = [];
  let total = 0;
  const onProgress: ConvertOptions['onProgress'] = (progress) => {
    assert.equal(progress.stage, 'convert');
    seen.push(progress.done);
    total = progress.total;
  };
  const out = await convert(join(dir, 'hf'), join(dir, 'out'), { onProgress });
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  assert.equal(seen.at(-1), total);
  assert.equal(total, (await openEngine(out)).manifest?.files['rank0.safetensors']?.bytes);
});

test('a source that is missing, or neither a directory nor a .gguf file, is refused by its path', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeFile(join(dir, 'model.bin'), '');
  await assert.rejects(
    convert(join(dir, 'gone'), join(dir, 'out')),
    failsWith('ERR_SOURCE_NOT_FOUND', join(dir, 'gone')),
  );
  await assert.rejects(
    convert(join(dir, 'model.bin'), join(dir, 'out')),
    failsWith('ERR_SOURCE_NOT_FOUND', 'model.bin', '.gguf'),
  );
});

test('a text file of the source that cannot be read is refused by its own name, before the weights are read', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, TINY_LLAMAS.text);
  const tokenizer = join(hf, 'tokenizer.json');
  const refused = (code: ErrorCode, ...words: string[]) =>
    assert.rejects(convert(hf, join(dir, 'out')), failsWith(code, ...words));
  await rm(tokenizer);
  await symlink(join(dir, 'nowhere'), tokenizer);
  await refused('ERR_SOURCE_NOT_FOUND', `${tokenizer} is a link that leads nowhere`);
  await rm(tokenizer);
  await mkdir(tokenizer);
  await refused('ERR_SOURCE_NOT_FOUND', `${tokenizer} cannot be opened`, 'no regular file');
  await rm(tokenizer, { recursive: true });
  await writeFile(tokenizer, '');
  await truncate(tokenizer, 2 ** 30);
  await refused('ERR_SOURCE_INVALID', tokenizer, '1073741824 bytes; expected at most 134217728');
  assert.deepEqual(await readdir(dir), ['hf']);
});

test('numbers of config.json that no executor takes are refused, and the largest that one takes load', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, SPEC);
  const largest = { max_position_embeddings: 2 ** 27, rms_norm_eps: 3.4e38, rope_theta: 3.4e38 };
  await editJson(join(hf, 'config.json'), largest);
  const out = await convert(hf, join(dir, 'out'), { maxSeqLen: 64 });
  await (await LLM.load(out, { executor: 'cpu' })).close();
  for (const [name, value] of Object.entries({
    max_position_embeddings: 2 ** 27 + 1,
    vocab_size: 2 ** 27 + 1,
    hidden_size: 2 ** 27 + 2,
    intermediate_size: 2 ** 27 + 1,
    num_hidden_layers: 10_001,
    head_dim: 2 ** 26,
    rms_norm_eps: 1e39,
    rope_theta: 1e39,
  })) {
    await writeTinyLlama(hf, SPEC);
    await editJson(join(hf, 'config.json'), { [name]: value });
    await assert.rejects(convert(hf, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', String(value)), name);
  }
});
