// Compares the tokenizer.json that `convert` makes of a SentencePiece model with the package sentencepiece, and with transformers'
// LlamaTokenizerFast, on generated strings.
//
//   pip install sentencepiece==0.2.1 protobuf transformers==4.57.3
//   node scripts/compare-sentencepiece.mjs [--count 10000] [--python PYTHON] [--legacy true|false] tokenizer.model ...
//
// sentencepiece makes text of the names of special tokens, so strings with those are compared with transformers only; transformers
// overlooks a model's map of characters and what it says of spaces, so models that have such are compared with sentencepiece only.
// Exits with 1 if any string differs.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadAddon } from '#lib/addon/addon.js';
import { JsonFields } from '#lib/base/json.js';
import { readSentencePieceModel } from '#lib/engine/formats/sentencepiece-model.js';
import { sentencePieceTokenizer } from '#lib/engine/formats/sentencepiece-tokenizer.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { generatedStrings } from './generated-strings.mjs';

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '10000' },
    python: { type: 'string', default: 'python3' },
    legacy: { type: 'string', default: 'true' },
  },
});
const strings = generatedStrings(Number(flags.count));
const config = { legacy: flags.legacy === 'true', tokenizer_class: 'LlamaTokenizer' };
const scratch = mkdtempSync(join(tmpdir(), 'compare-sentencepiece-'));

const PYTHON = `
import json, sys
import sentencepiece
directory, strings = sys.argv[1], json.load(sys.stdin)
processor = sentencepiece.SentencePieceProcessor(model_file=directory + "/tokenizer.model")
from transformers import LlamaTokenizerFast
llama = LlamaTokenizerFast.from_pretrained(directory)
json.dump({
    "sentencepiece": [processor.encode(each) for each in strings],
    "transformers": [llama.encode(each, add_special_tokens=False) for each in strings],
}, sys.stdout)
`;

async function compare(file) {
  copyFileSync(file, join(scratch, 'tokenizer.model'));
  writeFileSync(join(scratch, 'tokenizer_config.json'), JSON.stringify(config));
  const { stdout, stderr, status } = spawnSync(flags.python, ['-c', PYTHON, scratch], {
    input: JSON.stringify(strings),
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  const theirs = JSON.parse(stdout);
  const model = readSentencePieceModel(readFileSync(file), file);
  const tokenizerPath = join(scratch, 'ours.json');
  writeFileSync(tokenizerPath, sentencePieceTokenizer(model, { config: new JsonFields(config, { file }) }));
  const ours = await Tokenizer.load(loadAddon(), { tokenizerPath });
  const added = JSON.parse(readFileSync(tokenizerPath, 'utf8')).added_tokens.map(({ content }) => content);
  if (model.type === 'unigram') added.push('<0x41>'); // a byte to tokenizers' Unigram, and so to us
  const isPlain = model.characterMap.length === 0 && !model.removeSpaces && model.addPrefix;
  const differing = { sentencepiece: 0, transformers: 0 };
  const compared = { sentencepiece: 0, transformers: 0 };
  for (const [index, text] of strings.entries()) {
    const ids = [...(await ours.encode(text, { addSpecialTokens: false }))];
    for (const package_ of Object.keys(differing)) {
      if (package_ === 'transformers' ? !isPlain : !config.legacy || added.some((token) => text.includes(token)))
        continue;
      compared[package_]++;
      const expected = theirs[package_][index];
      if (expected.join() === ids.join()) continue;
      if (++differing[package_] <= 5) console.log(JSON.stringify({ text, [package_]: expected, ours: ids }));
    }
  }
  for (const package_ of Object.keys(differing)) {
    console.log(`${file}: ${package_}: ${compared[package_]} strings, ${differing[package_]} differ`);
  }
  return differing.sentencepiece + differing.transformers > 0;
}

try {
  for (const file of files) if (await compare(file)) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true });
}
