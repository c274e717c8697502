// Compares the tokenizer that `convert` makes of a GGUF file with llama.cpp reading the same file, on generated strings: ids, and
// which tokens end an output. The file may hold a vocabulary only.
//
//   npm install --no-save --ignore-scripts node-llama-cpp
//   node scripts/compare-tokenizers.mjs [--count 10000] [--golden FILE] [--llama MODULE] [--nfc] MODEL.gguf ...
//
// --golden writes the first 60 strings, and llama.cpp's ids by the files' names, as test/lib/engine/formats/fixtures/gguf-tokens.golden.json
// has them of SmolLM2's vocabulary with each pre-tokenizer (made with --nfc); --llama says where
// node-llama-cpp is if it is not installed here; --nfc normalizes the strings, for models that do and llama.cpp does not. Exits with
// 1 if any string differs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadAddon } from '#lib/addon/addon.js';
import { openGgufFile } from '#lib/engine/formats/gguf.js';
import { GgufMetadata } from '#lib/engine/formats/gguf-metadata.js';
import { tokenizerFiles } from '#lib/engine/formats/gguf-tokenizer.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { generatedStrings } from './generated-strings.mjs';

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '10000' },
    golden: { type: 'string' },
    llama: { type: 'string', default: 'node-llama-cpp' },
    nfc: { type: 'boolean', default: false },
  },
});

const strings = generatedStrings(Number(flags.count));

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

const GOLDEN = 60;
const golden = { texts: [], ids: {} };

async function compare(modelPath) {
  const rows = [];
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  const { tokenizer, ends } = await ourTokenizer(modelPath);
  let differing = 0;
  for (const given of strings) {
    const text = flags.nfc ? given.normalize('NFC') : given;
    const expected = Array.from(model.tokenize(text, true));
    const ids = await tokenizer.encode(text, { addSpecialTokens: false });
    rows.push({ text, ids: expected });
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
  golden.texts = rows.slice(0, GOLDEN).map(({ text }) => text);
  golden.ids[basename(modelPath, '.gguf')] = rows.slice(0, GOLDEN).map(({ ids }) => ids);
  await model.dispose();
  return differing > 0 || !sameEnds;
}

try {
  for (const file of files) if (await compare(file)) process.exitCode = 1;
  if (flags.golden) writeFileSync(flags.golden, `${JSON.stringify(golden)}\n`);
} finally {
  rmSync(scratch, { recursive: true });
  await llama.dispose();
}
