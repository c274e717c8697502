import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadAddon } from '#lib/addon/addon.js';
import { LLMError } from '#lib/base/errors.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { BYTE_LEVEL_FAMILIES, type TokenizerJson } from './families.js';
import { loadText, readFixture } from './fixtures.js';

const byteLevel = (changes: object): Promise<Tokenizer> =>
  loadText(JSON.stringify({ ...readFixture<TokenizerJson>('byte-level.tokenizer.golden.json'), ...changes }));
const split = (Regex: string): object => ({
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
});

const LONG: [what: string, make: () => string][] = [
  ['ten million spaces before an x', () => `${' '.repeat(10_000_100)}x`],
  ['twenty million times one letter', () => 'a'.repeat(20e6)],
  ['twenty million random bytes', () => randomFillSync(Buffer.alloc(20e6)).toString('latin1')],
  ['a million combining marks', () => `e${'\u0301\u0323'.repeat(5e5)}`],
  ['a million special tokens, some cut off', () => '<|begin|><|beg'.repeat(1e6)],
];
for (const [what, make] of LONG) {
  test(`${what} are encoded, and decode to themselves`, async () => {
    const text = make();
    const tokenizer = await byteLevel(BYTE_LEVEL_FAMILIES['llama-bpe'] ?? {});
    const tokens = await tokenizer.encode(text, { addSpecialTokens: false });
    assert.ok(tokenizer.decode(tokens, { skipSpecialTokens: false }) === text);
  });
}

/** A map of characters as SentencePiece stores it: the units of a trie, then the replacements. */
function charactersMap(units: number[], replacements: string | Buffer): string {
  const size = Buffer.from(Uint32Array.of(units.length * 4).buffer);
  return Buffer.concat([size, Buffer.from(Uint32Array.from(units).buffer), Buffer.from(replacements)]).toString(
    'base64',
  );
}

const REFUSED: [what: string, normalizer: object, message: RegExp][] = [
  ['Replace of ""', { type: 'Replace', pattern: { String: '' }, content: 'x' }, /pattern\.String has 0 bytes/],
  ['Prepend of ""', { type: 'Prepend', prepend: '' }, /normalizer\.prepend is ""/],
  [
    'a Precompiled charsmap of three bytes',
    { type: 'Precompiled', precompiled_charsmap: 'AAAA' },
    /normalizer\.precompiled_charsmap has 3 bytes, which do not hold what they say/,
  ],
  [
    'a Precompiled charsmap that is not base64',
    { type: 'Precompiled', precompiled_charsmap: '&' },
    /normalizer\.precompiled_charsmap has a character that base64 has not/,
  ],
  [
    'a Precompiled charsmap whose trie is longer than all of it',
    { type: 'Precompiled', precompiled_charsmap: charactersMap([0, 0], '').replace('CAAAA', '8AAAA') },
    /normalizer\.precompiled_charsmap has 12 bytes/,
  ],
  ['a BertNormalizer', { type: 'BertNormalizer' }, /normalizer\.type is "BertNormalizer"; expected NFC/],
  [
    'a Precompiled charsmap with text that is not UTF-8',
    { type: 'Precompiled', precompiled_charsmap: charactersMap([0], Buffer.of(0xff)) },
    /normalizer\.precompiled_charsmap holds text that is not UTF-8/,
  ],
  [
    'sixty-five steps',
    { type: 'Sequence', normalizers: Array.from({ length: 65 }, () => ({ type: 'NFC' })) },
    /normalizers\[64\] is one step too many/,
  ],
];
for (const [what, normalizer, message] of REFUSED) {
  test(`a normalizer of ${what} is refused with its name`, async () => {
    await assert.rejects(byteLevel({ normalizer }), { code: 'ERR_TOKENIZER_INVALID', message });
  });
}

/** A trie's unit: the byte that leads to it, where its children begin from here, and whether one of them is its value. */
const unit = (byte: number, offset: number, hasValue = false): number =>
  ((offset << 10) | (hasValue ? 1 << 8 : 0) | byte) >>> 0;
const mapped = (units: number[], replacements: string): Promise<Tokenizer> =>
  byteLevel({ normalizer: { type: 'Precompiled', precompiled_charsmap: charactersMap(units, replacements) } });
const A = 'a'.charCodeAt(0);
/** Units of which the one for "a" has its value at `value`. */
const trieOfA = (value: number): number[] =>
  Array.from({ length: 256 }, (_, at) =>
    at === 0 ? unit(0, 1) : at === (1 ^ A) ? unit(A, 2, true) : at === (1 ^ A ^ 2) ? value : 0,
  );

test('a map of characters replaces what it has, and one that points outside itself is an error of the text', async () => {
  const tokenizer = await mapped(trieOfA(0), 'xyz\0');
  assert.equal(tokenizer.decode(await tokenizer.encode('bab', { addSpecialTokens: false })), 'bxyzb');
  for (const units of [
    trieOfA(1000),
    trieOfA(0).slice(0, 3),
    [unit(0, 1), ...Array(300).fill(unit(A, 2 ** 20, true))],
  ]) {
    const damaged = await mapped(units, 'xyz\0');
    await assert.rejects(damaged.encode('bab'), {
      code: 'ERR_TOKENIZER_INVALID',
      message: /precompiled_charsmap points outside itself/,
    });
  }
});

test('a map that makes much of each character is refused for the text', async () => {
  const tokenizer = await mapped(trieOfA(0), `${'x'.repeat(10_000)}\0`);
  await assert.rejects(tokenizer.encode('a'.repeat(100_000)), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /normalizer makes more than 16 bytes of each byte/,
  });
});

const unigram = (model: object): Promise<Tokenizer> => {
  const json = readFixture<TokenizerJson & { model: object }>('unigram.tokenizer.golden.json');
  return loadText(JSON.stringify({ ...json, added_tokens: [], model: { ...json.model, ...model } }));
};

const REFUSED_MODELS: [what: string, model: object, message: RegExp][] = [
  ['WordPiece', { type: 'WordPiece' }, /model\.type is "WordPiece"; expected "BPE" or "Unigram"/],
  ['a vocabulary that is no list', { vocab: 3 }, /model\.vocab is 3; expected a list/],
  ['a token without a score', { vocab: [['a', -1], ['b']] }, /model\.vocab\[1\] is .*; expected a token and its score/],
  ['a score that is no number', { vocab: [['a', 'x']] }, /model\.vocab\[0\] is/],
  ['an unk_id outside the vocabulary', { vocab: [['a', -1]], unk_id: 1 }, /model\.unk_id is 1; expected the id/],
  ['a token of many bytes', { vocab: [['a'.repeat(1025), -1]], unk_id: 0 }, /model\.vocab\[0\] has 1025 bytes/],
];
for (const [what, model, message] of REFUSED_MODELS) {
  test(`a model with ${what} is refused with its name`, async () => {
    await assert.rejects(unigram(model), { code: 'ERR_TOKENIZER_INVALID', message });
  });
}

test('Unigram: a long text is encoded whose every letter begins a thousand tokens', async () => {
  const vocab = Array.from({ length: 1024 }, (_, size) => ['a'.repeat(size + 1), -1 - size / 1e6]);
  const tokenizer = await unigram({ vocab: [...vocab, ['▁', -9]], unk_id: 0 });
  assert.equal((await tokenizer.encode('a'.repeat(1024 * 100))).length, 101);
});

test('merge_ties that do not fit the merges are refused', async () => {
  const json = readFixture<TokenizerJson & { model: { merges: unknown[] } }>('byte-fallback.tokenizer.golden.json');
  const ties = json.model.merges.map((_, rank) => rank);
  const load = (merge_ties: unknown) => loadText(JSON.stringify({ ...json, model: { ...json.model, merge_ties } }));
  await load(ties);
  for (const [wrong, message] of [
    ['x', /model\.merge_ties is "x"; expected a list/],
    [ties.slice(1), /model\.merge_ties has \d+ numbers; expected one for each of/],
    [[...ties].reverse(), /model\.merge_ties\[1\] is/],
    [ties.map(() => -1), /model\.merge_ties\[0\] is -1/],
  ] as const) {
    await assert.rejects(load(wrong), { code: 'ERR_TOKENIZER_INVALID', message });
  }
});

for (const pattern of ['(a+)+$', '(.*)*x', 'a*c|.', '(a|aa)+$', '(?=(a+)*b)', '(a*)*\\1c']) {
  test(`a text is encoded by the pattern ${pattern}, or refused because that takes too long`, async () => {
    const text = `${'a'.repeat(100_000)}!`;
    const tokenizer = await byteLevel(split(pattern)).catch(isRefused);
    const tokens = await tokenizer?.encode(text).catch(isRefused);
    assert.ok(!tokens || tokenizer?.decode(tokens) === text);
    if (tokenizer) assert.equal(tokenizer.decode(await tokenizer.encode('a b')), 'a b');
  });
}
function isRefused(error: unknown): undefined {
  assert.ok(LLMError.is(error) && error.code === 'ERR_TOKENIZER_INVALID');
  assert.match(error.message, /takes more steps|Regex is/);
}

test('a text for which a pattern takes too long is an error of its own', async () => {
  const tokenizer = await byteLevel(split('a*c|.'));
  await assert.rejects(tokenizer.encode('a'.repeat(100_000)), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /tokenizer\.json: a pattern of normalizer or pre_tokenizer takes more steps than 100 for each byte/,
  });
  assert.equal(tokenizer.decode(await tokenizer.encode('a b')), 'a b');
});

test('a normalizer that makes a text grow beyond measure is an error of that text', async () => {
  const tokenizer = await byteLevel({
    normalizer: { type: 'Replace', pattern: { Regex: 'x*' }, content: 'y'.repeat(10_000) },
  });
  await assert.rejects(tokenizer.encode('aaa'), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /more than 16 bytes of each/,
  });
});

test('a million added tokens are found', async () => {
  const json = readFixture<TokenizerJson & { model: { vocab: object } }>('byte-level.tokenizer.golden.json');
  const first = Object.keys(json.model.vocab).length;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const added_tokens = Array.from({ length: 1e6 }, (_, i) => ({ id: first + i, content: `<${i}>`, ...flags }));
  const tokenizer = await loadText(JSON.stringify({ ...json, post_processor: null, added_tokens }));
  assert.deepEqual([...(await tokenizer.encode('<0><999999><12'))].slice(0, 2), [first, first + 999_999]);
  assert.equal((await tokenizer.encode('<1'.repeat(1e6))).length, 2e6);
});

test('added tokens whose texts take too much memory are refused', async () => {
  const json = readFixture<TokenizerJson & { model: { vocab: object } }>('byte-level.tokenizer.golden.json');
  const added_tokens = [{ id: Object.keys(json.model.vocab).length, content: 'x'.repeat(5e6), special: false }];
  await assert.rejects(loadText(JSON.stringify({ ...json, post_processor: null, added_tokens })), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /added_tokens have more than 1048576 bytes/,
  });
});

test('a file that does not answer, or is too large, is refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  t.after(() => rm(dir, { recursive: true }));
  const load = (name: string) => Tokenizer.load(loadAddon(), { tokenizerPath: join(dir, name) });
  execFileSync('mkfifo', [join(dir, 'pipe.json')]);
  execFileSync('truncate', ['-s', '1G', join(dir, 'sparse.json')]);
  await assert.rejects(load('pipe.json'), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /pipe\.json cannot be read: it is no regular file/,
  });
  await assert.rejects(load('sparse.json'), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /sparse\.json has 1073741824 bytes/,
  });
});

test('a text that cannot have so few tokens is refused before it is encoded, and one that has more while it is', async () => {
  const tokenizer = await byteLevel({});
  await assert.rejects(tokenizer.encode('a'.repeat(1e6), { maxTokens: 100 }), {
    code: 'ERR_PROMPT_TOO_LONG',
    message: /at least 1000000 bytes; expected at most \d+, .* 100 tokens.*\(maxTokens\)/,
  });
  await assert.rejects(tokenizer.encode('fox '.repeat(100), { maxTokens: 100 }), {
    code: 'ERR_PROMPT_TOO_LONG',
    message: /at least 101 tokens; expected at most 100 \(maxTokens\)/,
  });
  const { length } = await tokenizer.encode('fox '.repeat(10));
  assert.equal((await tokenizer.encode('fox '.repeat(10), { maxTokens: length })).length, length);
  await assert.rejects(tokenizer.encode('fox '.repeat(10), { maxTokens: length - 1 }), { code: 'ERR_PROMPT_TOO_LONG' });
  for (const maxTokens of [-1, 1.5, '5' as unknown as number]) {
    await assert.rejects(tokenizer.encode('a', { maxTokens }), { code: 'ERR_INVALID_OPTION', message: /maxTokens is/ });
  }
});

test('a signal stops the encoding with its reason', async () => {
  const tokenizer = await byteLevel({});
  const controller = new AbortController();
  const encoding = tokenizer.encode('a b '.repeat(2e6), { signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(encoding, /enough/);
  await assert.rejects(tokenizer.encode('a', { signal: controller.signal }), /enough/);
});

test('a text of some kilobytes does not wait for the end of long ones', async () => {
  const tokenizer = await byteLevel({});
  const ended: string[] = [];
  const encode = (name: string, text: string) => tokenizer.encode(text).then(() => ended.push(name));
  const long = Array.from({ length: 8 }, (_, i) => encode(`long ${i}`, 'the quick fox '.repeat(3e5)));
  await Promise.all([...long, encode('short', 'the quick fox '.repeat(500))]);
  assert.equal(ended[0], 'short');
});

test('a text is encoded at once or in turns with the same tokens, surrogate pairs included', async () => {
  const tokenizer = await byteLevel({});
  const text = `${'🦊 a\ud800b '.repeat(300)}`;
  const short = await tokenizer.encode(text, { addSpecialTokens: false });
  const long = await tokenizer.encode(`x${text.repeat(10)}`, { addSpecialTokens: false });
  assert.deepEqual(long.subarray(1, 1 + short.length), short);
  assert.equal(long.length, 1 + 10 * short.length);
});
