import assert from 'node:assert/strict';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BuildOptions, type BuildProgress, buildEngine, LLM } from 'node-tensorrt-llm';
import type { ErrorCode } from '#lib/base/errors.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { failsAbout, failsWith } from '../../../tools/fails-with.js';
import { PROJECT_ROOT } from '../../../tools/project.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { readEngineConfig, readJson, temporaryDirectory } from '../helpers.js';

interface Prepared {
  dir: string;
  source: string;
  out: string;
  /** Options that build for a Hopper with the fake trtllm-build. */
  tensorrt: BuildOptions;
}

/** A model to build from, and the fake trtllm-build of test/tools that does what `behaviour` says. */
async function prepare(
  t: TestContext,
  behaviour: object = {},
  spec: TinyLlamaSpec = TINY_LLAMAS.text,
): Promise<Prepared> {
  const dir = await temporaryDirectory(t);
  const source = join(dir, 'source');
  await writeTinyLlama(source, spec);
  const trtllmBuild = join(dir, 'trtllm-build');
  const fake = join(PROJECT_ROOT, 'test/tools/fake-trtllm-build.mjs');
  const variable = `FAKE_TRTLLM_BUILD='${JSON.stringify(behaviour)}'`;
  await writeFile(trtllmBuild, `#!/bin/sh\n${variable} exec '${process.execPath}' '${fake}' "$@"\n`);
  await chmod(trtllmBuild, 0o755);
  const tensorrt: BuildOptions = { weights: 'tensorrt', trtllmBuild, computeCapability: '9.0' };
  return { dir, source, out: join(dir, 'out'), tensorrt };
}

/** What a failed or stopped build may leave: its log. */
async function assertNothingLeft({ dir }: Prepared): Promise<void> {
  const names = (await readdir(dir)).filter(
    (name) => !['source', 'trtllm-build', 'out.trtllm-build.log'].includes(name),
  );
  assert.deepEqual(names, []);
}

test('without TensorRT-LLM it makes the checkpoint that the executors here load, and tells how far it is', async (t) => {
  const { source, out } = await prepare(t);
  const building = buildEngine(source, out, { weights: 'checkpoint', maxSeqLen: 64 });
  const progress: BuildProgress[] = [];
  for await (const each of building) progress.push(each);
  assert.deepEqual(await building.result, {
    path: out,
    weights: 'checkpoint',
    tpSize: 1,
    ppSize: 1,
    command: null,
    logFile: null,
  });
  const last = progress.at(-1);
  assert.equal(last?.stage, 'convert');
  assert.equal(last?.done, last?.total);
  const llm = await LLM.load(out, { executor: 'cpu' });
  assert.equal(llm.info.maxSeqLen, 64);
  await llm.close();
});

test('with it, it makes an engine for each rank, with the tokenizer and a manifest', async (t) => {
  const { dir, source, out, tensorrt } = await prepare(t);
  const building = buildEngine(source, out, {
    ...tensorrt,
    tpSize: 2,
    maxSeqLen: 64,
    maxInputLen: 48,
    maxBatchSize: 3,
  });
  const stages = new Set<string>();
  for await (const { stage } of building) stages.add(stage);
  const { command, logFile, ...facts } = await building.result;
  assert.deepEqual(facts, { path: out, weights: 'tensorrt', tpSize: 2, ppSize: 1 });
  assert(stages.has('build'));
  const engine = await openEngine(out, { weights: 'tensorrt' });
  assert.equal(engine.rankFiles.length, 2);
  assert.notEqual(engine.tokenizerPath, undefined);
  assert.notEqual(engine.chatTemplates.get('default'), undefined);
  assert.deepEqual(engine.manifest?.executors, ['tensorrt-llm']);
  assert.deepEqual(
    Object.keys(engine.manifest?.files ?? {}).sort(),
    (await readdir(out)).filter((name) => name !== 'manifest.json').sort(),
  );
  const { build_config } = (await readJson(join(out, 'config.json'))) as { build_config: object };
  assert.deepEqual(build_config, {
    max_batch_size: 3,
    max_beam_width: 1,
    max_input_len: 48,
    max_seq_len: 64,
    max_num_tokens: 8192,
    plugin_config: { paged_kv_cache: true, remove_input_padding: true, tokens_per_block: 32 },
  });
  assert.match(command ?? '', /trtllm-build --checkpoint_dir CHECKPOINT --output_dir .*out --workers 2 /);
  assert.match(await readFile(logFile ?? '', 'utf8'), /Total time of building all engines/);
  assert.deepEqual((await readdir(dir)).sort(), ['out', 'out.trtllm-build.log', 'source', 'trtllm-build']);
});

test('a dry run checks everything, tells the command and writes nothing', async (t) => {
  const prepared = await prepare(t, {}, { ...TINY_LLAMAS.text, maxPositions: 131_072 });
  const { source, out, tensorrt } = prepared;
  const { command, tpSize } = await buildEngine(source, out, { ...tensorrt, profile: 'nemotron-card', dryRun: true })
    .result;
  assert.equal(tpSize, 2);
  assert.match(command ?? '', /--max_batch_size 1 --max_input_len 3072 --max_seq_len 4096 --max_num_tokens 4096 /);
  const long = await buildEngine(source, out, { ...tensorrt, profile: 'nemotron-128k', tpSize: 1, dryRun: true })
    .result;
  assert.match(long.command ?? '', /--workers 1 .*--max_input_len 126976 --max_seq_len 131072 /);
  await assertNothingLeft(prepared);
  await assert.rejects(
    buildEngine(source, out, { ...tensorrt, tpSize: 3, dryRun: true }).result,
    failsAbout('tpSize', 'ERR_INVALID_OPTION', /divisor/),
  );
});

test('what the GPU lacks, and lengths that do not fit together, are refused before anything is written', async (t) => {
  const prepared = await prepare(t, {}, { ...TINY_LLAMAS.text, dtype: 'bfloat16' });
  const { source, out, tensorrt } = prepared;
  const cases: [BuildOptions, ErrorCode, RegExp][] = [
    [{ ...tensorrt, computeCapability: '7.5' }, 'ERR_MODEL_UNSUPPORTED', /bfloat16.* 8\.0.* 7\.5.*float16/],
    [
      { ...tensorrt, maxSeqLen: 64, maxInputLen: 64 },
      'ERR_INVALID_OPTION',
      /maxInputLen is 64; expected less than maxSeqLen/,
    ],
    [{ ...tensorrt, computeCapability: '9' }, 'ERR_INVALID_OPTION', /computeCapability/],
    [{ ...tensorrt, profile: 'nemotron-card', maxSeqLen: 1 }, 'ERR_INVALID_OPTION', /maxSeqLen/],
    [{ ...tensorrt, threads: 1 } as BuildOptions, 'ERR_INVALID_OPTION', /threads/],
  ];
  for (const [options, code, words] of cases) {
    await assert.rejects(buildEngine(source, out, options).result, failsWith(code, words));
    await assertNothingLeft(prepared);
  }
  const turing = buildEngine(source, out, { ...tensorrt, computeCapability: '7.5', dtype: 'float16', dryRun: true });
  assert.match((await turing.result).command ?? '', /--context_fmha disable/);
});

test('a build that fails, or makes something else than was asked for, leaves only its log', async (t) => {
  const cases: [behaviour: object, words: RegExp][] = [
    [{ print: 'RuntimeError: it broke', exit: 1 }, /it broke/],
    [{ skipRank: 1 }, /cannot be loaded.*rank1\.engine/],
    [{ nonsense: '{"version": ' }, /cannot be loaded.*config\.json/],
  ];
  for (const [behaviour, words] of cases) {
    const prepared = await prepare(t, behaviour);
    const { source, out, tensorrt } = prepared;
    const building = buildEngine(source, out, { ...tensorrt, tpSize: 2 });
    await assert.rejects(building.result, failsWith('ERR_BUILD_FAILED', words, `${out}.trtllm-build.log`));
    await assert.rejects(async () => {
      for await (const _ of building);
    }, failsWith('ERR_BUILD_FAILED'));
    await assertNothingLeft(prepared);
  }
});

test('it can be aborted in each stage, by its signal and by abort()', async (t) => {
  const prepared = await prepare(t, { hang: true });
  const { source, out, tensorrt } = prepared;
  const controller = new AbortController();
  const early = buildEngine(source, out, { ...tensorrt, signal: controller.signal });
  controller.abort(new Error('too early'));
  await assert.rejects(early.result, /too early/);
  const late = buildEngine(source, out, tensorrt);
  while (!/^worker/m.test(await readFile(`${out}.trtllm-build.log`, 'utf8').catch(() => ''))) await sleep(20);
  late.abort(new Error('too late'));
  await assert.rejects(late.result, /too late/);
  await assertNothingLeft(prepared);
});

test('a checkpoint of several ranks names them in its config', async (t) => {
  const { source, out } = await prepare(t);
  await buildEngine(source, out, { weights: 'checkpoint', tpSize: 2, ppSize: 2 }).result;
  assert.equal((await readEngineConfig(out)).pretrained_config.mapping.world_size, 4);
});
