import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { buildEngine } from '#lib/engine/build/build-engine.js';
import { calibrationTexts, findInputMaxima } from '#lib/engine/convert/calibrate.js';
import { CALIBRATION_TEXTS } from '#lib/engine/convert/calibration-texts.js';
import { type ConvertOptions, convert } from '#lib/engine/convert/convert.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { temporaryDirectory as directoryForFile } from '../../../tools/engines.js';
import { failsAbout, failsWith } from '../../../tools/fails-with.js';
import { PROJECT_ROOT } from '../../../tools/project.js';
import { TINY_LLAMAS, tinyLlamaTensors, writeSafetensors, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { readEngineConfig, temporaryDirectory } from '../helpers.js';

/** What scripts/make-calibration-goldens.py, which describes it, got from transformers and torch for TINY_LLAMAS.text. */
interface Golden {
  readonly texts: readonly string[];
  readonly matrices: Readonly<Record<string, { activation: number; weights: number; sha256: string }>>;
}

const golden: Golden = JSON.parse(
  await readFile(join(PROJECT_ROOT, 'test/goldens/calibration/fp8.golden.json'), 'utf8'),
);

let source: string;
let calibration: string;
before(async () => {
  const dir = await directoryForFile();
  source = join(dir, 'source');
  calibration = join(dir, 'texts.txt');
  await writeTinyLlama(source, TINY_LLAMAS.text);
  await writeFile(calibration, golden.texts.join('\n'));
});

const toFp8 = (t: TestContext, options: ConvertOptions = {}, from = source): Promise<string> =>
  temporaryDirectory(t).then((dir) =>
    convert(from, join(dir, 'engine'), { quantization: 'fp8', dtype: 'float32', calibration, ...options }),
  );

/** The bytes of a tensor of a rank. */
async function bytesOf(dir: string, rank: number, name: string): Promise<Buffer> {
  const path = join(dir, `rank${rank}.safetensors`);
  const file = await SafetensorsFile.open(path);
  await file.close();
  const { position, bytes } = file.entries.get(name) ?? assert.fail(name);
  return (await readFile(path)).subarray(position, position + bytes);
}

test('scales and weights are those that transformers and torch compute', async (t) => {
  const dir = await toFp8(t);
  const { quantization } = (await readEngineConfig(dir)).pretrained_config;
  assert.deepEqual(quantization, { quant_algo: 'FP8', kv_cache_quant_algo: null, exclude_modules: null });
  for (const [module, { activation, weights, sha256 }] of Object.entries(golden.matrices)) {
    const scale = async (name: string): Promise<number> => (await bytesOf(dir, 0, `${module}.${name}`)).readFloatLE();
    const off = (await scale('activation_scaling_factor')) / activation - 1;
    assert(Math.abs(off) < 1e-5, `${module}: ${off}`);
    assert.equal(await scale('weights_scaling_factor'), Math.fround(weights), module);
    const hash = createHash('sha256').update(await bytesOf(dir, 0, `${module}.weight`));
    assert.equal(hash.digest('hex'), sha256, module);
  }
  assert.deepEqual(
    (await readdir(dir)).filter((name) => /plain|tokens/.test(name)),
    [],
    'nothing of the calibration is left',
  );
});

test('ranks have the scales of the whole matrix', async (t) => {
  const [whole, split] = [await toFp8(t), await toFp8(t, { tpSize: 2 })];
  for (const module of Object.keys(golden.matrices)) {
    for (const name of ['weights_scaling_factor', 'activation_scaling_factor']) {
      const expected = await bytesOf(whole, 0, `${module}.${name}`);
      for (const rank of [0, 1]) assert.deepEqual(await bytesOf(split, rank, `${module}.${name}`), expected, module);
    }
  }
});

test('without a file, the built-in texts are read, of which there are 32 short ones', async (t) => {
  assert.deepEqual([new Set(CALIBRATION_TEXTS).size, CALIBRATION_TEXTS.length], [32, 32]);
  assert(CALIBRATION_TEXTS.every((text) => text.length < 512));
  const stages: string[] = [];
  const own = await toFp8(t);
  const builtIn = join(await temporaryDirectory(t), 'engine');
  const options = { quantization: 'fp8', dtype: 'float32', weights: 'checkpoint' } as const;
  for await (const { stage } of buildEngine(source, builtIn, options)) if (stages.at(-1) !== stage) stages.push(stage);
  assert.deepEqual(stages, ['convert', 'calibrate', 'convert']);
  const name = 'transformer.layers.1.mlp.proj.activation_scaling_factor';
  assert.notDeepEqual(await bytesOf(builtIn, 0, name), await bytesOf(own, 0, name));
});

describe('the texts of a calibration', () => {
  const fileOf = async (t: TestContext, name: string, content: string): Promise<string> => {
    const file = join(await temporaryDirectory(t), name);
    await writeFile(file, content);
    return file;
  };

  test('are the lines of a file, or the text of the objects in a .jsonl, up to 512', async (t) => {
    assert.deepEqual(await calibrationTexts(await fileOf(t, 'a.txt', 'one\n\n{"text":1}\r\n')), ['one', '{"text":1}']);
    const objects = '{"text":"one","id":1}\n\n{"text":"two\\nlines"}';
    assert.deepEqual(await calibrationTexts(await fileOf(t, 'a.jsonl', objects)), ['one', 'two\nlines']);
    assert.equal((await calibrationTexts(await fileOf(t, 'a.txt', 'line\n'.repeat(600)))).length, 512);
  });

  test('are refused with what is wrong, and where nothing would read them', async (t) => {
    const refused = (message: RegExp) => failsAbout('calibration', 'ERR_INVALID_OPTION', message);
    await assert.rejects(calibrationTexts('/nowhere/a.txt'), refused(/a\.txt cannot be read.*expected a text in each/));
    await assert.rejects(calibrationTexts(await fileOf(t, 'a.txt', '\n \n')), refused(/has no text.*Write one/));
    await assert.rejects(
      calibrationTexts(await fileOf(t, 'a.jsonl', '{"text":"a"}\n{')),
      refused(/line 2 .* not JSON/),
    );
    await assert.rejects(calibrationTexts(await fileOf(t, 'a.jsonl', '{"content":"a"}')), refused(/line 1 .* no text/));
    for (const quantization of [undefined, 'int8_wo'] as const) {
      await assert.rejects(toFp8(t, { quantization }), refused(/expected 'fp8'/));
    }
  });
});

test('an abort in the calibration, or a callback that throws, leaves nothing behind', async (t) => {
  const dir = await temporaryDirectory(t);
  const controller = new AbortController();
  const abort = (): void => controller.abort(new Error('enough'));
  const fail = (): void => {
    throw new Error('enough');
  };
  for (const stop of [fail, abort]) {
    const converting = convert(source, join(dir, 'engine'), {
      quantization: 'fp8',
      calibration,
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'calibrate' && stop(),
    });
    await assert.rejects(converting, { message: 'enough' });
    assert.deepEqual(await readdir(dir), []);
  }
});

test('a model that is quantized already, or computes what is not finite, is refused', async (t) => {
  const quantized = await toFp8(t);
  const again = toFp8(t, { dtype: 'auto' }, quantized);
  await assert.rejects(again, failsAbout('quantization', 'ERR_INVALID_OPTION', /quantized already/));
  const dir = join(await temporaryDirectory(t), 'source');
  await writeTinyLlama(dir, TINY_LLAMAS.text);
  const tensors = tinyLlamaTensors(TINY_LLAMAS.text);
  const damaged = tensors.find(({ name }) => name === 'model.layers.1.input_layernorm.weight') ?? assert.fail();
  damaged.data[0] = Number.NaN;
  await writeSafetensors(join(dir, 'model.safetensors'), tensors);
  await assert.rejects(toFp8(t, {}, dir), failsWith('ERR_SOURCE_INVALID', /^Layer 1 .* not finite/));
});

test('an engine that the CPU cannot load is refused as a load refuses it', async (t) => {
  const dir = await convert(source, join(await temporaryDirectory(t), 'engine'));
  const file = join(dir, 'rank0.safetensors');
  const bytes = await readFile(file);
  bytes.fill(0x20, 8, 200);
  await writeFile(file, bytes);
  await assert.rejects(findInputMaxima(dir, ['text'], {}), failsWith('ERR_ENGINE_WEIGHTS', 'rank0.safetensors'));
});
