import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLMError } from '#lib/base/errors.js';
import type { JsonObject } from '#lib/base/json.js';
import { parseNemoYaml } from '#lib/engine/formats/nemo-yaml.js';
import { failsWith } from '../../../tools/fails-with.js';

const parse = (text: string): JsonObject =>
  parseNemoYaml(text, { file: 'model_config.yaml', code: 'ERR_SOURCE_INVALID', fix: 'Fix it.' }).object;

test('scalars are what YAML 1.1 has them to be, in quotes and before comments too', () => {
  const text = [
    '# a comment',
    '---',
    'int: 32',
    'negative: -1',
    'float: 1.0e-05',
    'short: 1e-5 # OmegaConf reads it as a number',
    'yes: true',
    'no: False',
    'nothing: null',
    'tilde: ~',
    'empty:',
    'words: fast-swiglu',
    "single: 'it''s # not: a comment' # but this is",
    'double: "true"',
    '"quoted key": 1',
    'nan: .nan',
    'url: a:b#c',
    '__proto__: 7',
    '',
  ].join('\r\n');
  assert.deepEqual(
    Object.entries(parse(text)),
    Object.entries({
      int: 32,
      negative: -1,
      float: 1e-5,
      short: 1e-5,
      yes: true,
      no: false,
      nothing: null,
      tilde: null,
      empty: null,
      words: 'fast-swiglu',
      single: "it's # not: a comment",
      double: 'true',
      'quoted key': 1,
      nan: '.nan',
      url: 'a:b#c',
      ['__proto__']: 7,
    }),
  );
});

test('of lists and mappings it is known whether they are empty, and of tokenizer what it holds', () => {
  const text = `
a:
- 1
- - 2
b:
  c:
    d: 1
  "e": &anchor [*x
f: []
g: {}
tokenizer:
    library: 'huggingface'
    special:
      x: y
    type: some/model
h: |
  not: a key
i: "text that goes
  on: here"
`;
  assert.deepEqual(parse(text), {
    a: [null],
    b: { '...': null },
    f: [],
    g: {},
    tokenizer: { library: 'huggingface', special: null, type: 'some/model' },
    h: '| ...',
    i: '"text that goes ...',
  });
});

test('interpolations of another key are resolved, in a chain too; one that goes in a circle stays text', () => {
  const text = `a: 4096\nb: \${.a}\nc: \${model.b}\nd: \${c}\ne: \${f}\nf: \${e}\ng: \${oc.env:HOME}\nh: \${gone}\n`;
  const { b, c, d, e, g, h } = parse(text);
  assert.deepEqual([b, c, d], [4096, 4096, 4096]);
  assert.equal(typeof e, 'string');
  assert.deepEqual([g, h], [`\${oc.env:HOME}`, `\${gone}`]);
});

for (const [text, line] of [
  ['a: 1\n- b', 2],
  ['a: 1\nb', 2],
  ['a: 1\na: 2', 2],
  ['? a\n: 1', 1],
  ['{a: 1}', 1],
  ['a: &x 1', 1],
  ['a: *x', 1],
  ['<<: *x', 1],
  ['a: !!python/object:os.system x', 1],
  ['a: 1\n---\na: 2', 2],
  ['%YAML 1.1', 1],
  ['tokenizer:\n  a: 1\n  - b', 3],
] as const) {
  test(`${JSON.stringify(text)} is refused by its line`, () => {
    assert.throws(() => parse(text), failsWith('ERR_SOURCE_INVALID', `model_config.yaml:${line}: `));
  });
}

/** A mebibyte of what makes readers of YAML slow, or end the process. */
const MIB = 1 << 20;
const HOSTILE: Record<string, string> = {
  brackets: `a: ${'['.repeat(MIB)}`,
  'brackets alone': '['.repeat(MIB),
  'nested keys': Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
  'nested keys of the tokenizer': `tokenizer:\n${Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth + 1)}a:`).join('\n')}`,
  'nested lists': `a:\n${'- '.repeat(MIB / 2)}`,
  keys: Array.from({ length: 100_000 }, (_, index) => `k${index}:`).join('\n'),
  'aliases of aliases': Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`).join('\n'),
  'a chain of interpolations': Array.from({ length: 50_000 }, (_, index) => `k${index}: \${k${index + 1}}`).join('\n'),
  quotes: `a: ${"'".repeat(MIB - 1)}"`,
  'an open quote': `a: "${'\\'.repeat(MIB)}`,
  spaces: `a: x${' '.repeat(MIB)}y`,
  'spaces and comments': `a: x${' #'.repeat(MIB / 2)}`,
  digits: `a: ${'1'.repeat(MIB)}x`,
  'empty lines': '\n'.repeat(MIB),
  'lines below a key': `a: |\n${' x\n'.repeat(MIB / 3)}`,
  'spaces before a colon': `a${' '.repeat(MIB)}b`,
};

for (const [what, text] of Object.entries(HOSTILE)) {
  // Work that grows with the square of the length would take hours, a recursion would end the process.
  test(`a mebibyte of ${what} is read or refused`, () => {
    try {
      parse(text);
    } catch (error) {
      assert.ok(LLMError.is(error), String(error));
    }
  });
}
