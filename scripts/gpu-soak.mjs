// Many requests of mixed kinds on the CUDA executor, over a KV cache that is too small for them: node scripts/gpu-soak.mjs [REQUESTS [RANKS]].
// The model has Llama-3.2-1B's shape and dummy weights. Each request must end once, with as many tokens as it asked for unless it was
// aborted, and at the end no KV block may be taken. What is guided must be what its grammar allows, which needs libguidance.so.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { shapeDirectory } from '../bench/shapes.mjs';

const [count = '20000', ranks = '1'] = process.argv.slice(2);
const REQUESTS = Number(count);
const CONCURRENT = 96;
const dir = shapeDirectory('1b', null, Number(ranks));
writeByteTokenizer(dir);
const llm = await LLM.load(dir, {
  executor: 'cuda',
  loadFormat: 'dummy',
  maxBatchSize: 64,
  kvCache: { maxTokens: 64 * 96, hostBytes: 2 ** 28 },
  decoding: { promptLookup: {} },
});
const { vocabSize, hiddenSize } = llm.info;
if (!llm.capabilities.guided)
  console.log('no guided output: libguidance.so is missing; npm run build:guidance builds it');

/** Tokens 0 to 255 are the bytes, and 256 ends an output. The model's other tokens are left out. */
function writeByteTokenizer(dir) {
  let next = 0x100; // GPT-2's letters: printable Latin-1 stands for itself, the other bytes follow from here
  const isPrintable = (byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  const letters = Array.from({ length: 256 }, (_, byte) => [
    String.fromCodePoint(isPrintable(byte) ? byte : next++),
    byte,
  ]);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const end = {
    id: 256,
    content: '<end>',
    special: true,
    normalized: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
  };
  const tokenizer = {
    version: '1.0',
    added_tokens: [end],
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(letters), merges: [] },
  };
  writeFileSync(path.join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(path.join(dir, 'generation_config.json'), JSON.stringify({ eos_token_id: 256 }));
}

let state = 7;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const prefixes = [100, 200, 300, 400].map((length) => Array.from({ length }, () => random(vocabSize)));

const JSON_SCHEMA = {
  type: 'object',
  properties: {
    name: { enum: ['Ada', 'Bo'] },
    tags: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 2 },
  },
  required: ['name', 'tags'],
  additionalProperties: false,
  'x-guidance': { whitespace_flexible: false },
};
const JSON_TEXT = /^\{"name":"(Ada|Bo)","tags":\[(true|false)(,(true|false))?\]\}$/;
const MANY_WORDS = 1900; // some 30 ms to compile
/** Each with what a whole output matches; undefined: it fails by design. */
const GUIDES = [
  () => [{ regex: '(yes|no), [0-9]{1,20}' }, /^(yes|no), [0-9]{1,20}$/],
  () => [{ jsonSchema: JSON_SCHEMA }, JSON_TEXT],
  () => {
    const first = random(100_000);
    const words = Array.from({ length: MANY_WORDS }, (_, i) => `"${first + i}"`);
    return [{ grammar: `start: ${words.join(' | ')}` }, /^[0-9]{1,6}$/];
  },
  () => [{ regex: 'a(b' }, undefined],
  () => [{ grammar: 'start: "a" missing' }, undefined],
];

/** One request that is guided; every fourth is aborted, mostly while its grammar is compiled. */
async function runGuided(tokens) {
  const [guided, pattern] = GUIDES[random(GUIDES.length)]();
  const options = { guided, maxTokens: 20 + random(60), temperature: random(2), seed: random(1000), n: 1 + random(2) };
  const generation = llm.stream({ tokens }, options);
  if (random(4) === 0) setTimeout(() => generation.abort(), random(20));
  try {
    const { outputs, finishReason } = await generation.result;
    if (finishReason === 'cancelled') return 'cancelled';
    assert.equal(outputs.length, options.n);
    assert.ok(pattern, `${JSON.stringify(guided)} is compiled`);
    for (const { text, tokens, finishReason } of outputs) {
      if (finishReason === 'stop') assert.match(text, pattern);
      else assert.deepEqual([finishReason, tokens.length], ['length', options.maxTokens]);
    }
    return 'guided';
  } catch (error) {
    if (pattern || !LLMError.is(error) || error.code !== 'ERR_INVALID_OPTION') throw error;
    return 'refused';
  }
}

/** One request, whatever it is; answers how it ended. */
async function runOne() {
  const own = Array.from({ length: 1 + random(random(8) === 0 ? 900 : 120) }, () => random(vocabSize));
  const tokens = Int32Array.from(random(3) === 0 ? [...prefixes[random(4)], ...own] : own);
  if (random(16) === 0) {
    const [vector] = (await llm.embed({ tokens }, { pooling: ['last', 'mean', 'cls'][random(3)] })).embeddings;
    if (vector.length !== hiddenSize || !vector.every(Number.isFinite)) throw new Error(`an embedding is ${vector}`);
    return 'finished';
  }
  if (llm.capabilities.guided && random(10) === 0) return runGuided(tokens);
  const maxTokens = 1 + random(60);
  const n = random(6) === 0 ? 1 + random(4) : 1;
  const options = { maxTokens, n, ignoreEos: true, temperature: random(2), seed: random(1000) };
  if (random(10) === 0) Object.assign(options, { beamWidth: n + random(3), temperature: 0 });
  else if (random(8) === 0) Object.assign(options, { draft: { tokens: own.slice(0, 1 + random(8)) } });
  if (random(5) === 0) Object.assign(options, { topK: 1 + random(50), topP: 0.9 });
  if (random(7) === 0) Object.assign(options, { repetitionPenalty: 1.2, noRepeatNgramSize: 4 });
  if (random(9) === 0) Object.assign(options, { logprobs: true, topLogprobs: 3 });
  const generation = llm.stream({ tokens }, options);
  const abortAfter = random(6) === 0 ? random(maxTokens) : undefined;
  let read = 0;
  for await (const chunk of generation) {
    read += chunk.tokens.length;
    if (abortAfter !== undefined && read >= abortAfter) generation.abort();
  }
  const { outputs, finishReason } = await generation.result;
  if (finishReason === 'cancelled') return 'cancelled';
  const isWhole = outputs.length === n && outputs.every((output) => output.tokens.length === maxTokens);
  if (!isWhole)
    throw new Error(`a request for ${n} x ${maxTokens} tokens ended with ${outputs.map((o) => o.tokens.length)}`);
  return 'finished';
}

const ends = {};
let started = 0;
const resident = [];
const start = performance.now();
await Promise.all(
  Array.from({ length: CONCURRENT }, async () => {
    while (started < REQUESTS) {
      if (started++ % (REQUESTS / 10) === 0) resident.push(Math.round(process.memoryUsage().rss / 1e6));
      const end = await runOne();
      ends[end] = (ends[end] ?? 0) + 1;
    }
  }),
);
const { kvBlocksUsed, kvBlocksReused, preemptions, completedRequests, activeRequests } = llm.stats();
await llm.close();
console.log({ ends, completedRequests, activeRequests, kvBlocksUsed, kvBlocksReused, preemptions });
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s; resident MB at each tenth: ${resident.join(' ')}`);
const ended = Object.values(ends).reduce((sum, each) => sum + each, 0);
if (kvBlocksUsed !== 0 || activeRequests !== 0 || ended !== REQUESTS) process.exit(1);
