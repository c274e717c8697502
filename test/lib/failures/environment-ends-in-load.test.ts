import { before, test } from 'node:test';
import { scriptedEngine } from '../../tools/engines.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';

// A load that nobody gave up would take an hour and hold 33 MB, which glibc gives back to the system when they are freed.
let engines: { engine: string };
before(async () => {
  engines = { engine: await scriptedEngine({ load_ms: 3_600_000, memory_mb: 33, log: true }) };
});

for (const { major, node } of NODE_VERSIONS) {
  test(`on Node.js ${major}, threads and memory of a pending load return when its worker is terminated, exits or throws`, async () => {
    const program = `
      import { readdirSync } from 'node:fs';
      const threads = () => readdirSync('/proc/self/task').length;
      const residentMb = () => process.memoryUsage.rss() / 2 ** 20;
      const deaths = [
        (worker) => worker.terminate(),
        (worker) => { worker.postMessage('exit'); return once(worker, 'exit'); },
        (worker) => { worker.postMessage('throw'); return once(worker, 'error'); },
      ];
      const dieWhileLoading = async (die) => {
        const worker = startWorker(\`
          parentPort.on('message', (what) => {
            if (what === 'exit') process.exit();
            throw new Error(what);
          });
          const log = () => parentPort.postMessage('loads');
          LLM.load(workerData, { ...SCRIPTED, logger: { error: log, warn() {}, info() {}, debug() {} } });
        \`, engine);
        await once(worker, 'message');
        await die(worker);
      };
      for (const die of deaths) await dieWhileLoading(die);
      const before = { threads: threads(), residentMb: residentMb() };
      for (let i = 0; i < 9; i++) await dieWhileLoading(deaths[i % deaths.length]);
      for (let i = 0; i < 2000 && threads() > before.threads; i++) await sleep(10);
      console.log(threads() <= before.threads ? 'threads returned' : threads() + ' threads, not ' + before.threads);
      const growthMb = residentMb() - before.residentMb;
      console.log(growthMb < 150 ? 'memory returned' : 'memory grew by ' + growthMb + ' MB');
    `;
    ends(await runProgram(program, engines, { node }), { status: 0, out: 'threads returned\nmemory returned\n' });
  });
}
