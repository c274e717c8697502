import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { type ErrorCode, LLM } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { engineConfig, engineWithConfig, TENSORRT_LLM_LIBRARY } from '../../tools/tensorrt-llm.js';

const load = (dir: string): Promise<LLM> => LLM.load(dir, { executor: { library: TENSORRT_LLM_LIBRARY } });

test('an engine that fits runs, and tells the GPU it runs on', async () => {
  const llm = await load(await engineWithConfig());
  assert.equal(llm.info.executor, 'tensorrt-llm');
  assert.equal(llm.info.device, 'Stand-in H100');
  const { outputs } = await llm.generate({ tokens: [1] }, { maxTokens: 4, temperature: 0 });
  assert.equal(outputs[0]?.tokens.length, 4);
  await llm.close();
});

test('a config.json that starts with a byte order mark is read', async () => {
  await (await load(await engineWithConfig(`\uFEFF${engineConfig()}`))).close();
});

/** Each field of config.json that is read, where it lies, and values it must not have. */
const NOT_A_SIZE = [0, -1, 1.5, 1e300, '8', [], true];
const WRONG: [string, string[], unknown[]][] = [
  ['version', [], [undefined, null, 12, {}]],
  ['pretrained_config', [], [[], 'x']],
  ['architecture', ['pretrained_config'], [undefined, 7]],
  ['dtype', ['pretrained_config'], [undefined, null, 16]],
  ['vocab_size', ['pretrained_config'], [undefined, ...NOT_A_SIZE]],
  ['mapping', ['pretrained_config'], [1, 'x']],
  ['quantization', ['pretrained_config'], ['FP8']],
  ['quant_algo', ['pretrained_config', 'quantization'], [8, {}]],
  ...['tp_size', 'pp_size', 'cp_size', 'gpus_per_node'].map((name): [string, string[], unknown[]] => [
    name,
    ['pretrained_config', 'mapping'],
    NOT_A_SIZE,
  ]),
  ['build_config', [], [undefined, []]],
  ...['max_batch_size', 'max_num_tokens', 'max_seq_len'].map((name): [string, string[], unknown[]] => [
    name,
    ['build_config'],
    [undefined, ...NOT_A_SIZE],
  ]),
  ['max_beam_width', ['build_config'], NOT_A_SIZE],
  ['gather_context_logits', ['build_config'], [1, 'true']],
  ['plugin_config', ['build_config'], [undefined, 'x']],
  ['lora_config', ['build_config'], ['x']],
  ['lora_target_modules', ['build_config', 'lora_config'], ['attn_q']],
  ['tokens_per_block', ['build_config', 'plugin_config'], [undefined, ...NOT_A_SIZE]],
  ['use_paged_context_fmha', ['build_config', 'plugin_config'], [1, 'enable']],
];

for (const [name, path, values] of WRONG) {
  test(`${[...path, name].join('.')} of a kind it must not be is refused by its name`, async () => {
    for (const value of values) {
      const config = engineConfig((root) => {
        const parent = path.reduce((json, part) => json[part] as typeof root, root);
        Object.assign(parent, { [name]: value });
      });
      const dir = await engineWithConfig(config);
      const words = [join(dir, 'config.json'), `${name} is `, 'trtllm-build'];
      await assert.rejects(load(dir), failsWith('ERR_ENGINE_CONFIG', ...words));
    }
  });
}

const twoRanks = engineConfig((config) => Object.assign(config.pretrained_config?.mapping ?? {}, { tp_size: 2 }));
const withModel = (fields: object): string =>
  engineConfig((config) => Object.assign(config.pretrained_config ?? {}, fields));

interface Damage {
  readonly what: string;
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly edit?: (dir: string) => Promise<unknown>;
  readonly code: ErrorCode;
  readonly words: RegExp;
}

const DAMAGES: Damage[] = [
  { what: 'no JSON', config: '{"version": ', code: 'ERR_ENGINE_CONFIG', words: /config\.json is not valid JSON/ },
  { what: 'an empty config.json', config: '', code: 'ERR_ENGINE_CONFIG', words: /config\.json is not valid JSON/ },
  { what: 'a list for config.json', config: '[]', code: 'ERR_ENGINE_CONFIG', words: /config\.json/ },
  {
    what: 'a number that no double holds',
    config: engineConfig().replace('"max_seq_len":64', '"max_seq_len":1e999'),
    code: 'ERR_ENGINE_CONFIG',
    words: /config\.json is not valid JSON/,
  },
  {
    what: 'an older version',
    config: engineConfig((config) => Object.assign(config, { version: '1.0.0' })),
    code: 'ERR_ENGINE_CONFIG',
    words: /version is 1\.0\.0; expected 1\.2\.1.*install TensorRT-LLM 1\.0\.0/,
  },
  {
    what: 'the version "none" of engines before config.json had one',
    config: engineConfig((config) => Object.assign(config, { version: 'none' })),
    code: 'ERR_ENGINE_CONFIG',
    words: /version is none; expected 1\.2\.1/,
  },
  {
    what: 'a rank file missing',
    config: twoRanks,
    code: 'ERR_ENGINE_RANKS',
    words: /holds rank0\.engine; expected rank0\.engine, rank1\.engine/,
  },
  {
    what: 'a rank file too many',
    edit: (dir) => writeFile(join(dir, 'rank1.engine'), 'of another engine'),
    code: 'ERR_ENGINE_RANKS',
    words: /holds rank0\.engine, rank1\.engine; expected rank0\.engine,/,
  },
  {
    what: 'no rank file',
    edit: (dir) => rm(join(dir, 'rank0.engine')),
    code: 'ERR_ENGINE_RANKS',
    words: /has no rank file/,
  },
  {
    what: 'an empty rank file',
    edit: (dir) => writeFile(join(dir, 'rank0.engine'), ''),
    code: 'ERR_ENGINE_WEIGHTS',
    words: /rank0\.engine has 0 bytes.*Copy it again/,
  },
  {
    what: 'a model that is no decoder',
    config: withModel({ architecture: 'BertForSequenceClassification' }),
    code: 'ERR_MODEL_UNSUPPORTED',
    words: /architecture is BertForSequenceClassification/,
  },
  {
    what: 'more ranks than there are GPUs',
    config: twoRanks,
    edit: (dir) => writeFile(join(dir, 'rank1.engine'), 'the second rank'),
    env: { STAND_IN_GPUS: '8.0 NVIDIA A100' },
    code: 'ERR_ENGINE_RANKS',
    words: /^This machine has 1 GPU; expected one for each of the engine's 2 ranks\./,
  },
  {
    what: 'a GPU that this version does not run on',
    env: { STAND_IN_GPUS: '7.5 Tesla T4' },
    code: 'ERR_EXECUTOR_UNAVAILABLE',
    words: /^TensorRT-LLM is 1\.2\.1, and GPU 0 is Tesla T4 of compute capability 7\.5; expected up to 0\.14,/,
  },
  {
    what: 'a precision that the GPU lacks',
    config: withModel({ quantization: { quant_algo: 'FP8' } }),
    env: { STAND_IN_GPUS: '8.0 NVIDIA A100' },
    code: 'ERR_MODEL_UNSUPPORTED',
    words: /NVIDIA A100 of compute capability 8\.0; expected 8\.9 or newer, because .*quant_algo is FP8\./,
  },
  {
    what: 'no GPU',
    env: { STAND_IN_CUDA_ERROR: '100' },
    code: 'ERR_EXECUTOR_UNAVAILABLE',
    words: /found no GPU.*nvidia-smi/,
  },
];

afterEach(() => {
  delete process.env.STAND_IN_GPUS;
  delete process.env.STAND_IN_CUDA_ERROR;
});

for (const { what, config, env, edit, code, words } of DAMAGES) {
  test(`an engine with ${what} is refused by ${code}`, async () => {
    const dir = await engineWithConfig(config);
    await edit?.(dir);
    Object.assign(process.env, env);
    await assert.rejects(load(dir), failsWith(code, words));
  });
}
