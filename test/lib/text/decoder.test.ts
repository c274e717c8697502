import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tokenizer } from '#lib/text/tokenizer.js';
import { loadText } from './fixtures.js';

const SENTENCEPIECE = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};

/** A tokenizer of tokens with these names, by id; undefined is an id without a token. */
const tokenizerOf = (names: (string | undefined)[], decoder: unknown, added: object[] = []): Promise<Tokenizer> => {
  const vocab = Object.fromEntries(names.flatMap((name, id) => (name === undefined ? [] : [[name, id]])));
  return loadText(
    JSON.stringify({ added_tokens: added, model: { type: 'BPE', vocab: { ...vocab }, merges: [] }, decoder }),
  );
};

test('byte-level: the 256 characters of the alphabet are the 256 bytes, and a space is written as U+0120', async () => {
  const alphabet = [...Array(0x144).keys()].filter((code) => !/[\0- \x7f-\xa0\xad]/.test(String.fromCharCode(code)));
  const tokenizer = await tokenizerOf(
    alphabet.map((code) => String.fromCharCode(code)),
    { type: 'ByteLevel' },
  );
  assert.equal(alphabet.length, 256);
  const idOf = (byte: number): number => {
    const printable = alphabet.indexOf(byte);
    if (printable >= 0) return printable;
    const others = [...Array(256).keys()].filter((other) => !alphabet.includes(other));
    return alphabet.indexOf(256 + others.indexOf(byte));
  };
  const text = 'a b\u0000\u00ad\u00e9日本\u{1f98a}\u07ff';
  assert.equal(tokenizer.decode([...new TextEncoder().encode(text)].map(idOf)), text);
  assert.equal(tokenizer.tokenText(alphabet.indexOf(0x120)), ' ');
});

test('byte-level: a name with a character outside the alphabet stands for its own UTF-8', async () => {
  assert.equal((await tokenizerOf(['é<｜end｜>'], { type: 'ByteLevel' })).tokenText(0), 'é<｜end｜>');
});

test('byte-fallback: <0x0A> is one byte, and what only looks alike is text', async () => {
  const names = ['<0x0A>', '<0xff>', '<0xZZ>', '<0x0A>x', '▁a▁b', '日'];
  const tokenizer = await tokenizerOf(names, SENTENCEPIECE);
  assert.deepEqual(
    names.map((_, id) => tokenizer.tokenText(id)),
    ['\n', '\ufffd', '<0xZZ>', '<0x0A>x', ' a b', '日'],
  );
  assert.equal(tokenizer.decode([4]), 'a b');
});

test('a leading space is stripped only where the decoder says so', async () => {
  const strips = async (decoder: unknown) => (await tokenizerOf(['▁a'], decoder)).decode([0]) === 'a';
  assert.equal(await strips({ type: 'Sequence', decoders: SENTENCEPIECE.decoders.slice(0, 3) }), false);
  assert.equal(await strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }), true);
  assert.equal(await strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'first' }), true);
  assert.equal(await strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' }), false);
  assert.equal(await strips({ type: 'Metaspace', replacement: '▁', add_prefix_space: false }), false);
});

test('an id nobody has stands for no text, and a special token is left out', async () => {
  const tokenizer = await tokenizerOf(['a', undefined, 'c', 'A'], { type: 'ByteLevel' }, [
    { id: 3, content: 'A', special: false },
    { id: 2, content: 'c', special: true },
  ]);
  assert.equal(tokenizer.decode([0, 1, 2, 3, 4]), 'aA');
  assert.equal(tokenizer.decode([0, 1, 2, 3, 4], { skipSpecialTokens: false }), 'acA');
  assert.equal(tokenizer.vocabSize, 4);
});

const [replace, byteFallback, fuse, strip] = SENTENCEPIECE.decoders;
const UNSUPPORTED: [why: string, decoder: unknown][] = [
  ['joins words', { type: 'WordPiece', prefix: '##', cleanup: true }],
  ['drops repeated tokens', { type: 'CTC' }],
  ['replaces by a pattern', { type: 'Replace', pattern: { Regex: 'a+' }, content: '' }],
  ['replaces nothing', { type: 'Replace', pattern: { String: '' }, content: 'a' }],
  ['replaces in the whole text', { type: 'Sequence', decoders: [fuse, replace] }],
  ['replaces behind byte fallback', { type: 'Sequence', decoders: [byteFallback, replace] }],
  ['strips each token', { type: 'Sequence', decoders: [strip, fuse] }],
  ['strips more than a space', { type: 'Sequence', decoders: [fuse, { ...strip, start: 2 }] }],
  ['strips the end', { type: 'Sequence', decoders: [fuse, { ...strip, stop: 1 }] }],
  ['spells bytes in two ways', { type: 'Sequence', decoders: [byteFallback, { type: 'ByteLevel' }] }],
  ['is no object', 'ByteLevel'],
  ['is a sequence of nothing known', { type: 'Sequence' }],
];
for (const [why, decoder] of UNSUPPORTED) {
  test(`a decoder that ${why} is refused with its name`, async () => {
    await assert.rejects(tokenizerOf(['a'], decoder), {
      code: 'ERR_TOKENIZER_INVALID',
      message: /tokenizer\.json: decoder is .*; expected ByteLevel, Metaspace/,
    });
  });
}

test('a decoder that makes a hundred million bytes of a few is refused', async () => {
  const growing = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(1000) };
  await assert.rejects(tokenizerOf(['a'.repeat(1000)], { type: 'Sequence', decoders: [growing, growing, growing] }), {
    code: 'ERR_TOKENIZER_INVALID',
    message: /decoder makes more than/,
  });
});
