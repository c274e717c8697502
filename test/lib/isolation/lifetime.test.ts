import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { scriptedEngine, temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { ended, hostPid } from '../../tools/hosts.js';
import { OLDEST_AND_NEWEST } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';
import { PROJECT_ROOT } from '../../tools/project.js';
import type { Work as TerminatedAlone } from '../failures/programs/terminated-alone.js';
import type { Work as AttachedWorkerEnds } from './programs/attached-worker-ends.js';
import type { Work as Exiting } from './programs/exit.js';
import type { Work as StoppedHosts } from './programs/stopped-hosts.js';
import type { Work as WithoutHost } from './programs/without-host.js';

const program = (name: string): URL => new URL(`./programs/${name}.js`, import.meta.url);

let engine: string;
let slowToLoad: string;
before(async () => {
  engine = await tinyEngine();
  slowToLoad = await scriptedEngine({ load_ms: 1_000_000, log: true });
});

const WAYS = [
  { way: 'process.exit()', status: 7, signal: null },
  { way: 'an uncaught throw', status: 1, signal: null },
  { way: 'SIGKILL', status: null, signal: 'SIGKILL' },
] as const;
const STAGES = ['load', 'decode', 'idleness'] as const;

for (const { major, node } of OLDEST_AND_NEWEST) {
  describe(`on Node.js ${major}`, () => {
    /** Asserts how the process ends, and waits for the end of its host. */
    async function leavesNoHost(
      { stage, way }: Pick<Exiting, 'stage' | 'way'>,
      expected: { status: number | null; signal: string | null },
    ): Promise<void> {
      const work: Exiting = { engine, slowToLoad, stage, way };
      const { status, signal, told, err } = await runProgram(program('exit'), work, { node });
      assert.deepEqual({ status, signal }, expected, err);
      await ended(Number(told[0]));
    }

    for (const { way, status, signal } of WAYS) {
      for (const stage of STAGES) {
        test(`${way} during ${stage} leaves no host behind`, () => leavesNoHost({ stage, way }, { status, signal }));
      }
    }

    test('a natural exit with an idle LLM leaves no host behind', () =>
      leavesNoHost({ stage: 'idleness', way: 'a natural exit' }, { status: 0, signal: null }));

    test('a worker that is terminated while it loads or streams takes its host along', async () => {
      const work: TerminatedAlone = { engine, load: { isolation: 'process' }, times: 20 };
      const terminatedAlone = new URL('../failures/programs/terminated-alone.js', import.meta.url);
      ends(await runProgram(terminatedAlone, work, { node }), { status: 0, told: ['alive'] });
    });
  });
}

test('process.exit() with stopped hosts takes no longer than with one, and leaves none behind', async () => {
  const work: StoppedHosts = { engine, hosts: 3 };
  const { status, signal, told, err } = await runProgram(program('stopped-hosts'), work);
  assert.deepEqual({ status, signal }, { status: 7, signal: null }, err);
  const [pids, exitedAt] = told as [number[], number];
  for (const pid of pids) await ended(pid);
  // Within two seconds; one after the other they would take six. The rest is for a slow machine.
  assert.ok(Date.now() - exitedAt < 5000, `${Date.now() - exitedAt} ms`);
});

test('close() ends a stopped host', async () => {
  const llm = await LLM.load(engine, { isolation: 'process' });
  const host = hostPid();
  process.kill(host, 'SIGSTOP');
  await llm.close();
  await ended(host);
});

test('a host has of the environment what executors read and what isolationEnv names', async () => {
  Object.assign(process.env, { A_SECRET: 'secret', NAMED: 'named', CUDA_DEVICE_ORDER: 'PCI_BUS_ID' });
  const llm = await LLM.load(engine, { isolation: 'process', isolationEnv: ['NAMED', 'NOT_THERE'] });
  const variables = (await readFile(`/proc/${hostPid()}/environ`, 'utf8')).split('\0');
  await llm.close();
  assert.ok(variables.includes('NAMED=named') && variables.includes('CUDA_DEVICE_ORDER=PCI_BUS_ID'));
  assert.ok(variables.includes(`PATH=${process.env.PATH}`));
  assert.ok(!variables.some((variable) => variable.startsWith('A_SECRET')));
});

test('a worker attached to an isolated engine may end, and the others go on', async () => {
  const work: AttachedWorkerEnds = { engine };
  ends(await runProgram(program('attached-worker-ends'), work), { status: 0, told: [5] });
});

test('a host has no descriptor of its parent but standard error, and blocks and ignores no signal', async () => {
  const llm = await LLM.load(engine, { isolation: 'process' });
  const proc = `/proc/${hostPid()}`;
  assert.deepEqual(await readdir(`${proc}/fd`), ['0', '1', '2', '3']);
  const errors = await readlink('/proc/self/fd/2');
  assert.deepEqual(await Promise.all([1, 2].map((fd) => readlink(`${proc}/fd/${fd}`))), [errors, errors]);
  // Signal 32 is glibc's own.
  assert.match(await readFile(`${proc}/status`, 'utf8'), /^SigBlk:\t0+\nSigIgn:\t0{8}[08]0{7}\n/m);
  await llm.close();
});

test('the signals that a terminal and systemd send to all of a service leave the host running', async () => {
  const llm = await LLM.load(engine, { isolation: 'process' });
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
  const env = { NODE_TENSORRT_LLM_PREBUILD: '' }; // not the addon that sanitizers are built into
  const work: WithoutHost = { engine, copy };
  const { status, told, err } = await runProgram(program('without-host'), work, { env });
  assert.equal(status, 0, err);
  const [{ code, message }] = told as [{ code: string; message: string }];
  assert.equal(code, 'ERR_EXECUTOR_UNAVAILABLE', message);
  assert.ok(message.includes(join(copy, 'build/Release/node_tensorrt_llm_host')), message);
});
