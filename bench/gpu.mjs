// Decode and prefill of the CUDA executor through `for await`:
//   node bench/gpu.mjs [--shape 8b]     # the table, over dummy weights
//   node bench/gpu.mjs --shape 70b      # one request of 3,072 tokens and 1,024 more, which is what fits beside the weights on an H200
//   node bench/gpu.mjs --quant-algo W4A16_AWQ   # of TensorRT-LLM's forms of quantized weights: W8A16, W4A16, FP8 and more
//   node bench/gpu.mjs --shape 70b --tp-size 2   # over two GPUs; --device-ids 0,0 names them
//   node bench/gpu.mjs --batch-invariant   # what batchInvariant costs, beside the table without it
//   node bench/gpu.mjs DIR              # the table, over the weights of an engine directory (bench/random_checkpoint.py)
// Decode is the time between two lengths of output, so that prefill is not in it; each figure of the table is the median of three
// runs. --streams 1,64 takes those rows of the table, and no prefill; --executor cpu and --json do what they say.
import { parseArgs } from 'node:util';
import { LLM } from 'node-tensorrt-llm';
import { median } from './report.mjs';
import { shapeDirectory } from './shapes.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    shape: { type: 'string', default: '8b' },
    executor: { type: 'string', default: 'cuda' },
    'quant-algo': { type: 'string' },
    'tp-size': { type: 'string', default: '1' },
    'device-ids': { type: 'string' },
    streams: { type: 'string' },
    'batch-invariant': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const DECODE = [
  { streams: 1, prompt: 128 },
  { streams: 8, prompt: 128 },
  { streams: 32, prompt: 128 },
  { streams: 64, prompt: 128 },
  { streams: 64, prompt: 1024 },
  { streams: 256, prompt: 128 },
];
const PREFILL = [512, 2048, 8192];
const [SHORT, LONG, RUNS] = [32, 128, 3];
/** The one request of a model that leaves no room for more. */
const ALONE = { prompt: 3072, output: 1024 };

const [dir] = positionals;
const tpSize = Number(flags['tp-size']);
const deviceIds = flags['device-ids']?.split(',').map(Number);
const chosen = flags.streams?.split(',').map(Number);
const isAlone = dir === undefined && flags.shape === '70b' && flags['quant-algo'] === undefined && tpSize === 1;
const loadStart = performance.now();
const llm = await LLM.load(dir ?? shapeDirectory(flags.shape, flags['quant-algo'], tpSize), {
  executor: flags.executor,
  ...(deviceIds ? { parallel: { deviceIds } } : {}),
  loadFormat: dir === undefined ? 'dummy' : 'auto',
  batchInvariant: flags['batch-invariant'],
  ...(isAlone ? { maxBatchSize: 1, maxSeqLen: ALONE.prompt + ALONE.output } : { kvCache: { freeMemoryFraction: 0.8 } }),
});
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

/** Milliseconds until all streams have begun, and until all have ended. */
async function run(streams, prompt, maxTokens) {
  const options = { maxTokens, temperature: 0, ignoreEos: true };
  const start = performance.now();
  let begun = 0;
  await Promise.all(
    Array.from({ length: streams }, async () => {
      let tokens = 0;
      for await (const chunk of llm.stream({ tokens: randomTokens(prompt) }, options)) {
        if (tokens === 0) begun = performance.now() - start;
        tokens += chunk.tokens.length;
      }
      if (tokens !== maxTokens) throw new Error(`a stream has ${tokens} tokens, not ${maxTokens}`);
    }),
  );
  return { begun, ended: performance.now() - start };
}

async function table() {
  for (const { streams, prompt } of DECODE) {
    if (chosen && !(chosen.includes(streams) && prompt === 128)) continue;
    await run(streams, prompt, 8);
    const rates = [];
    for (let i = 0; i < RUNS; i++) {
      const short = await run(streams, prompt, SHORT);
      const long = await run(streams, prompt, LONG);
      rates.push((streams * (LONG - SHORT) * 1000) / (long.ended - short.ended));
    }
    figures[`decode, ${streams} of ${prompt} tokens, tok/s`] = Math.round(median(rates));
  }
  for (const prompt of chosen ? [] : PREFILL) {
    await run(1, prompt, 1);
    const rates = [];
    for (let i = 0; i < RUNS; i++) rates.push((prompt * 1000) / (await run(1, prompt, 1)).ended);
    figures[`prefill of ${prompt}, tok/s`] = Math.round(median(rates));
  }
}

async function alone() {
  const { prompt, output } = ALONE;
  await run(1, prompt, SHORT);
  const { begun, ended } = await run(1, prompt, output);
  const rate = (tokens, ms) => Number(((tokens * 1000) / ms).toFixed(2));
  figures[`prefill of ${prompt}, tok/s`] = Math.round((prompt * 1000) / begun);
  figures[`decode of ${output} after it, tok/s`] = rate(output - 1, ended - begun);
  figures[`${output} tokens from the call on, tok/s`] = rate(output, ended);
}

await (isAlone ? alone() : table());
await llm.close();
if (flags.json) console.log(JSON.stringify(figures));
else console.table(figures);
