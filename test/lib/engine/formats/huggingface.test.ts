import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '#lib/base/errors.js';
import { openHuggingFace } from '#lib/engine/formats/huggingface.js';
import type { LlamaModel } from '#lib/engine/formats/source.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { editJson, temporaryDirectory } from '../helpers.js';

async function modelOf(dir: string): Promise<LlamaModel> {
  const source = await openHuggingFace(dir);
  await source.close();
  return source.model;
}

test('config.json of transformers 4 and of transformers 5 say the same of the same model', async (t) => {
  const dir = await temporaryDirectory(t);
  for (const ropeScaling of [
    undefined,
    TINY_LLAMAS['llama3-rope'].ropeScaling,
    TINY_LLAMAS['linear-rope'].ropeScaling,
  ]) {
    const spec: TinyLlamaSpec = { ...TINY_LLAMAS.gqa, ropeTheta: 500_000, ...(ropeScaling && { ropeScaling }) };
    await writeTinyLlama(join(dir, '4'), { ...spec, configOf: 'transformers-4' });
    await writeTinyLlama(join(dir, '5'), { ...spec, configOf: 'transformers-5' });
    const model = await modelOf(join(dir, '4'));
    assert.deepEqual(model, await modelOf(join(dir, '5')));
    assert.equal(model.rotary_base, 500_000);
    assert.deepEqual(model.rotary_scaling, ropeScaling ?? null);
  }
});

test('rope_scaling may name its type as "type", as older files do', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(dir, TINY_LLAMAS.gqa);
  await editJson(join(dir, 'config.json'), { rope_scaling: { type: 'linear', factor: 2 } });
  assert.deepEqual((await modelOf(dir)).rotary_scaling, { rope_type: 'linear', factor: 2 });
});

test('what a config leaves out is what transformers takes it to be', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(dir, { ...TINY_LLAMAS.mha, configOf: 'transformers-4' });
  const left = [
    'num_key_value_heads',
    'head_dim',
    'rms_norm_eps',
    'rope_theta',
    'tie_word_embeddings',
    'hidden_act',
    'torch_dtype',
  ];
  await editJson(join(dir, 'config.json'), Object.fromEntries(left.map((name) => [name, undefined])));
  const model = await modelOf(dir);
  const { heads, headDim } = TINY_LLAMAS.mha;
  assert.deepEqual(
    [model.num_key_value_heads, model.head_size, model.norm_epsilon, model.rotary_base, model.tie_word_embeddings],
    [heads, headDim, 1e-6, 10_000, false],
  );
});

/** A change to config.json, the code, and the field the message must name. */
const REFUSED: [Record<string, unknown>, ErrorCode, string][] = [
  [{ model_type: 'mamba' }, 'ERR_MODEL_UNSUPPORTED', 'model_type is "mamba"'],
  [{ model_type: undefined }, 'ERR_SOURCE_INVALID', 'model_type'],
  [{ architectures: ['LlamaForSequenceClassification'] }, 'ERR_MODEL_UNSUPPORTED', 'architectures'],
  [{ hidden_act: 'gelu' }, 'ERR_MODEL_UNSUPPORTED', 'hidden_act is "gelu"'],
  [{ attention_bias: 'yes' }, 'ERR_SOURCE_INVALID', 'attention_bias'],
  [{ rope_interleaved: true }, 'ERR_MODEL_UNSUPPORTED', 'rope_interleaved'],
  [{ quantization_config: { bits: 4 } }, 'ERR_MODEL_UNSUPPORTED', 'quantization_config'],
  [{ rope_scaling: { rope_type: 'longrope' } }, 'ERR_MODEL_UNSUPPORTED', 'rope_scaling.rope_type is "longrope"'],
  [{ rope_scaling: { type: 'su' } }, 'ERR_MODEL_UNSUPPORTED', 'rope_scaling.type is "su"'],
  [{ rope_scaling: { rope_type: 'yarn', factor: 4, alpha: 2 } }, 'ERR_MODEL_UNSUPPORTED', 'rope_scaling.alpha'],
  [{ partial_rotary_factor: 0.5 }, 'ERR_MODEL_UNSUPPORTED', 'partial_rotary_factor is 0.5'],
  [{ rope_scaling: { rope_type: 'linear' } }, 'ERR_SOURCE_INVALID', 'rope_scaling.factor'],
  [{ rope_scaling: { rope_type: 'linear', factor: 0 } }, 'ERR_SOURCE_INVALID', 'rope_scaling.factor'],
  [
    { rope_scaling: { rope_type: 'linear', factor: 2, partial_rotary_factor: 0.5 } },
    'ERR_MODEL_UNSUPPORTED',
    'partial_rotary_factor',
  ],
  [
    { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1 } },
    'ERR_SOURCE_INVALID',
    'rope_scaling.high_freq_factor',
  ],
  [
    {
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 4,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
    'ERR_SOURCE_INVALID',
    'high_freq_factor',
  ],
  [
    { rope_parameters: { full_attention: { rope_theta: 1 } } },
    'ERR_MODEL_UNSUPPORTED',
    'rope_parameters.full_attention',
  ],
  [{ rope_scaling: 'linear' }, 'ERR_SOURCE_INVALID', 'rope_scaling'],
  [{ torch_dtype: 'int8' }, 'ERR_MODEL_UNSUPPORTED', 'torch_dtype is "int8"'],
  [{ vocab_size: undefined }, 'ERR_SOURCE_INVALID', 'vocab_size is missing'],
  [{ hidden_size: '64' }, 'ERR_SOURCE_INVALID', 'hidden_size is "64"'],
  [{ num_hidden_layers: 0 }, 'ERR_SOURCE_INVALID', 'num_hidden_layers'],
  [{ num_hidden_layers: 100_000_000 }, 'ERR_SOURCE_INVALID', 'num_hidden_layers'],
  [{ max_position_embeddings: 2.5 }, 'ERR_SOURCE_INVALID', 'max_position_embeddings'],
  [{ rms_norm_eps: 'NaN' }, 'ERR_SOURCE_INVALID', 'rms_norm_eps is "NaN"'],
  [{ rms_norm_eps: -1 }, 'ERR_SOURCE_INVALID', 'rms_norm_eps'],
  [{ tie_word_embeddings: 'yes' }, 'ERR_SOURCE_INVALID', 'tie_word_embeddings'],
];

for (const [change, code, named] of REFUSED) {
  test(`config.json with ${JSON.stringify(change)}${Object.values(change).includes(undefined) ? ` without ${Object.keys(change)}` : ''} is refused by the field's name`, async (t) => {
    const dir = await temporaryDirectory(t);
    await writeTinyLlama(dir, TINY_LLAMAS.gqa);
    await editJson(join(dir, 'config.json'), change);
    await assert.rejects(openHuggingFace(dir), failsWith(code, join(dir, 'config.json'), named));
  });
}

test('what a load would refuse in the files beside config.json is refused before anything is converted', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(dir, TINY_LLAMAS.text);
  const file = join(dir, 'generation_config.json');
  await editJson(file, { top_p: 1.5 });
  await assert.rejects(openHuggingFace(dir), failsWith('ERR_SOURCE_INVALID', file, 'top_p is 1.5'));
});

test('a directory without config.json, with a broken one, or without safetensors is refused with what to do', async (t) => {
  const dir = await temporaryDirectory(t);
  await assert.rejects(openHuggingFace(dir), failsWith('ERR_SOURCE_INVALID', dir, 'config.json'));
  await writeFile(join(dir, 'config.json'), '{"model_type":');
  await assert.rejects(
    openHuggingFace(dir),
    failsWith('ERR_SOURCE_INVALID', join(dir, 'config.json'), 'not valid JSON'),
  );
  await writeFile(join(dir, 'config.json'), '[]');
  await assert.rejects(
    openHuggingFace(dir),
    failsWith('ERR_SOURCE_INVALID', join(dir, 'config.json'), 'a JSON object'),
  );
  await writeTinyLlama(dir, TINY_LLAMAS.gqa);
  await rm(join(dir, 'model.safetensors'));
  await writeFile(join(dir, 'pytorch_model.bin'), '');
  await assert.rejects(
    openHuggingFace(dir),
    failsWith('ERR_SOURCE_INVALID', dir, 'model.safetensors', 'safe_serialization'),
  );
});
