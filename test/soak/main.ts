// Many requests of all kinds on the CPU and the scripted executor, from the main thread and four workers, with everything
// done to them that a program can do: every one must end once, as it may, and what an engine holds must be free behind it.
//   npm run soak -- [--requests N] [--seed S] [--seconds N]
// It is run with MALLOC_ARENA_MAX=1: in an arena for each thread what is free does not go back, and memory would seem to grow.
// The same seed makes the same requests; which thread runs them, and beside what, is another matter each time.
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LLM } from 'node-tensorrt-llm';
import { hostsOf } from '../tools/hosts.js';
import { makeCases } from './cases.js';
import { EventLog } from './events.js';
import { Random } from './random.js';
import { SoakReport } from './report.js';
import { RoundRequests } from './round.js';
import { loadSetting, SETTINGS, type Setting } from './settings.js';
import { type Round, runShare } from './share.js';
import { Team } from './team.js';

const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: 'Infinity' },
  },
});
const requestCount = Number(flags.requests);
const seed = Number(flags.seed);
const endMs = performance.now() + 1000 * Number(flags.seconds);

const WORKERS = 4;
const REQUESTS_PER_ROUND = 250;
const STALLED_MS = 120_000;

const report = new SoakReport(requestCount);
const onFailure = (message: string): void => report.fail(`seed ${seed}: ${message}`);
const cases = await makeCases(seed);
if (!cases.cpu.some(({ options }) => options.guided)) {
  console.log('no guided output: libguidance.so is missing; npm run build:guidance builds it');
}
const events = new EventLog(onFailure);
const team = new Team(WORKERS, cases, onFailure);
for (let from = 0; from < requestCount && performance.now() < endMs; from += REQUESTS_PER_ROUND) {
  await runRound(from, Math.min(REQUESTS_PER_ROUND, requestCount - from));
}
await team.dismiss();
report.print(team.terminations);

async function runRound(from: number, count: number): Promise<void> {
  const number = from / REQUESTS_PER_ROUND;
  const random = new Random(seed, 5, number);
  const settingIndex = number % SETTINGS.length;
  const setting = SETTINGS[settingIndex] ?? SETTINGS[0];
  if (random.chance(0.2)) await giveUpLoad(setting, random.integer(0, 20));
  const closesEarly = number % 3 === 1; // each setting in its turn
  const where = `round ${number} on '${setting.name}'`;
  const llm = await loadSetting(setting);
  const requests = new RoundRequests(from, count);
  const round: Round = {
    number,
    seed,
    from,
    count,
    memory: requests.memory,
    handle: llm.handle,
    setting: settingIndex,
    closesEarly,
  };
  const stalled = setTimeout(() => {
    onFailure(`${where} stands still; running: ${requests.running().join(' ')}`);
    process.exit(1);
  }, STALLED_MS);
  team.start(round);
  const mine = runShare({ round, requests, thread: 0, cases, events, onFailure });
  if (closesEarly) await llm.close(); // the threads have theirs, and the last one's close ends what runs
  const at = random.integer(0, count - 1);
  while (requests.taken <= at) await delay(1);
  await team.replace(random.integer(1, team.size), random.pick(['terminate', 'exit']), round, requests);
  if (setting.killsHost) {
    const later = random.integer(at, count - 1);
    while (requests.taken <= later) await delay(1);
    for (const pid of hostsOf(process.pid)) process.kill(pid, 'SIGKILL');
  }
  await mine;
  await team.whenDone();
  let preemptions = 0;
  if (!closesEarly) {
    await whenFree(llm);
    const stats = llm.stats();
    preemptions = stats.preemptions;
    if (stats.kvBlocksUsed > 0) onFailure(`${where}: ${stats.kvBlocksUsed} KV blocks are in use, and no request runs`);
    if (stats.unknownRows > 0 && !setting.unknownRows) onFailure(`${where}: ${stats.unknownRows} unknown rows`);
    await llm.close();
  }
  clearTimeout(stalled);
  for (const lost of requests.running()) onFailure(`${where}: request ${lost} has no outcome`);
  report.addRound(setting.executor, requests.tally(), preemptions);
}

async function giveUpLoad(setting: Setting, afterMs: number): Promise<void> {
  const controller = new AbortController();
  setTimeout(() => controller.abort(controller), afterMs);
  try {
    const llm = await loadSetting(setting, { signal: controller.signal });
    await llm.close(); // it was faster
  } catch (error) {
    if (error !== controller) onFailure(`a load that was given up on '${setting.name}' rejects with ${error}`);
  }
}

async function whenFree(llm: LLM): Promise<void> {
  for (let stats = llm.stats(); stats.activeRequests + stats.queuedRequests > 0; stats = llm.stats()) await delay(1);
}
