// Time to the first token of a prompt whose beginning another request had, against the same prompt computed whole:
//   node bench/prefix-cache.mjs                                 # SmolLM2-135M-Instruct on the CPU executor
//   node bench/prefix-cache.mjs --executor cuda --shape 8b      # over dummy weights
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { median, Report, round } from './report.mjs';
import { shapeDirectory } from './shapes.mjs';

const { values: flags } = parseArgs({
  options: {
    executor: { type: 'string', default: 'cpu' },
    shape: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const PREFIXES = [512, 2048];
const SUFFIX = 16;
const RUNS = 5;

const llm = flags.shape
  ? await LLM.load(shapeDirectory(flags.shape), { executor: flags.executor, loadFormat: 'dummy' })
  : await LLM.load(await pull('smollm2-135m-instruct', { source: 'pypi' }), { executor: flags.executor });

let salts = 0;

/** Each of a new salt, so that it is computed whole, and then once more with another end. */
async function firstTokenMs(prefix) {
  const cacheSalt = `run ${salts++}`;
  const times = [];
  for (const end of [1000, 2000]) {
    const tokens = Array.from({ length: prefix + SUFFIX }, (_, i) =>
      i < prefix ? 1000 + ((i * 37) % 40000) : end + i,
    );
    const { timing, usage } = await llm.generate({ tokens }, { maxTokens: 1, temperature: 0, cacheSalt });
    times.push({ ms: timing.timeToFirstTokenMs, cached: usage.cachedTokens });
  }
  return times;
}

const report = new Report('prefix-cache', flags);
const rows = [];
for (const prefix of PREFIXES) {
  await firstTokenMs(prefix);
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await firstTokenMs(prefix));
  const [whole, cached] = [0, 1].map((i) => median(runs.map((times) => times[i].ms)));
  rows.push({
    prefix,
    cachedTokens: runs[0][1].cached,
    wholeMs: round(whole),
    cachedMs: round(cached),
    part: round(cached / whole, 3),
  });
}
report.table(`${SUFFIX} more tokens after a prefix; ${llm.info.device}`, rows);
await llm.close();
