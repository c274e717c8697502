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
  const tokens = STREAMS * maxTokens;
  const read = async (streams) => ({
    callsPerStep: STREAMS,
    tokensPerChunk: round(tokens / (await readStreams(streams, maxTokens))),
  });
  const paths = {
    ours: async () => {
      const before = llm.stats();
      const counts = await read(startStreams(llm, STREAMS, maxTokens));
      const after = llm.stats();
      return { ...counts, callsPerStep: round((after.wakeups - before.wakeups) / (after.steps - before.steps), 3) };
    },
    'a ThreadSafeFunction call per token': () => read(peer.streamWithArguments(engineDir, STREAMS, maxTokens)),
    'the same, and a native object per token': () => read(peer.streamWithObjects(engineDir, STREAMS, maxTokens)),
    'control: the executor alone': () => peer.runExecutorAlone(engineDir, STREAMS, maxTokens),
  };
  const runs = Object.entries(paths).map(([path, run]) => ({ path, run, costs: [], counts: undefined }));
  for (let turn = -WARM_UPS; turn < RUNS; turn++) {
    for (const each of runs) {
      const cpu = await cpuMicroseconds(async () => {
        each.counts = await each.run();
      });
      if (turn >= 0) each.costs.push(cpu / tokens);
    }
  }
  const ours = median(runs[0].costs);
  const alone = median(runs.at(-1).costs);
  report.table(
    `${STREAMS} streams, ${rate}`,
    runs.map(({ path, costs, counts }) => ({
      path,
      cpuUsPerToken: round(median(costs)),
      least: round(Math.min(...costs)),
      most: round(Math.max(...costs)),
      ratio: round(median(costs) / ours),
      ratioAboveControl: round((median(costs) - alone) / (ours - alone)),
      ...counts,
    })),
  );
  await llm.close();
}
