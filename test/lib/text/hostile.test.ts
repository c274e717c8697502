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

const REFUSED: [what: string, normalizer: object, message: RegExp][] = [
  ['Replace of ""', { type: 'Replace', pattern: { String: '' }, content: 'x' }, /pattern\.String has 0 bytes/],
  ['Prepend of ""', { type: 'Prepend', prepend: '' }, /normalizer\.prepend is ""/],
  [
    'a Precompiled charsmap of three bytes',
    { type: 'Precompiled', precompiled_charsmap: 'AAAA' },
    /normalizer\.type is "Precompiled"; expected NFC/,
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
