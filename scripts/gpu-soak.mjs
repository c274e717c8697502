// Many requests of mixed kinds on the CUDA executor, over a KV cache that is too small for them: node scripts/gpu-soak.mjs [REQUESTS [RANKS]].
// The model has Llama-3.2-1B's shape and dummy weights. Each request must end once, with as many tokens as it asked for unless it was
// aborted, and at the end no KV block may be taken.
import { LLM } from 'node-tensorrt-llm';
import { shapeDirectory } from '../bench/shapes.mjs';

const [count = '20000', ranks = '1'] = process.argv.slice(2);
const REQUESTS = Number(count);
const CONCURRENT = 96;
const llm = await LLM.load(shapeDirectory('1b', null, Number(ranks)), {
  executor: 'cuda',
  loadFormat: 'dummy',
  maxBatchSize: 64,
  kvCache: { maxTokens: 64 * 96, hostBytes: 2 ** 28 },
  decoding: { promptLookup: {} },
});
const { vocabSize, hiddenSize } = llm.info;

let state = 7;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const prefixes = [100, 200, 300, 400].map((length) => Array.from({ length }, () => random(vocabSize)));

/** One request, whatever it is; answers how it ended. */
async function runOne() {
  const own = Array.from({ length: 1 + random(random(8) === 0 ? 900 : 120) }, () => random(vocabSize));
  const tokens = Int32Array.from(random(3) === 0 ? [...prefixes[random(4)], ...own] : own);
  if (random(16) === 0) {
    const [vector] = (await llm.embed({ tokens }, { pooling: ['last', 'mean', 'cls'][random(3)] })).embeddings;
    if (vector.length !== hiddenSize || !vector.every(Number.isFinite)) throw new Error(`an embedding is ${vector}`);
    return 'finished';
  }
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
if (kvBlocksUsed !== 0 || activeRequests !== 0 || (ends.finished ?? 0) + (ends.cancelled ?? 0) !== REQUESTS)
  process.exit(1);
