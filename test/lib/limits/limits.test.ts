import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { ERROR_CODES } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';
import { type Exit, runProgram } from '../../tools/programs.js';
import type { Work } from './programs/life.js';

const STAGES = ['in process', 'isolated'].flatMap((where) =>
  ['load', 'generate', 'worker', 'close'].map((stage) => [`${where}: ${stage}`, 'ok']),
);

let engine: string;
before(async () => {
  engine = await tinyEngine();
});

const live = (launcher: readonly string[], limits: Omit<Work, 'engine'> = {}): Promise<Exit> =>
  runProgram(new URL('./programs/life.js', import.meta.url), { engine, ...limits } satisfies Work, { launcher });

function livesOn({ status, signal, told, err }: Exit): void {
  assert.deepEqual({ status, signal, told }, { status: 0, signal: null, told: ['started', ...STAGES, 'done'] }, err);
}

/** Each stage succeeds or fails with a code of ours, a worker also with one of Node's, and the process ends by itself. */
function failsTyped({ status, signal, told, err }: Exit): void {
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, err);
  assert.equal(told.at(-1), 'done', err);
  for (const [stage, outcome] of told.slice(1, -1) as [string, string][]) {
    const isNodes = stage.endsWith('worker') && /Node's (EMFILE|EAGAIN|ERR_WORKER_INIT_FAILED)/.test(outcome);
    assert.ok(outcome === 'ok' || outcome in ERROR_CODES || isNodes, `${stage} failed with ${outcome}`);
  }
}

const shell = (script: string): string[] => ['sh', '-c', `${script}; exec "$@"`, 'sh'];
const inMounts = (script: string): string[] => ['unshare', '--mount', ...shell(script)];
const works = ([command = '', ...args]: readonly string[]): boolean =>
  spawnSync(command, [...args, 'true']).status === 0;
const unless = (launcher: readonly string[]): { skip: string | false } => ({
  skip: works(launcher) ? false : `${launcher.slice(0, 2).join(' ')} does not work here`,
});

describe('an engine lives', () => {
  const places = {
    'on a read-only file system': inMounts('mount -o remount,bind,ro / && mount -t tmpfs -o ro tmpfs /dev/shm'),
    'without /dev/shm': inMounts('mount -t tmpfs -o ro,size=4k tmpfs /dev/shm'),
    'without HOME and TMPDIR': ['env', '-u', 'HOME', '-u', 'TMPDIR', '-u', 'USER'],
    'with 96 file descriptors': ['prlimit', '--nofile=96'],
  };
  for (const [where, launcher] of Object.entries(places)) {
    test(where, unless(launcher), async () => livesOn(await live(launcher)));
  }
});

describe('an engine lives or fails by a code, and its process ends', () => {
  for (const files of [24, 26, 28, 30, 32, 36, 40, 50, 64]) {
    test(`with ${files} file descriptors`, unless(['prlimit']), async () => failsTyped(await live([], { files })));
  }

  // Between the last two V8 itself finds too little, sooner or later, and ends the process.
  for (const addressSpaceMb of [50, 100, 400]) {
    test(`with ${addressSpaceMb} MB of address space left`, unless(['prlimit']), async (t) => {
      const exit = await live([], { addressSpaceMb });
      if (/Fatal process OOM|JavaScript heap out of memory/.test(exit.err)) t.skip('V8 itself found too little');
      else failsTyped(exit);
    });
  }
});

/** Runs in a control group of its own, of cgroup version 1 or 2; undefined where this process may make none. */
function controlGroup(
  limits: Readonly<Record<'v1' | 'v2', Readonly<Record<string, string>>>>,
): ControlGroup | undefined {
  const name = `node-tensorrt-llm-${process.pid}`;
  for (const [root, files] of Object.entries({
    [`/sys/fs/cgroup/${Object.keys(limits.v1)[0]?.split('.')[0]}/${name}`]: limits.v1,
    [`/sys/fs/cgroup/${name}`]: limits.v2,
  })) {
    try {
      mkdirSync(root);
      try {
        for (const [file, value] of Object.entries(files)) writeFileSync(`${root}/${file}`, value);
        return { launcher: shell(`echo $$ > ${root}/cgroup.procs`), remove: () => removeWhenEmpty(root) };
      } catch {
        rmdirSync(root);
      }
    } catch {
      // not this version, or no right to
    }
  }
  return undefined;
}

async function removeWhenEmpty(root: string): Promise<void> {
  while (readFileSync(`${root}/cgroup.procs`, 'utf8') !== '') await setTimeout(5);
  rmdirSync(root);
}

interface ControlGroup {
  readonly launcher: readonly string[];
  /** Resolves once its last process, a host that is killed, has ended. */
  remove(): Promise<void>;
}

describe('in a container', () => {
  // Node has 11 threads, a worker 1 and the host of isolation some more.
  for (const pids of [12, 14, 16, 18, 20, 24]) {
    test(`of ${pids} processes and threads, an engine lives or fails by a code, and its process ends`, async (t) => {
      const limit = String(pids);
      const group = controlGroup({ v1: { 'pids.max': limit }, v2: { 'pids.max': limit } });
      if (!group) return t.skip('no control group can be made here');
      try {
        failsTyped(await live(group.launcher));
      } finally {
        await group.remove();
      }
    });
  }

  test('of 600 MB, an engine lives', async (t) => {
    const limit = String(600 * 2 ** 20);
    const group = controlGroup({ v1: { 'memory.limit_in_bytes': limit }, v2: { 'memory.max': limit } });
    if (!group) return t.skip('no control group can be made here');
    try {
      livesOn(await live(group.launcher));
    } finally {
      await group.remove();
    }
  });
});
