import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ByteTable, buildByteTable } from '#lib/text/byte-table.js';

const SENTENCEPIECE = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};

const tableOf = (names: (string | undefined)[], decoder: unknown): ByteTable =>
  buildByteTable({ names, addedTokens: [], decoder }, 'tokenizer.json');
const bytesOf = ({ bytes, offsets }: ByteTable, id: number): number[] => [
  ...bytes.subarray(offsets[id], offsets[id + 1]),
];
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];

test('byte-level: the 256 characters of the alphabet are the 256 bytes, and a space is written as U+0120', () => {
  const alphabet = [...Array(0x144).keys()].map((code) => String.fromCharCode(code));
  const table = tableOf(alphabet, { type: 'ByteLevel' });
  const bytes = alphabet
    .map((character, id) => ({ character, bytes: bytesOf(table, id) }))
    .filter(({ character, bytes }) => bytes.length === 1 && !/[\0- \x7f-\xa0\xad]/.test(character));
  assert.deepEqual(new Set(bytes.flatMap(({ bytes }) => bytes)).size, 256);
  assert.equal(bytes.length, 256);
  assert.deepEqual(bytesOf(table, 0x120), [0x20]);
  assert.deepEqual(bytesOf(table, 0x61), [0x61]);
});

test('byte-level: a name with a character outside the alphabet stands for its own UTF-8', () => {
  assert.deepEqual(bytesOf(tableOf(['é<｜end｜>'], { type: 'ByteLevel' }), 0), utf8('é<｜end｜>'));
});

test('byte-fallback: <0x0A> is one byte, and what only looks alike is text', () => {
  const names = ['<0x0A>', '<0xff>', '<0xZZ>', '<0x0A>x', '▁a▁b', '日'];
  const table = tableOf(names, SENTENCEPIECE);
  const expected = [[0x0a], [0xff], utf8('<0xZZ>'), utf8('<0x0A>x'), utf8(' a b'), utf8('日')];
  assert.deepEqual(
    names.map((_, id) => bytesOf(table, id)),
    expected,
  );
  assert.equal(table.stripLeadingSpace, true);
});

test('a leading space is stripped only where the decoder says so', () => {
  const strips = (decoder: unknown) => tableOf([], decoder).stripLeadingSpace;
  assert.equal(strips({ type: 'ByteLevel', add_prefix_space: true }), false);
  assert.equal(strips({ type: 'Sequence', decoders: SENTENCEPIECE.decoders.slice(0, 3) }), false);
  assert.equal(strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }), true);
  assert.equal(strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'first' }), true);
  assert.equal(strips({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' }), false);
  assert.equal(strips({ type: 'Metaspace', replacement: '▁', add_prefix_space: false }), false);
});

test('an id nobody has stands for no bytes, and an added token takes the place of a name', () => {
  const addedTokens = [
    { id: 4, content: '<end>', special: true },
    { id: 0, content: 'A', special: false },
  ];
  const table = buildByteTable(
    { names: ['a', undefined, 'c'], addedTokens, decoder: { type: 'ByteLevel' } },
    'tokenizer.json',
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((id) => bytesOf(table, id)),
    [utf8('A'), [], utf8('c'), [], utf8('<end>')],
  );
  assert.deepEqual([...table.special], [0, 0, 0, 0, 1]);
});

const [replace, byteFallback, fuse, strip] = SENTENCEPIECE.decoders;
const UNSUPPORTED: [why: string, decoder: unknown][] = [
  ['joins words', { type: 'WordPiece', prefix: '##', cleanup: true }],
  ['drops repeated tokens', { type: 'CTC' }],
  ['replaces by a pattern', { type: 'Replace', pattern: { Regex: 'a+' }, content: '' }],
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
  test(`a decoder that ${why} is refused with its name`, () => {
    assert.throws(() => tableOf(['a'], decoder), {
      code: 'ERR_TOKENIZER_INVALID',
      message: /^The decoder in tokenizer\.json is .*; expected ByteLevel, Metaspace/,
    });
  });
}
