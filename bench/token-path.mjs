// Processor time of a token from the executor to `for await`: ours, and by one ThreadSafeFunction call per token.
import { parseArgs } from 'node:util';
import { scriptedEngine } from '../dist-test/tools/engines.js';
import { openPeer } from './peer/streams.mjs';
import { cpuMicroseconds, median, Report, round } from './report.mjs';
import { built, loadScripted, readStreams, startStreams } from './scripted.mjs';

const { values: flags } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const WARM_UPS = 2; // V8 compiles what is hot during these
const RUNS = 5;
const STREAMS = 64;
const RATES = [
  { rate: 'flat out', stepMs: 0, maxTokens: 8000 },
  { rate: 'paced, 5 ms a step', stepMs: 5, maxTokens: 600 },
];

const report = new Report('token-path', flags);
const peer = openPeer(built('peer.node'));
for (const { rate, stepMs, maxTokens } of RATES) {
  const engineDir = await scriptedEngine({ step_ms: stepMs });
  const llm = await loadScripted(engineDir);
  const paths = {
    ours: () => startStreams(llm, STREAMS, maxTokens),
    'a ThreadSafeFunction call per token': () => peer.streamWithArguments(engineDir, STREAMS, maxTokens),
    'the same, and a native object per token': () => peer.streamWithObjects(engineDir, STREAMS, maxTokens),
  };
  const runs = Object.entries(paths).map(([path, start]) => ({ path, start, costs: [], calls: [], chunks: [] }));
  for (let run = -WARM_UPS; run < RUNS; run++) {
    for (const { path, start, costs, calls, chunks } of runs) {
      const before = llm.stats();
      let chunkCount = 0;
      const cpu = await cpuMicroseconds(async () => {
        chunkCount = await readStreams(start(), maxTokens);
      });
      const after = llm.stats();
      if (run < 0) continue;
      costs.push(cpu / (STREAMS * maxTokens));
      calls.push(path === 'ours' ? (after.wakeups - before.wakeups) / (after.steps - before.steps) : STREAMS);
      chunks.push((STREAMS * maxTokens) / chunkCount);
    }
  }
  report.table(
    `${STREAMS} streams, ${rate}`,
    runs.map(({ path, costs, calls, chunks }) => ({
      path,
      cpuUsPerToken: round(median(costs)),
      least: round(Math.min(...costs)),
      most: round(Math.max(...costs)),
      ratio: round(median(costs) / median(runs[0].costs)),
      callsPerStep: round(median(calls), 3),
      tokensPerChunk: round(median(chunks)),
    })),
  );
  await llm.close();
}
