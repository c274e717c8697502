// Compares the tokenizer that `convert` makes of a GGUF file with llama.cpp reading the same file, on generated strings: ids, and
// which tokens end an output. The file may hold a vocabulary only.
//
//   npm install --no-save --ignore-scripts node-llama-cpp
//   node scripts/compare-tokenizers.mjs [--count 10000] [--golden FILE] [--llama MODULE] [--nfc] MODEL.gguf ...
//
// --golden writes the first 200 strings with llama.cpp's ids, as test/lib/engine/formats/fixtures keeps them; --llama says where
// node-llama-cpp is if it is not installed here; --nfc normalizes the strings, for models that do and llama.cpp does not. Exits with
// 1 if any string differs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadAddon } from '#lib/addon/addon.js';
import { openGgufFile } from '#lib/engine/formats/gguf.js';
import { GgufMetadata } from '#lib/engine/formats/gguf-metadata.js';
import { tokenizerFiles } from '#lib/engine/formats/gguf-tokenizer.js';
import { Tokenizer } from '#lib/text/tokenizer.js';

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '10000' },
    golden: { type: 'string' },
    llama: { type: 'string', default: 'node-llama-cpp' },
    nfc: { type: 'boolean', default: false },
  },
});

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
const strings = ['  17 cats', ' ', 'a', ...Array.from({ length: Number(flags.count) - 3 }, () => repeat(3, one))];

const { getLlama, LlamaLogLevel } = await import(flags.llama);
const llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error });
const scratch = mkdtempSync(join(tmpdir(), 'compare-tokenizers-'));

async function ourTokenizer(modelPath) {
  const gguf = await openGgufFile(modelPath);
  try {
    const tokens = gguf.metadata.get('tokenizer.ggml.tokens').length;
    const made = tokenizerFiles(new GgufMetadata(gguf), { vocab_size: tokens, max_position_embeddings: 2048 });
    const tokenizerPath = join(scratch, 'tokenizer.json');
    writeFileSync(tokenizerPath, made.get('tokenizer.json'));
    const ends = [JSON.parse(made.get('generation_config.json')).eos_token_id].flat();
    return { tokenizer: await Tokenizer.load(loadAddon(), { tokenizerPath }), ends };
  } finally {
    await gguf.handle.close();
  }
}

async function compare(modelPath) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  const { tokenizer, ends } = await ourTokenizer(modelPath);
  const rows = [];
  let differing = 0;
  for (const given of strings) {
    const text = flags.nfc ? given.normalize('NFC') : given;
    const expected = Array.from(model.tokenize(text, true));
    const ids = await tokenizer.encode(text, { addSpecialTokens: false });
    if (rows.length < 200) rows.push({ text, ids: expected });
    if (ids.join() === expected.join()) continue;
    differing++;
    if (differing <= 5) console.log(JSON.stringify({ text, llamaCpp: expected, ours: [...ids] }));
  }
  const theirEnds = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => model.isEogToken(id));
  const sameEnds = [...ends].sort((a, b) => a - b).join() === theirEnds.join();
  console.log(
    `${modelPath}: ${strings.length} strings, ${differing} differ; end tokens ${sameEnds ? 'equal' : 'differ'}`,
  );
  if (!sameEnds) console.log(JSON.stringify({ llamaCpp: theirEnds, ours: ends }));
  if (flags.golden) writeFileSync(flags.golden, `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`);
  await model.dispose();
  return differing > 0 || !sameEnds;
}

try {
  for (const file of files) if (await compare(file)) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true });
  await llama.dispose();
}
