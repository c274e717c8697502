// Strings of all kinds, on which tokenizers are compared: words, digits, whitespace, code, scripts, emoji, marks and special tokens.
let state = 20260101; // xorshift: the same strings on every run
function below(limit) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}
const pick = (list) => list[below(list.length)];
const repeat = (max, make) => Array.from({ length: 1 + below(max) }, make).join('');
const between = (first, last) => String.fromCodePoint(first + below(last - first + 1));

const WORDS =
  "the cat sat on a mat and Don't I'll we've CAN'T naïve über straße Ελλάδα Москва שלום مرحبا हिन्दी ไทย".split(' ');
const CODE = [
  'for (let i = 0; i < n; i++) {\n',
  '\tint x = 0x1F;\r\n',
  'def f(a, *b):\n    return a',
  '</div>',
  '&&',
  '!==',
  '"\\n"',
  '#include <a.h>',
  '$HOME/',
  '=> ',
  '::',
  '@x',
];
const SPECIAL = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<repo_name>',
  '<empty_output>',
  '<s>',
  '</s>',
  '<unk>',
  '<0x41>',
  '▁',
  '▁▁x',
  '<|im_',
  'im_end|>',
  '<|',
];
const kinds = {
  words: () => repeat(8, () => pick(WORDS) + pick([' ', ' ', '  ', ', ', '. ', '\n'])),
  digits: () =>
    repeat(6, () => repeat(7, () => String(below(10))) + pick([' ', '', '.', ',', '-', '½', '²', '٣', 'Ⅷ'])),
  spaces: () =>
    repeat(
      6,
      () =>
        pick([' ', '\t', '\n', '\r\n', '\u00a0', '\u3000', '\u2009']).repeat(1 + below(9)) +
        pick(['', 'a', '7', '!', 'é']),
    ),
  code: () => repeat(6, () => pick(CODE)),
  cjk: () =>
    repeat(12, () => pick([between(0x4e00, 0x9fff), between(0x3041, 0x3096), between(0xac00, 0xd7a3), '。', '、'])),
  emoji: () => repeat(6, () => pick([between(0x1f300, 0x1f64f), '👩‍👩‍👧', '🇪🇺', '👍🏽', '❤️', ' '])),
  combining: () => repeat(8, () => pick(['e', 'a', 'ο']) + repeat(3, () => between(0x300, 0x36f))),
  special: () => repeat(5, () => pick(SPECIAL) + pick(['', ' ', '\n', 'user', '17'])),
  any: () =>
    repeat(20, () =>
      pick([between(0x20, 0x7e), between(0xa0, 0x2ff), between(0x370, 0x1fff), between(0x2000, 0x2bff)]),
    ),
};
const one = () => kinds[pick(Object.keys(kinds))]();

/** The same `count` strings on every run. */
export const generatedStrings = (count) => [
  '  17 cats',
  ' ',
  'a',
  ...Array.from({ length: count - 3 }, () => repeat(3, one)),
];
