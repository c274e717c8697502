import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { scriptedEngine, temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { ended, hostPid } from '../../tools/hosts.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';
import { PROJECT_ROOT } from '../../tools/project.js';

const TOOLS = `
  import { writeSync } from 'node:fs';
  const { hostPid, hostsOf } = await import(hostTools);
  const ISOLATED = { isolation: 'process' };
  const tell = () => writeSync(1, String(hostPid())); // at once: the process may end before a stream is flushed
`;

let constants: { engine: string; slowToLoad: string; hostTools: string };
before(async () => {
  constants = {
    engine: await tinyEngine(),
    slowToLoad: await scriptedEngine({ load_ms: 1_000_000, log: true }),
    hostTools: new URL('../../tools/hosts.js', import.meta.url).href,
  };
});

const WAYS = [
  { way: 'process.exit()', leave: 'process.exit(7)', status: 7, signal: null },
  { way: 'an uncaught throw', leave: `setImmediate(() => { throw new Error('mine'); })`, status: 1, signal: null },
  { way: 'SIGKILL', leave: `process.kill(process.pid, 'SIGKILL')`, status: null, signal: 'SIGKILL' },
];
const STAGES = [
  {
    stage: 'load',
    program: `
      const error = () => { tell(); leave(); };
      LLM.load(slowToLoad, { ...SCRIPTED, ...ISOLATED, logger: { error, warn() {}, info() {}, debug() {} } });
    `,
  },
  {
    stage: 'decode',
    program: `
      const llm = await LLM.load(engine, ISOLATED);
      const generation = llm.stream('x', LONG);
      generation.result.catch(() => {});
      await hasChunk(generation);
      tell();
      leave();
    `,
  },
  { stage: 'idleness', program: `await LLM.load(engine, ISOLATED); tell(); leave();` },
];

for (const { major, node } of NODE_VERSIONS) {
  describe(`on Node.js ${major}`, () => {
    for (const { way, leave, status, signal } of WAYS) {
      for (const { stage, program } of STAGES) {
        test(`${way} during ${stage} leaves no host behind`, async () => {
          const exit = await runProgram(`${TOOLS} const leave = () => ${leave}; ${program}`, constants, { node });
          assert.deepEqual({ status: exit.status, signal: exit.signal }, { status, signal }, exit.err);
          await ended(Number(exit.out));
        });
      }
    }

    test('a natural exit with an idle LLM leaves no host behind', async () => {
      const exit = await runProgram(`${TOOLS} await LLM.load(engine, ISOLATED); tell();`, constants, { node });
      assert.deepEqual({ status: exit.status, signal: exit.signal }, { status: 0, signal: null }, exit.err);
      await ended(Number(exit.out));
    });

    test('a worker that is terminated while it loads or streams takes its host along', async () => {
      const program = `${TOOLS}
        for (let i = 0; i < 20; i++) {
          const worker = startWorker(\`
            parentPort.postMessage('loads');
            const llm = await LLM.load(workerData, { isolation: 'process' });
            for await (const _ of llm.stream('x', LONG)) parentPort.postMessage('streams');
          \`, engine);
          await once(worker, 'message');
          if (i % 4 === 3) await sleep(i); // somewhere in the load
          else await once(worker, 'message');
          await worker.terminate();
        }
        while (hostsOf(process.pid).length > 0) await sleep(5);
        console.log('none left');
      `;
      ends(await runProgram(program, constants, { node }), { status: 0, out: 'none left\n' });
    });
  });
}

test('a worker attached to an isolated engine may end, and the others go on', async () => {
  const program = `${TOOLS}
    const llm = await LLM.load(engine, ISOLATED);
    const worker = startWorker(\`
      for await (const _ of LLM.attach(workerData).stream('x', LONG)) parentPort.postMessage('streams');
    \`, llm.handle);
    await once(worker, 'message');
    await worker.terminate();
    console.log((await llm.generate('x', { ...LONG, maxTokens: 5 })).usage.completionTokens);
    await llm.close();
  `;
  ends(await runProgram(program, constants), { status: 0, out: '5\n' });
});

test('a host has no descriptor of its parent but standard error, and blocks and ignores no signal', async () => {
  const llm = await LLM.load(constants.engine, { isolation: 'process' });
  const proc = `/proc/${hostPid()}`;
  assert.deepEqual(await readdir(`${proc}/fd`), ['0', '1', '2', '3']);
  const errors = await readlink('/proc/self/fd/2');
  assert.deepEqual(await Promise.all([1, 2].map((fd) => readlink(`${proc}/fd/${fd}`))), [errors, errors]);
  // Signal 32 is glibc's own.
  assert.match(await readFile(`${proc}/status`, 'utf8'), /^SigBlk:\t0+\nSigIgn:\t0{8}[08]0{7}\n/m);
  await llm.close();
});

test('the signals that a terminal and systemd send to all of a service leave the host running', async () => {
  const llm = await LLM.load(constants.engine, { isolation: 'process' });
  const host = hostPid();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.kill(host, signal);
    const { usage } = await llm.generate('abc', { maxTokens: 5, ignoreEos: true });
    assert.equal(usage.completionTokens, 5);
  }
  assert.equal(hostPid(), host);
  await llm.close();
});

test('where the host program is missing, the load names its path', async () => {
  const copy = join(await temporaryDirectory(), 'package');
  const addon = 'build/Release/node_tensorrt_llm.node';
  await mkdir(join(copy, 'build/Release'), { recursive: true });
  for (const name of ['package.json', 'dist', addon]) {
    await cp(join(PROJECT_ROOT, name), join(copy, name), { recursive: true });
  }
  await symlink(join(PROJECT_ROOT, 'node_modules'), join(copy, 'node_modules'));
  const program = `
    const { LLM: Copied } = await import(copy + '/dist/index.js');
    const error = await Copied.load(engine, { isolation: 'process' }).catch((reason) => reason);
    console.log(error.code, error.message.includes(copy + '/build/Release/node_tensorrt_llm_host'));
    await (await Copied.load(engine)).close();
  `;
  const env = { NODE_TENSORRT_LLM_PREBUILD: '' }; // not the addon that sanitizers are built into
  const exit = await runProgram(program, { ...constants, copy }, { env });
  ends(exit, { status: 0, out: 'ERR_EXECUTOR_UNAVAILABLE true\n' });
});
