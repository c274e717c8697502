import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { JsonFields } from '#lib/base/json.js';
import { readSentencePieceModel } from '#lib/engine/formats/sentencepiece-model.js';
import { sentencePieceTokenizer, type TokenizerSettings } from '#lib/engine/formats/sentencepiece-tokenizer.js';
import { failsWith } from '../../../tools/fails-with.js';
import { loadText } from '../../text/fixtures.js';
import { bytesField, floatField, message, numberField } from './protobuf-bytes.js';

const fixture = (name: string): URL =>
  new URL(`../../../../test/lib/engine/formats/fixtures/sentencepiece/${name}`, import.meta.url);

const fields = (object: object, file: string): JsonFields =>
  new JsonFields(object as Record<string, unknown>, { file, code: 'ERR_SOURCE_INVALID', fix: 'Fix it.' });

const settingsOf = ({
  config,
  added,
  special,
}: {
  config?: object;
  added?: object;
  special?: object;
}): TokenizerSettings => ({
  config: config && fields(config, 'tokenizer_config.json'),
  added: added && fields(added, 'added_tokens.json'),
  special: special && fields(special, 'special_tokens_map.json'),
});

const tokenizerOf = (model: Uint8Array, settings: Parameters<typeof settingsOf>[0] = {}) =>
  loadText(sentencePieceTokenizer(readSentencePieceModel(model, 'tokenizer.model'), settingsOf(settings)));

for (const name of ['bpe-llama', 'unigram-llama', 'bpe', 'unigram']) {
  test(`${name}: the ids are those of the package sentencepiece`, async () => {
    const rows: { text: string; ids: number[] }[] = JSON.parse(await readFile(fixture(`${name}.golden.json`), 'utf8'));
    const tokenizer = await tokenizerOf(await readFile(fixture(`${name}.model`)));
    assert.ok(rows.length > 80);
    for (const { text, ids } of rows) {
      assert.deepEqual([...(await tokenizer.encode(text, { addSpecialTokens: false }))], ids, JSON.stringify(text));
    }
  });
}

/** Pieces of a model: text, score and type. */
type Row = readonly [text: string, score: number, type: number];
const PIECES: readonly Row[] = [
  ['<unk>', 0, 2],
  ['<s>', 0, 3],
  ['</s>', 0, 3],
  ['<0x0A>', 0, 6],
  ['<tool>', 0, 4],
  ['▁', -1, 1],
  ['a', -2, 1],
  ['▁a', -0.5, 1],
];
const BPE = 2;
const IDENTITY = [numberField(4, 0)];

const modelOf = (
  rows: readonly Row[],
  { trainer = [], normalizer = IDENTITY }: { trainer?: Buffer[]; normalizer?: Buffer[] } = {},
): Buffer =>
  message(
    ...rows.map(([text, score, type]) =>
      bytesField(1, message(bytesField(1, text), floatField(2, score), numberField(3, type))),
    ),
    bytesField(2, message(numberField(3, BPE), numberField(35, 1), ...trainer)),
    bytesField(3, message(...normalizer)),
  );

const idsOf = async (
  model: Buffer,
  text: string,
  settings: Parameters<typeof settingsOf>[0] = {},
): Promise<number[]> => [...(await (await tokenizerOf(model, settings)).encode(text))];

test('control and user-defined pieces are found in a text, and what is between them begins with a space', async () => {
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a<tool>a</s>a<unk>'), [1, 7, 4, 7, 2, 7, 0]);
  const tokenizer = await tokenizerOf(modelOf(PIECES));
  assert.equal(tokenizer.decode([1, 7, 4, 7, 2]), 'a<tool> a');
});

test('legacy: false puts a space before the first part of a text only', async () => {
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a<tool>a', { config: { legacy: false } }), [1, 7, 4, 6]);
});

test('what the model and add_prefix_space say of the space before a text counts', async () => {
  const without = modelOf(PIECES, { normalizer: [...IDENTITY, numberField(3, 0)] });
  assert.deepEqual(await idsOf(without, 'a a'), [1, 6, 7]);
  assert.deepEqual(await idsOf(without, 'a', { config: { add_prefix_space: true } }), [1, 7]);
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a', { config: { add_prefix_space: false } }), [1, 6]);
});

test('spaces are dropped where the model says so, and written as they are where it does not escape them', async () => {
  assert.deepEqual(await idsOf(modelOf(PIECES), ' a  a '), [1, 5, 7, 5, 7, 5]);
  assert.deepEqual(await idsOf(modelOf(PIECES, { normalizer: [] }), ' a  a '), [1, 7, 7]);
  assert.deepEqual(await idsOf(modelOf(PIECES, { normalizer: [] }), '   '), [1]);
  const plain = modelOf([...PIECES, [' ', -1, 1], [' a', -0.1, 1]], { normalizer: [...IDENTITY, numberField(5, 0)] });
  assert.deepEqual(await idsOf(plain, 'a  a'), [1, 9, 8, 9]);
});

test('a text begins with the begin token unless tokenizer_config.json says otherwise', async () => {
  assert.deepEqual(
    await idsOf(modelOf(PIECES), 'a', { config: { add_bos_token: false, add_eos_token: true } }),
    [7, 2],
  );
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a', { config: { tokenizer_class: 'T5Tokenizer' } }), [7, 2]);
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a', { config: { bos_token: '<tool>' } }), [4, 7]);
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a', { special: { bos_token: { content: '</s>' } } }), [2, 7]);
});

test('tokens that were added to the model are found, and may give its pieces other names', async () => {
  const added_tokens_decoder = {
    1: { content: '<begin>', special: true },
    8: { content: '<x>', special: true, rstrip: true },
  };
  const settings = { config: { added_tokens_decoder, bos_token: '<begin>' } };
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a<x>  a<begin>', settings), [1, 7, 8, 7, 1]);
  assert.deepEqual(await idsOf(modelOf(PIECES), 'a<y><z>', { added: { '<z>': 9, '<y>': 8 } }), [1, 7, 8, 9]);
});

test('added tokens with gaps between their ids, or with names that are taken, are refused', () => {
  const make = (added_tokens_decoder: object) => (): unknown =>
    sentencePieceTokenizer(
      readSentencePieceModel(modelOf(PIECES), 'tokenizer.model'),
      settingsOf({ config: { added_tokens_decoder } }),
    );
  const field = 'tokenizer_config.json: added_tokens_decoder';
  assert.throws(make({ 9: { content: '<x>' } }), failsWith('ERR_SOURCE_INVALID', field, '9 does not'));
  assert.throws(make({ 8: { content: 'a' } }), failsWith('ERR_SOURCE_INVALID', field, 'a name of its own'));
  assert.throws(make({ x: { content: 'b' } }), failsWith('ERR_SOURCE_INVALID', 'added_tokens_decoder.x'));
});

const UNSUPPORTED: [what: string, model: Buffer, named: string][] = [
  ['of words', modelOf(PIECES, { trainer: [numberField(3, 3)] }), 'words or characters'],
  ['that puts spaces behind words', modelOf(PIECES, { trainer: [numberField(24, 1)] }), 'spaces behind words'],
  ['with unused pieces', modelOf([...PIECES, ['b', 0, 5]]), 'the unused piece "b"'],
];
for (const [what, model, named] of UNSUPPORTED) {
  test(`a model ${what} is refused by name`, () => {
    assert.throws(
      () => readSentencePieceModel(model, 'x/tokenizer.model'),
      failsWith('ERR_MODEL_UNSUPPORTED', 'x/tokenizer.model', named),
    );
  });
}

const INVALID: [what: string, model: Buffer, named: string][] = [
  ['nothing', Buffer.alloc(0), 'has no pieces'],
  ['text, as tiktoken has it', Buffer.from('IQ== 0\nIg== 1\n'), 'has no pieces'],
  ['a piece that is cut off', modelOf(PIECES).subarray(0, 9), 'is damaged at byte'],
  ['a length beyond the end', Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f), 'is damaged at byte'],
  ['an endless number', Buffer.alloc(20, 0xff), 'is damaged at byte'],
  ['two pieces of one name', modelOf([...PIECES, ['a', 0, 1]]), 'has the piece "a" twice'],
  ['an empty piece', modelOf([...PIECES, ['', 0, 1]]), 'has a piece 8 without text'],
  ['a score that is no number', modelOf([...PIECES, ['b', Number.NaN, 1]]), 'has a piece 8 without text, score'],
  ['a type that there is not', modelOf([...PIECES, ['b', 0, 7]]), 'has a piece 8 without text, score or type'],
  ['a piece that is too long', modelOf([...PIECES, ['b'.repeat(300), 0, 1]]), 'has a piece 8 of more than 256'],
  ['a piece of a million bytes', modelOf([...PIECES, ['b'.repeat(1e6), 0, 1]]), 'has a piece 8 of 1000000 bytes'],
  ['no unknown piece', modelOf(PIECES.slice(1)), 'has 0 unknown pieces'],
  ['two unknown pieces', modelOf([...PIECES, ['b', 0, 2]]), 'has 2 unknown pieces'],
  ['a piece that is not UTF-8', message(bytesField(1, message(bytesField(1, Buffer.of(0xff))))), 'not UTF-8'],
];
for (const [what, model, named] of INVALID) {
  test(`a model of ${what} is an error that names the file`, () => {
    assert.throws(
      () => readSentencePieceModel(model, 'x/tokenizer.model'),
      failsWith('ERR_SOURCE_INVALID', 'x/tokenizer.model', named),
    );
  });
}

test('a damaged model is an error or another model, wherever it is damaged', async () => {
  const whole = await readFile(fixture('unigram.model'));
  for (let at = 0; at < whole.length; at += 7) {
    for (const damaged of [
      whole.subarray(0, at),
      Buffer.concat([whole.subarray(0, at), Buffer.of(0xff), whole.subarray(at + 1)]),
    ]) {
      try {
        readSentencePieceModel(damaged, 'tokenizer.model');
      } catch (error) {
        assert.match(String((error as { code?: string }).code), /ERR_SOURCE_INVALID|ERR_MODEL_UNSUPPORTED/);
      }
    }
  }
});
