import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokenizer as HuggingFaceTokenizer } from 'tokenizers';
import type { TokenizerOptions } from '#lib/text/tokenizer.js';
import { fixturePath, type GoldenRow, loadFixture, loadText, randomIntegers, readFixture } from './fixtures.js';

for (const name of ['byte-level', 'byte-fallback', 'metaspace']) {
  test(`${name}: ids and texts are those of Hugging Face tokenizers`, async () => {
    const tokenizer = await loadFixture(name);
    for (const { text, ids, decoded = text, decodedWithSpecial = text } of readFixture<GoldenRow[]>(
      `${name}.golden.json`,
    )) {
      assert.deepEqual([...(await tokenizer.encode(text))], ids, text);
      assert.equal(tokenizer.decode(ids), decoded);
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: false }), decodedWithSpecial);
    }
  });
}

test('any tokens of a byte-level vocabulary decode as by Hugging Face tokenizers, broken characters included', async () => {
  const [ours, theirs] = [
    await loadFixture('byte-level'),
    HuggingFaceTokenizer.fromFile(fixturePath('byte-level.tokenizer.golden.json')),
  ];
  const random = randomIntegers(1);
  for (let round = 0; round < 500; round++) {
    const ids = Array.from({ length: 1 + random(30) }, () => random(ours.vocabSize));
    assert.equal(ours.decode(ids), await theirs.decode(ids, true), `tokens ${ids}`);
  }
});

test('any tokens of a byte-fallback vocabulary decode as by Hugging Face tokenizers where the bytes are UTF-8', async () => {
  const [ours, theirs] = [
    await loadFixture('byte-fallback'),
    HuggingFaceTokenizer.fromFile(fixturePath('byte-fallback.tokenizer.golden.json')),
  ];
  const random = randomIntegers(2);
  for (let round = 0; round < 500; round++) {
    const ids = Array.from({ length: 1 + random(30) }, () => random(ours.vocabSize)).filter(
      (id) => id < 3 + 128 || id >= 259,
    );
    assert.equal(ours.decode(ids), await theirs.decode(ids, true), `tokens ${ids}`);
  }
});

test('encode leaves out the special tokens around a text when told to', async () => {
  const tokenizer = await loadFixture('byte-fallback');
  const [begin, ...rest] = await tokenizer.encode('the fox');
  assert.equal(begin, 1);
  assert.deepEqual([...(await tokenizer.encode('the fox', { addSpecialTokens: false }))], rest);
  assert.equal(await tokenizer.count('the fox'), rest.length + 1);
});

test('addBosToken and addEosToken decide about the tokens around a text, whatever tokenizer.json says', async () => {
  const specialTokens = { bos_token: '<s>', eos_token: '</s>' };
  const around = async (options: Partial<TokenizerOptions>): Promise<number[]> => {
    const tokenizer = await loadFixture('byte-fallback', { specialTokens, ...options });
    const inner = await tokenizer.encode('a', { addSpecialTokens: false });
    const ids = [...(await tokenizer.encode('a'))];
    return ids.filter((id) => !inner.includes(id));
  };
  assert.deepEqual(await around({}), [1]);
  assert.deepEqual(await around({ addBosToken: true, addEosToken: false }), [1]);
  assert.deepEqual(await around({ addBosToken: false }), []);
  assert.deepEqual(await around({ addEosToken: true }), [1, 2]);
  assert.deepEqual(await around({ addBosToken: false, addEosToken: true }), [2]);
  assert.deepEqual(await around({ addBosToken: false, specialTokens: {} }), [1], 'nobody says which token that is');
  assert.deepEqual(await around({ addEosToken: true, specialTokens: { eos_token: '<none>' } }), [1]);
  const tokenizer = await loadFixture('byte-fallback', { specialTokens, addEosToken: true });
  await assert.rejects(tokenizer.encode('a', { maxTokens: 2 }), { code: 'ERR_PROMPT_TOO_LONG' });
});

test('a lone surrogate is encoded as U+FFFD', async () => {
  const tokenizer = await loadFixture('byte-level');
  assert.deepEqual(await tokenizer.encode('a\ud800b\udc00'), await tokenizer.encode('a\ufffdb\ufffd'));
});

test('truncation and padding of tokenizer.json are not applied', async () => {
  const json = readFixture<Record<string, unknown>>('byte-level.tokenizer.golden.json');
  json.truncation = { direction: 'Right', max_length: 3, strategy: 'LongestFirst', stride: 0 };
  json.padding = {
    strategy: { Fixed: 4000 },
    direction: 'Right',
    pad_to_multiple_of: null,
    pad_id: 0,
    pad_type_id: 0,
    pad_token: '!',
  };
  const [cut, plain] = [await loadText(JSON.stringify(json)), await loadFixture('byte-level')];
  assert.deepEqual(await cut.encode('x'.repeat(100)), await plain.encode('x'.repeat(100)));
});

test('encode refuses what is no string', async () => {
  const tokenizer = await loadFixture('byte-level');
  await assert.rejects(tokenizer.encode(5 as unknown as string), {
    code: 'ERR_INVALID_INPUT',
    message: /is 5; expected a string/,
  });
});

test('decode gives no text for ids outside the vocabulary and refuses what is no integer', async () => {
  const tokenizer = await loadFixture('byte-level');
  const [id = -1] = await tokenizer.encode('a', { addSpecialTokens: false });
  assert.equal(tokenizer.decode([-1, id, tokenizer.vocabSize, 2 ** 40, id]), 'aa');
  assert.throws(() => tokenizer.decode([id, 1.5]), { code: 'ERR_INVALID_INPUT', message: /tokens\[1\] is 1\.5/ });
  for (const wrong of ['12' as unknown as number[], { length: 2 ** 53 - 1 }, { length: -1 }]) {
    assert.throws(() => tokenizer.decode(wrong), { code: 'ERR_INVALID_INPUT' });
  }
  assert.throws(() => tokenizer.decode(['1'] as unknown as number[]), { code: 'ERR_INVALID_INPUT' });
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  const throwing = Object.defineProperty([id], 0, { get: () => assert.fail('no') });
  for (const broken of [revoked.proxy, throwing, Object.create(Int32Array.prototype), new Array(3)]) {
    assert.throws(() => tokenizer.decode(broken), { code: 'ERR_INVALID_INPUT' });
  }
});

test('a byte order mark stays, also as the first character', async () => {
  const tokenizer = await loadFixture('byte-level');
  assert.equal(tokenizer.decode(await tokenizer.encode('\ufeffa\ufeff')), '\ufeffa\ufeff');
});

test('tokenText keeps the space that decode strips', async () => {
  const tokenizer = await loadFixture('metaspace');
  const [the = -1] = await tokenizer.encode('the');
  assert.equal(tokenizer.tokenText(the), ' the');
  assert.equal(tokenizer.decode([the]), 'the');
});

test('tokenText names special tokens and shows part of a character as U+FFFD', async () => {
  const tokenizer = await loadFixture('byte-fallback');
  const [begin = -1, , ...bytes] = await tokenizer.encode('🦊');
  assert.equal(tokenizer.tokenText(begin), '<s>');
  assert.deepEqual(
    bytes.map((byte) => tokenizer.tokenText(byte)),
    ['\ufffd', '\ufffd', '\ufffd', '\ufffd'],
  );
});

const valid = readFixture<Record<string, unknown>>('metaspace.tokenizer.golden.json');
const added = { content: '<x>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const BROKEN: [what: string, text: string, message: RegExp][] = [
  ['cut off', '{"model": {', /tokenizer\.json is not valid JSON/],
  ['an array', '[]', /expected a JSON object/],
  ['without a model', '{}', /model is missing/],
  ['with an id that is no number', JSON.stringify({ model: { vocab: { a: '0' } } }), /the id of token "a" is "0"/],
  [
    'with an id no vocabulary has',
    JSON.stringify({ model: { vocab: { a: 4e9 } } }),
    /the id of token "a" is 4000000000/,
  ],
  ['with an id whose table would fill the memory', JSON.stringify({ model: { vocab: { a: 2 ** 21 } } }), /is 2097152/],
  [
    'nested so deep that its reading would end the stack',
    `{"model": {"vocab": {"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}}}`,
    /nested deeper than 500/,
  ],
  [
    'with a list for a vocabulary',
    JSON.stringify({ model: { type: 'BPE', vocab: [['a', 1]] } }),
    /model\.vocab is \[\["a",1\]\]; expected an object/,
  ],
  ['with added tokens that are none', JSON.stringify({ ...valid, added_tokens: [null] }), /added_tokens is \[null\]/],
  [
    'that has no decoder',
    JSON.stringify({ ...valid, decoder: null }),
    /tokenizer\.json: decoder is missing; expected ByteLevel/,
  ],
  [
    'with another model',
    JSON.stringify({ ...valid, model: { type: 'WordPiece', vocab: {} } }),
    /model\.type is "WordPiece"; expected "BPE" or "Unigram"/,
  ],
  [
    'with a gap before an added token',
    JSON.stringify({ ...valid, added_tokens: [{ id: 99, ...added }] }),
    /"<x>" the id 99.* encoded as 28/,
  ],
];
for (const [what, text, message] of BROKEN) {
  test(`a tokenizer.json ${what} is a typed error that says so`, async () => {
    await assert.rejects(loadText(text), { code: 'ERR_TOKENIZER_INVALID', message });
  });
}

test('a tokenizer.json that is not there is a typed error naming the file', async () => {
  await assert.rejects(loadFixture('absent'), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /absent\.tokenizer\.golden\.json cannot be read/,
  });
});

test('the special tokens and chat templates of a model can be read', async () => {
  const { specialTokens, chatTemplates } = await loadFixture('byte-level', {
    specialTokens: { bos_token: '<s>' },
    chatTemplates: new Map([['default', '{{ bos_token }}']]),
  });
  assert.deepEqual(specialTokens, { bos_token: '<s>' });
  assert.deepEqual([...chatTemplates], [['default', '{{ bos_token }}']]);
});
