// What kvCache.dtype 'int8' costs and gives on the GPU beside 'auto', over dummy weights of Llama-3.1-8B's shape: decode behind long
// prompts, and prefill.
//   node bench/gpu-kv-cache.mjs [--streams 1,16] [--context 32768]
import { parseArgs } from 'node:util';
import { LLM } from 'node-tensorrt-llm';
import { median, Report, round } from './report.mjs';
import { shapeDirectory } from './shapes.mjs';

const { values: flags } = parseArgs({
  options: {
    streams: { type: 'string', default: '1,16' },
    context: { type: 'string', default: '32768' },
    json: { type: 'boolean', default: false },
  },
});
const streams = flags.streams.split(',').map(Number);
const context = Number(flags.context);
const PREFILL_TOKENS = 8192;
const [SHORT, LONG, RUNS] = [16, 80, 3];
const engine = shapeDirectory('8b', null, 1, Math.max(context + 2 * LONG, PREFILL_TOKENS + LONG));

/** Tokens that no other prompt has. */
let seed = 1;
const randomTokens = (llm, count) =>
  Int32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % llm.info.vocabSize;
  });

const milliseconds = async (run) => {
  const start = performance.now();
  await run();
  return performance.now() - start;
};

async function measure(dtype) {
  const most = Math.max(...streams);
  const maxTokens = most * (context + 2 * LONG) + 2 * PREFILL_TOKENS;
  const llm = await LLM.load(engine, {
    executor: 'cuda',
    loadFormat: 'dummy',
    maxBatchSize: most,
    kvCache: { dtype, maxTokens },
  });
  const { kvCacheBytes, kvBlocks, tokensPerBlock, device } = llm.info;
  const generate = (tokens, count) => llm.generate({ tokens }, { maxTokens: count, temperature: 0, ignoreEos: true });
  const row = { dtype, bytesPerToken: kvCacheBytes / (kvBlocks * tokensPerBlock) };
  const prefills = [];
  for (let i = 0; i <= RUNS; i++) {
    const tokens = randomTokens(llm, PREFILL_TOKENS);
    prefills.push((PREFILL_TOKENS * 1000) / (await milliseconds(() => generate(tokens, 1))));
  }
  row[`prefill of ${PREFILL_TOKENS}, tok/s`] = Math.round(median(prefills.slice(1)));
  const prompts = Array.from({ length: most }, () => randomTokens(llm, context));
  for (const prompt of prompts) await generate(prompt, 1); // the runs after it find it in the cache
  for (const count of streams) {
    const decode = (length) =>
      milliseconds(() => Promise.all(prompts.slice(0, count).map((prompt) => generate(prompt, length))));
    await decode(SHORT);
    const rates = [];
    for (let i = 0; i < RUNS; i++) {
      const short = await decode(SHORT);
      rates.push((count * (LONG - SHORT) * 1000) / ((await decode(LONG)) - short));
    }
    row[`decode, ${count} of ${context}, tok/s`] = round(median(rates), 1);
  }
  await llm.close();
  return { device, row };
}

const report = new Report('gpu-kv-cache', flags);
const measured = [];
for (const dtype of ['auto', 'int8']) measured.push(await measure(dtype));
report.table(
  measured[0].device,
  measured.map(({ row }) => row),
);
