import assert from 'node:assert/strict';
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ErrorCode, LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

// Each damage goes through the whole addon while another engine runs, which must not notice.
type Json = { [name: string]: Json } & Record<string, unknown>;

const editJson = async (file: string, edit: (json: Json) => void): Promise<void> => {
  const json = JSON.parse(await readFile(file, 'utf8')) as Json;
  edit(json);
  await writeFile(file, JSON.stringify(json));
};

/** Changes the header of rank0.safetensors, which keeps its length, and the bytes behind it. */
async function editHeader(dir: string, edit: (text: string) => string): Promise<void> {
  const file = join(dir, 'rank0.safetensors');
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const edited = edit(bytes.toString('utf8', 8, 8 + length)).padEnd(length);
  assert.equal(edited.length, length);
  bytes.write(edited, 8);
  await writeFile(file, bytes);
}

const damages: [string, (dir: string) => Promise<unknown>, ErrorCode, RegExp][] = [
  ['no config.json', (dir) => rm(join(dir, 'config.json')), 'ERR_ENGINE_CONFIG', /config\.json/],
  [
    'a config.json that is no JSON',
    (dir) => writeFile(join(dir, 'config.json'), '{'),
    'ERR_ENGINE_CONFIG',
    /config\.json/,
  ],
  [
    'an unknown architecture',
    (dir) =>
      editJson(join(dir, 'config.json'), (json) =>
        Object.assign(json.pretrained_config ?? {}, { architecture: 'Nope' }),
      ),
    'ERR_MODEL_UNSUPPORTED',
    /architecture.*Nope/,
  ],
  [
    'an unknown dtype',
    (dir) =>
      editJson(join(dir, 'config.json'), (json) => Object.assign(json.pretrained_config ?? {}, { dtype: 'int3' })),
    'ERR_MODEL_UNSUPPORTED',
    /dtype.*int3/,
  ],
  [
    'more layers than the weights have',
    (dir) =>
      editJson(join(dir, 'config.json'), (json) =>
        Object.assign(json.pretrained_config ?? {}, { num_hidden_layers: 3 }),
      ),
    'ERR_ENGINE_WEIGHTS',
    /transformer\.layers\.2/,
  ],
  ['no weights', (dir) => rm(join(dir, 'rank0.safetensors')), 'ERR_ENGINE_RANKS', /rank0\.safetensors/],
  [
    'weights cut short',
    (dir) => truncate(join(dir, 'rank0.safetensors'), 5000),
    'ERR_ENGINE_WEIGHTS',
    /rank0\.safetensors/,
  ],
  [
    'weights cut short that no manifest knows',
    async (dir) => {
      await rm(join(dir, 'manifest.json'));
      await truncate(join(dir, 'rank0.safetensors'), 5000);
    },
    'ERR_ENGINE_WEIGHTS',
    /rank0\.safetensors/,
  ],
  [
    'a tensor of another name',
    (dir) => editHeader(dir, (text) => text.replace('transformer.ln_f.weight', 'transformer.ln_g.weight')),
    'ERR_ENGINE_WEIGHTS',
    /transformer\.ln_f\.weight/,
  ],
  [
    'a header that is no JSON',
    (dir) => editHeader(dir, (text) => text.replace('{', '[')),
    'ERR_ENGINE_WEIGHTS',
    /rank0/,
  ],
  [
    'offsets outside the file',
    (dir) => editHeader(dir, (text) => text.replace(/"data_offsets":\[0,(\d)/, '"data_offsets":[0,9')),
    'ERR_ENGINE_WEIGHTS',
    /vocab_embedding/,
  ],
  [
    'a tokenizer.json that is no JSON',
    (dir) => writeFile(join(dir, 'tokenizer.json'), '['),
    'ERR_TOKENIZER_INVALID',
    /tokenizer\.json/,
  ],
];

let good: LLM;
before(async () => {
  good = await LLM.load(await tinyEngine());
});
after(() => good.close());

for (const [what, damage, code, words] of damages) {
  test(`an engine with ${what} is refused by ${code}, and the process goes on`, async () => {
    const dir = join(await temporaryDirectory(), 'engine');
    await cp(await tinyEngine(), dir, { recursive: true });
    await damage(dir);
    const neighbour = good.generate('good', { maxTokens: 8, ignoreEos: true });
    await assert.rejects(LLM.load(dir), failsWith(code, words));
    assert.equal((await neighbour).usage.completionTokens, 8);
  });
}
