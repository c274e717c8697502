// Whether loading, running and closing leave memory behind, and how soon an abort frees its slot.
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { tinyEngine } from '../dist-test/tools/engines.js';
import { median, Report, round, slope } from './report.mjs';

const { values: flags } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const CYCLES = 100;
const WARM_UP_CYCLES = 20;
const REQUESTS = 10_000;
const AT_ONCE = 64;
const ABORTS = 200;
const STREAMS = 8;

const residentKb = () => {
  gc(); // what waits for a collection is no leak
  return process.memoryUsage.rss() / 1024;
};

async function loadsAndCloses(dir) {
  const [loads, closes, memory] = [[], [], []];
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const start = performance.now();
    const llm = await LLM.load(dir);
    loads.push(performance.now() - start);
    await llm.generate('abc', { maxTokens: 4 });
    const end = performance.now();
    await llm.close();
    closes.push(performance.now() - end);
    memory.push(residentKb());
  }
  return { loads, closes, memory };
}

async function manyRequests(llm, count) {
  let left = count;
  const client = async () => {
    while (left-- > 0) await llm.generate('Once upon a time', { maxTokens: 8 });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
}

/**
 * Steps of the executor from an abort() to the moment its slot is free, one of several streams. The model is one whose
 * steps are long beside the time the system may keep this thread waiting, or that would be counted in steps.
 */
async function abortSteps(llm) {
  const start = () => {
    const stream = llm.stream('Once upon a time', { temperature: 0, ignoreEos: true });
    return { stream, reader: stream[Symbol.asyncIterator]() };
  };
  const running = Array.from({ length: STREAMS }, start);
  const steps = [];
  for (let i = 0; i < ABORTS; i++) {
    await Promise.all(running.map(({ reader }) => reader.next()));
    const oldest = running.shift();
    const before = llm.stats();
    oldest.stream.abort();
    let after = llm.stats();
    // Without a turn of the event loop in between, so that no step goes by unseen.
    while (after.activeRequests === before.activeRequests) after = llm.stats();
    steps.push(after.steps - before.steps);
    running.push(start());
  }
  for (const { stream } of running) stream.abort();
  return steps;
}

const report = new Report('load-close', flags);
const dir = await tinyEngine();

const { loads, closes, memory } = await loadsAndCloses(dir);
report.table(
  `${CYCLES} times load, a request, close`,
  [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((cycle) => ({
    cycle,
    residentMb: round(memory[cycle - 1] / 1024, 1),
  })),
);
report.table('A cycle', [
  {
    loadMs: round(median(loads)),
    closeMs: round(median(closes)),
    slopeKbPerCycle: round(slope(memory.slice(WARM_UP_CYCLES))),
  },
]);

const llm = await LLM.load(dir);
await manyRequests(llm, REQUESTS); // V8's heap grows to its size for this load
const resident = [residentKb()];
for (let tenth = 1; tenth <= 10; tenth++) {
  await manyRequests(llm, REQUESTS / 10);
  resident.push(residentKb());
}
await llm.close();
report.table(
  `${REQUESTS} requests, ${AT_ONCE} at once, on one LLM`,
  resident.map((kb, tenth) => ({ requests: (REQUESTS / 10) * tenth, residentMb: round(kb / 1024, 1) })),
);
report.table('Resident memory a request', [
  { slopeBytesPerRequest: round((slope(resident) * 1024) / (REQUESTS / 10), 1) },
]);

const model = await LLM.load(await pull('smollm2-135m-instruct', { source: 'pypi' }));
const steps = await abortSteps(model);
report.table(`Steps from abort() to the free slot, one of ${STREAMS} streams, ${ABORTS} times`, [
  { median: median(steps), most: Math.max(...steps) },
]);
await model.close();
