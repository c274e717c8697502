// How late the event loop runs while the CPU executor generates, against threads that spin, and what a wake-up costs it.
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { LLM, pull } from 'node-tensorrt-llm';
import { scriptedEngine } from '../dist-test/tools/engines.js';
import { median, Report, round } from './report.mjs';
import { loadScripted, readStreams, startStreams } from './scripted.mjs';

const { values: flags } = parseArgs({
  options: { threads: { type: 'string' }, json: { type: 'boolean', default: false } },
});
const threads = flags.threads === undefined ? availableParallelism() : Number(flags.threads);
const RUNS = 5;
const RUN_MS = 5000;
const STREAMS = 16;
const SCRIPTED = { streams: 256, stepMs: 5, maxTokens: 600 };

/** Milliseconds from one turn of a timer of 1 ms to the next, while `run` goes on. */
async function delayWhile(run) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await run();
  delay.disable();
  return { p50: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 };
}

async function spin() {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./spin.mjs', import.meta.url), { workerData: stop }),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  const delay = await delayWhile(() => sleep(RUN_MS));
  const ends = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  Atomics.store(stop, 0, 1);
  await Promise.all(ends);
  return delay;
}

async function generate(llm) {
  const read = async (stream) => {
    for await (const { text } of stream) void text;
  };
  let streams = [];
  let reads = [];
  const delay = await delayWhile(async () => {
    streams = Array.from({ length: STREAMS }, (_, i) =>
      llm.stream(`Tell me a long story about the number ${i}.`, { temperature: 0, ignoreEos: true }),
    );
    reads = streams.map(read);
    await sleep(RUN_MS);
  });
  for (const stream of streams) stream.abort();
  await Promise.all(reads);
  return delay;
}

const report = new Report('event-loop', flags);

const llm = await LLM.load(await pull('smollm2-135m-instruct', { source: 'pypi' }), { threads });
const kinds = [
  { what: 'idle', measure: () => delayWhile(() => sleep(RUN_MS)) },
  { what: `control: ${threads} threads spin`, measure: spin },
  { what: `${STREAMS} streams, ${threads} threads generate`, measure: () => generate(llm) },
].map((kind) => ({ ...kind, delays: [] }));
await generate(llm); // once, for V8 to compile what is hot
for (let run = 0; run < RUNS; run++) {
  for (const { measure, delays } of kinds) delays.push(await measure());
}
await llm.close();

const scripted = await loadScripted(await scriptedEngine({ step_ms: SCRIPTED.stepMs }));
const readAll = () => readStreams(startStreams(scripted, SCRIPTED.streams, SCRIPTED.maxTokens), SCRIPTED.maxTokens);
await readAll();
const wakeups = [];
const scriptedDelays = [];
for (let run = 0; run < RUNS; run++) {
  const before = { ...scripted.stats(), utilization: performance.eventLoopUtilization() };
  await readAll();
  const after = scripted.stats();
  const { active } = performance.eventLoopUtilization(before.utilization);
  const count = after.wakeups - before.wakeups;
  wakeups.push({ perStep: count / (after.steps - before.steps), us: (active * 1000) / count });
  scriptedDelays.push(await delayWhile(readAll));
}
await scripted.close();

const { streams, stepMs } = SCRIPTED;
kinds.push({ what: `scripted executor: ${streams} streams, ${stepMs} ms a step`, delays: scriptedDelays });
report.table(
  `Milliseconds between two turns of a 1 ms timer, medians of ${RUNS} runs`,
  kinds.map(({ what, delays }) => ({
    what,
    p50Ms: round(median(delays.map(({ p50 }) => p50))),
    p99Ms: round(median(delays.map(({ p99 }) => p99))),
    maxMs: round(median(delays.map(({ max }) => max))),
    p99AboveControlMs: round(median(delays.map(({ p99 }, run) => p99 - kinds[1].delays[run].p99))),
  })),
);
report.table(`Wake-ups, ${streams} streams, ${stepMs} ms a step`, [
  {
    wakeupsPerStep: round(median(wakeups.map(({ perStep }) => perStep)), 3),
    eventLoopUsPerWakeup: round(median(wakeups.map(({ us }) => us)), 0),
    eventLoopUsPerToken: round(median(wakeups.map(({ us }) => us)) / streams),
  },
]);
