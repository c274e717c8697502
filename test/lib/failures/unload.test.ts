import { before, describe, test } from 'node:test';
import { tinyEngine } from '../../tools/engines.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';

// The addon is unloaded with the last environment that loaded it: here no other than a worker's.
let engines: { engine: string };
before(async () => {
  engines = { engine: await tinyEngine() };
});

/** Of one Node.js; over the three of them more than 200. */
const TERMINATIONS = 70;

for (const { major, node } of NODE_VERSIONS) {
  describe(`on Node.js ${major}, a worker that alone loaded the addon`, () => {
    test(`may be terminated ${TERMINATIONS} times, while it loads or streams, and the process lives`, async () => {
      const program = `
        for (let i = 0; i < ${TERMINATIONS}; i++) {
          const worker = startWorker(\`
            parentPort.postMessage('loads');
            const llm = await LLM.load(workerData);
            for await (const _ of llm.stream('x', LONG)) parentPort.postMessage('streams');
          \`, engine);
          await once(worker, 'message');
          if (i % 4 === 3) await sleep(i / 4); // somewhere in the load
          else await once(worker, 'message');
          await worker.terminate();
        }
        console.log('alive');
      `;
      ends(await runProgram(program, engines, { node }), { status: 0, out: 'alive\n' });
    });

    const WAYS = [
      { way: 'process.exit()', leave: 'process.exit(3)', seen: 'exit 3' },
      { way: 'an uncaught throw', leave: `throw new Error('mine')`, seen: 'exit 1' },
      { way: 'a natural end', leave: 'break', seen: 'exit 0' },
    ];
    for (const { way, leave, seen } of WAYS) {
      test(`may end by ${way} while it streams, and the process lives`, async () => {
        const program = `
          const worker = startWorker(\`
            const llm = await LLM.load(workerData);
            for await (const _ of llm.stream('x', LONG)) ${leave};
          \`, engine);
          worker.on('error', () => {});
          worker.on('exit', (status) => console.log('exit ' + status));
        `;
        ends(await runProgram(program, engines, { node }), { status: 0, out: `${seen}\n` });
      });
    }
  });
}
