import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode } from '#lib/base/errors.js';
import { type EngineSettings, trtllmArguments } from '#lib/engine/build/trtllm-arguments.js';
import { runTrtllmBuild, shellCommand, type TrtllmRun } from '#lib/engine/build/trtllm-build.js';
import { failsWith } from '../../../tools/fails-with.js';
import { PROJECT_ROOT } from '../../../tools/project.js';
import { temporaryDirectory } from '../helpers.js';

const FAKE = join(PROJECT_ROOT, 'test/tools/fake-trtllm-build.mjs');

const SETTINGS: EngineSettings = {
  maxBatchSize: 1,
  maxInputLen: 3072,
  maxSeqLen: 4096,
  maxNumTokens: 3072,
  maxBeamWidth: 1,
  isFp8: false,
  computeCapability: '9.0',
  extraArguments: [],
};

interface Given extends Partial<Pick<TrtllmRun, 'args' | 'program' | 'timeoutMs' | 'signal' | 'onRank'>> {
  /** What the fake does: FAKE_TRTLLM_BUILD. */
  behaviour?: object;
}

/** A checkpoint of two ranks, and a run of the fake that builds it. */
async function prepare(t: TestContext, { behaviour = {}, ...given }: Given = {}): Promise<TrtllmRun & { out: string }> {
  const dir = await temporaryDirectory(t);
  const checkpoint = join(dir, 'checkpoint');
  const out = join(dir, 'out');
  await mkdir(checkpoint);
  const config = { architecture: 'LlamaForCausalLM', mapping: { tp_size: 2, pp_size: 1 } };
  await writeFile(join(checkpoint, 'config.json'), JSON.stringify(config));
  for (const rank of [0, 1]) await writeFile(join(checkpoint, `rank${rank}.safetensors`), '');
  // The variable of one run must not reach another's, so a program of its own sets it.
  const program = join(dir, 'trtllm-build');
  await writeFile(
    program,
    `#!/bin/sh\nFAKE_TRTLLM_BUILD='${JSON.stringify(behaviour)}' exec '${process.execPath}' '${FAKE}' "$@"\n`,
  );
  await chmod(program, 0o755);
  const args = trtllmArguments(checkpoint, out, 2, SETTINGS);
  return { program, args, logFile: join(dir, 'build.log'), timeoutMs: 60_000, onRank: () => {}, out, ...given };
}

test('the arguments for a GPU of each generation', () => {
  const switchesFor = (settings: Partial<EngineSettings>): Record<string, string> => {
    const args = trtllmArguments('C', 'O', 2, { ...SETTINGS, ...settings });
    return Object.fromEntries(
      args.flatMap((arg, i) => (arg.startsWith('--') ? [[arg.slice(2), args[i + 1] ?? '']] : [])),
    );
  };
  assert.deepEqual(switchesFor({}), {
    checkpoint_dir: 'C',
    output_dir: 'O',
    workers: '2',
    max_batch_size: '1',
    max_input_len: '3072',
    max_seq_len: '4096',
    max_num_tokens: '3072',
    max_beam_width: '1',
    remove_input_padding: 'enable',
    context_fmha: 'enable',
    use_paged_context_fmha: 'enable',
    gemm_plugin: 'auto',
  });
  const turing = switchesFor({ computeCapability: '7.5' });
  assert.deepEqual([turing.context_fmha, turing.use_paged_context_fmha], ['disable', 'disable']);
  const hopper = switchesFor({ isFp8: true });
  assert.deepEqual([hopper.gemm_plugin, hopper.use_fp8_context_fmha], ['disable', 'enable']);
  assert.equal(switchesFor({ isFp8: true, computeCapability: '8.9' }).use_fp8_context_fmha, undefined);
  assert.equal(switchesFor({ extraArguments: ['--multiple_profiles', 'enable'] }).multiple_profiles, 'enable');
});

test('builds every rank, tells each, and keeps a log that begins with the command', async (t) => {
  const done: number[] = [];
  const run = await prepare(t, { onRank: (ranks) => done.push(ranks) });
  await runTrtllmBuild(run);
  assert.deepEqual(done, [1, 2]);
  assert.deepEqual((await readdir(run.out)).sort(), ['config.json', 'rank0.engine', 'rank1.engine']);
  const log = await readFile(run.logFile, 'utf8');
  assert.equal(log.split('\n')[0], shellCommand(run.program, run.args));
  assert.match(log, /Total time of building all engines/);
});

test('the command is one that a shell takes', () => {
  assert.equal(shellCommand('/a b/c', ['--x', "it's", '']), `'/a b/c' --x 'it'\\''s' ''`);
});

test('a failure is told by what was printed, with what to do', async (t) => {
  const cases: [behaviour: object, code: ErrorCode, ...words: RegExp[]][] = [
    [
      { print: 'torch.OutOfMemoryError: CUDA out of memory.', exit: 1 },
      'ERR_OUT_OF_MEMORY',
      /status 1: torch/,
      /Lower/,
    ],
    [{ print: 'ModuleNotFoundError: No module named x', exit: 1 }, 'ERR_EXECUTOR_UNAVAILABLE', /No module/, /doctor/],
    [{ print: 'RuntimeError: No CUDA-capable device is detected', exit: 1 }, 'ERR_EXECUTOR_UNAVAILABLE', /needs a GPU/],
    [{ print: "Required but not provided tensors:{'x'}", exit: 1 }, 'ERR_MODEL_UNSUPPORTED', /not provided/],
    [{ print: 'AssertionError: Engine building failed', exit: 3 }, 'ERR_BUILD_FAILED', /status 3: AssertionError/],
    [{ print: 'x'.repeat(100_000), exit: 1 }, 'ERR_BUILD_FAILED', /status 1: x{400,500}/],
    [{ kill: true }, 'ERR_BUILD_FAILED', /killed by SIGKILL/, /memory/],
  ];
  for (const [behaviour, code, ...words] of cases) {
    const run = await prepare(t, { behaviour });
    await assert.rejects(runTrtllmBuild(run), failsWith(code, run.logFile, ...words));
  }
});

test('an argument that this version does not take is named', async (t) => {
  const run = await prepare(t);
  const args = [...run.args, '--paged_kv', 'enable'];
  await assert.rejects(
    runTrtllmBuild({ ...run, args }),
    failsWith('ERR_BUILD_FAILED', /unrecognized arguments: --paged_kv enable/, /extraArguments/),
  );
});

test('a program that cannot be started is named', async (t) => {
  const run = await prepare(t, { program: '/nowhere/trtllm-build' });
  await assert.rejects(runTrtllmBuild(run), failsWith('ERR_BUILD_FAILED', '/nowhere/trtllm-build', /ENOENT/));
});

/** The process that a hanging fake started. */
async function workerOf({ logFile }: TrtllmRun): Promise<number> {
  for (;;) {
    const found = /^worker (\d+)$/m.exec(await readFile(logFile, 'utf8').catch(() => ''))?.[1];
    if (found !== undefined) return Number(found);
    await sleep(20);
  }
}

async function untilEnded(pid: number): Promise<void> {
  for (;;) {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (state === undefined || / [ZX] /.test(state)) return;
    await sleep(20);
  }
}

test('an abort ends it and what it started, even if it ignores SIGTERM', async (t) => {
  const controller = new AbortController();
  const run = await prepare(t, { behaviour: { hang: true }, signal: controller.signal });
  const running = runTrtllmBuild(run);
  const worker = await workerOf(run);
  controller.abort(new Error('enough'));
  await assert.rejects(running, /enough/);
  await untilEnded(worker);
});

test('one that hangs is stopped after its time', async (t) => {
  const run = await prepare(t, { behaviour: { hang: true }, timeoutMs: 2000 });
  const running = assert.rejects(
    runTrtllmBuild(run),
    failsWith('ERR_BUILD_FAILED', /longer than 2000 ms/, /buildTimeoutMs/),
  );
  const worker = await workerOf(run);
  await running;
  await untilEnded(worker);
});
