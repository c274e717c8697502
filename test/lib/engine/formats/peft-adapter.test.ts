import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { readPeftAdapter } from '#lib/engine/formats/peft-adapter.js';
import { temporaryDirectory, tinyEngine } from '../../../tools/engines.js';
import { failsWith } from '../../../tools/fails-with.js';
import { tinyAdapterTensors, writeAdapter } from '../../../tools/tiny-adapter.js';
import type { TinyTensor } from '../../../tools/tiny-llama.js';

let engine: string;
let tensors: TinyTensor[];
before(async () => {
  engine = await tinyEngine();
  tensors = await tinyAdapterTensors(engine, 1);
});

const read = async (change: (tensors: TinyTensor[]) => TinyTensor[] = (all) => all, config: object = {}) =>
  readPeftAdapter(await writeAdapter(join(await temporaryDirectory(), 'adapter'), change(tensors), config), engine);

const PREFIX = 'base_model.model.model.layers.0.self_attn.';
const renamed = (from: string, to: string) => (all: TinyTensor[]) =>
  all.map((each) => ({ ...each, name: each.name.replace(from, to) }));

describe('a LoRA adapter of PEFT', () => {
  test("becomes rows of both matrices in the engine's type, with their module, layer and rank", async () => {
    const { id, weights, config } = await read();
    assert.deepEqual([...config.data], [1, 0, 2, 3, 0, 2]);
    assert.deepEqual(config.shape, [2, 3]);
    const width = 2 * (64 + 64);
    assert.deepEqual(weights.shape, [2, width]);
    assert.equal(weights.dataType, 'bfloat16');
    const value = (index: number) =>
      new Float32Array(Uint32Array.of(Number(weights.data[index]) << 16).buffer)[0] ?? Number.NaN;
    const [qA, qB, vA, vB] = tensors.map(({ data }) => data) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const near = (found: number, expected: number) =>
      assert.ok(Math.abs(found - expected) < 0.01, `${found} ${expected}`);
    near(value(5), qA[5] ?? 0);
    near(value(128 + 5), 2 * (qB[5] ?? 0)); // lora_alpha / r
    near(value(width + 5), vA[5] ?? 0);
    near(value(width + 128 + 5), 2 * (vB[5] ?? 0));
    assert.ok(Number.isSafeInteger(id));
  });

  test('has an id that follows from what is in it', async () => {
    const [same, again, scaled] = await Promise.all([read(), read(), read(undefined, { lora_alpha: 8 })]);
    assert.equal(same.id, again.id);
    assert.notEqual(same.id, scaled.id);
  });

  test('with rank-stabilized scaling is divided by the square root of its rank', async () => {
    const [plain, stabilized] = await Promise.all([
      read(undefined, { lora_alpha: 2 }),
      read(undefined, { lora_alpha: Math.SQRT2, use_rslora: true }),
    ]);
    assert.deepEqual(stabilized.weights.data, plain.weights.data);
  });

  const unsupported: readonly (readonly [object, string | RegExp])[] = [
    [{ peft_type: 'LOHA' }, 'peft_type is "LOHA"'],
    [{ use_dora: true }, /use_dora is true; expected it off/],
    [{ bias: 'all' }, 'bias is "all"'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ rank_pattern: { q_proj: 8 } }, 'rank_pattern'],
    [{ alpha_pattern: { q_proj: 8 } }, 'alpha_pattern'],
    [{ fan_in_fan_out: true }, 'fan_in_fan_out'],
    [{ init_lora_weights: 'pissa_niter_16' }, 'init_lora_weights'],
  ];
  for (const [config, named] of unsupported) {
    test(`is refused with ${JSON.stringify(config)}`, async () => {
      await assert.rejects(read(undefined, config), failsWith('ERR_MODEL_UNSUPPORTED', 'adapter_config.json', named));
    });
  }

  const invalid: readonly (readonly [object, string | RegExp])[] = [
    [{ r: 0 }, /r is 0; expected an integer from 1 to 512/],
    [{ r: 513 }, /r is 513; expected an integer from 1 to 512/],
    [{ lora_alpha: 'x' }, 'lora_alpha'],
    [{ r: 4 }, /q_proj\.lora_A\.weight is \[2, 64\]; expected \[4, 64\]/],
  ];
  for (const [config, named] of invalid) {
    test(`is refused with ${JSON.stringify(config)}`, async () => {
      await assert.rejects(read(undefined, config), failsWith('ERR_SOURCE_INVALID', named));
    });
  }

  test('is refused with a tensor that is not a matrix of attention or feed-forward parts', async () => {
    for (const name of [
      'self_attn.q_proj.lora_magnitude_vector',
      'mlp.x_proj.lora_A.weight',
      'constructor.lora_A.weight',
    ]) {
      const change = renamed('self_attn.q_proj.lora_A.weight', name);
      await assert.rejects(read(change), failsWith('ERR_MODEL_UNSUPPORTED', name, 'target_modules'));
    }
  });

  test('is refused with a layer that the model does not have', async () => {
    const all = renamed('layers.0.', 'layers.2.');
    await assert.rejects(read(all), failsWith('ERR_SOURCE_INVALID', 'is of layer 2; expected 0 to 1'));
  });

  test('is refused with the shape of another model', async () => {
    const wider = (all: TinyTensor[]) =>
      all.map((each) => (each.name.endsWith('q_proj.lora_B.weight') ? { ...each, shape: [32, 4] } : each));
    await assert.rejects(
      read(wider),
      failsWith('ERR_SOURCE_INVALID', `${PREFIX}q_proj.lora_B.weight is [32, 4]`, engine),
    );
  });

  test('is refused without one of a pair, and without any', async () => {
    const alone = (all: TinyTensor[]) => all.slice(1);
    await assert.rejects(read(alone), failsWith('ERR_SOURCE_INVALID', `has no ${PREFIX}q_proj.lora_A.weight`));
    await assert.rejects(
      read(() => []),
      failsWith('ERR_SOURCE_INVALID', 'has no tensor'),
    );
  });

  test('is refused with a module that is there fused and apart', async () => {
    const both = (all: TinyTensor[]) => [
      ...all,
      ...all.slice(0, 2).flatMap((each) => renamed('q_proj', 'qkv_proj')([each])),
    ];
    await assert.rejects(read(both), failsWith('ERR_SOURCE_INVALID', 'twice, fused and apart'));
  });

  test('is refused where a file is missing or damaged', async () => {
    const dir = await writeAdapter(join(await temporaryDirectory(), 'adapter'), tensors);
    const weights = join(dir, 'adapter_model.safetensors');
    await writeFile(weights, Buffer.alloc(100, 0xff));
    await assert.rejects(readPeftAdapter(dir, engine), failsWith('ERR_SOURCE_INVALID', weights));
    await rm(weights);
    await assert.rejects(readPeftAdapter(dir, engine), failsWith('ERR_SOURCE_NOT_FOUND', weights));
    await rm(join(dir, 'adapter_config.json'));
    await assert.rejects(readPeftAdapter(dir, engine), failsWith('ERR_SOURCE_NOT_FOUND', 'adapter_config.json'));
  });
});
