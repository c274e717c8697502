// What a server beside the CUDA executor feels: latency of GET /ping while 64 streams generate, and without a model.
//   node bench/gpu-ping.mjs         # Llama-3.1-8B's shape, dummy weights
//   node bench/gpu-ping.mjs DIR     # an engine directory
import { LLM } from 'node-tensorrt-llm';
import { measurePings } from './ping.mjs';
import { shapeDirectory } from './shapes.mjs';

const STREAMS = 64;
const SECONDS = 8;
const control = await measurePings(SECONDS);
const [, , dir] = process.argv;
const llm = await LLM.load(dir ?? shapeDirectory('8b'), {
  executor: 'cuda',
  loadFormat: dir === undefined ? 'dummy' : 'auto',
});
let running = true;
const readers = Array.from({ length: STREAMS }, async (_, i) => {
  while (running) {
    const tokens = Int32Array.from({ length: 128 }, (_, j) => (i * 131 + j * 7) % llm.info.vocabSize);
    for await (const _chunk of llm.stream({ tokens }, { maxTokens: 400, ignoreEos: true, temperature: 0 }))
      if (!running) break;
  }
});
await measurePings(SECONDS); // warm-up
const beside = await measurePings(SECONDS);
running = false;
await Promise.all(readers);
await llm.close();
console.table({ 'without a model': control, [`beside ${STREAMS} streams`]: beside });
