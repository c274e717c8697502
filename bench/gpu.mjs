// Decode and prefill of the CUDA executor through `for await`: node bench/gpu.mjs DIR [--executor cuda] [--json].
// DIR is an engine directory; bench/random_checkpoint.py makes one of random weights. Decode is the time between two lengths of
// output, so that prefill is not in it; each figure is the median of three runs.
import { parseArgs } from 'node:util';
import { LLM } from 'node-tensorrt-llm';
import { median } from './report.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { executor: { type: 'string', default: 'cuda' }, json: { type: 'boolean', default: false } },
});
const DECODE = [
  { streams: 1, prompt: 128 },
  { streams: 8, prompt: 128 },
  { streams: 64, prompt: 128 },
  { streams: 64, prompt: 1024 },
  { streams: 256, prompt: 128 },
];
const PREFILL = [512, 2048, 8192];
const [SHORT, LONG, RUNS] = [32, 128, 3];

const loadStart = performance.now();
const llm = await LLM.load(positionals[0] ?? '', { executor: flags.executor, kvCache: { freeMemoryFraction: 0.8 } });
const loadSeconds = (performance.now() - loadStart) / 1000;
const { device, weightBytes, kvCacheBytes, vocabSize } = llm.info;
const figures = { device, weightBytes, kvCacheBytes, loadSeconds: Number(loadSeconds.toFixed(1)) };

/** Tokens that differ between requests, so that nothing of one serves another. */
let seed = 1;
const randomTokens = (count) =>
  Int32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % vocabSize;
  });

/** Milliseconds until all streams have ended. */
async function run(streams, prompt, maxTokens) {
  const options = { maxTokens, temperature: 0, ignoreEos: true };
  const start = performance.now();
  await Promise.all(
    Array.from({ length: streams }, async () => {
      let tokens = 0;
      for await (const chunk of llm.stream({ tokens: randomTokens(prompt) }, options)) tokens += chunk.tokens.length;
      if (tokens !== maxTokens) throw new Error(`a stream has ${tokens} tokens, not ${maxTokens}`);
    }),
  );
  return performance.now() - start;
}

for (const { streams, prompt } of DECODE) {
  await run(streams, prompt, 8);
  const rates = [];
  for (let i = 0; i < RUNS; i++) {
    const short = await run(streams, prompt, SHORT);
    const long = await run(streams, prompt, LONG);
    rates.push((streams * (LONG - SHORT) * 1000) / (long - short));
  }
  figures[`decode, ${streams} of ${prompt} tokens, tok/s`] = Math.round(median(rates));
}
for (const prompt of PREFILL) {
  await run(1, prompt, 1);
  const rates = [];
  for (let i = 0; i < RUNS; i++) rates.push((prompt * 1000) / (await run(1, prompt, 1)));
  figures[`prefill of ${prompt}, tok/s`] = Math.round(median(rates));
}
await llm.close();
if (flags.json) console.log(JSON.stringify(figures));
else console.table(figures);
