// How long the GPU waits between two decode steps, while requests are read through `for await`: node bench/gpu-gaps.mjs [--shape 8b].
// The runner records timed events and writes what lay between them (native/embedded/cuda/step_gaps.h).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { LLM } from 'node-tensorrt-llm';
import { median, Report, round } from './report.mjs';
import { shapeDirectory } from './shapes.mjs';

const { values: flags } = parseArgs({
  options: { shape: { type: 'string', default: '8b' }, json: { type: 'boolean', default: false } },
});
const STREAMS = [1, 64];
const [PROMPT, OUTPUT] = [128, 512];
const WARM_UP = 8; // the first steps of a size are launched kernel by kernel, and then recorded

const dir = mkdtempSync(path.join(tmpdir(), 'gaps-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
const file = path.join(dir, 'gaps.txt');
process.env.NODE_TENSORRT_LLM_CUDA_STEP_GAPS = file;
const llm = await LLM.load(shapeDirectory(flags.shape), {
  executor: 'cuda',
  loadFormat: 'dummy',
  kvCache: { freeMemoryFraction: 0.8 },
});

/** Reads a stream to its end, with the work per chunk that a service has at least. */
async function read(prompt) {
  let tokens = 0;
  const options = { maxTokens: OUTPUT, temperature: 0, ignoreEos: true };
  for await (const chunk of llm.stream({ tokens: prompt }, options)) tokens += chunk.tokens.length;
  if (tokens !== OUTPUT) throw new Error(`a stream has ${tokens} tokens, not ${OUTPUT}`);
}
for (const streams of STREAMS) {
  const prompts = Array.from({ length: streams }, (_, i) => Int32Array.from({ length: PROMPT }, (_, j) => 1 + i + j));
  await Promise.all(prompts.map(read));
}
await llm.close(); // writes the file

const steps = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(' ').map(Number));
const report = new Report('gpu-gaps', flags);
const rows = STREAMS.map((streams) => {
  const measured = steps.filter(([size]) => size === streams).slice(WARM_UP);
  const gaps = measured.map(([, gap]) => gap).toSorted((a, b) => a - b);
  return {
    streams,
    steps: gaps.length,
    gapMedianUs: round(median(gaps)),
    gapP99Us: round(gaps[Math.floor(gaps.length * 0.99)]),
    gapMaxUs: round(gaps.at(-1)),
    workMedianUs: round(median(measured.map(([, , work]) => work))),
  };
});
report.table(`${flags.shape}, ${PROMPT} tokens in, ${OUTPUT} out, ${llm.info.device}`, rows);
