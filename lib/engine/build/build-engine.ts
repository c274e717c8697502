import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  boolean,
  type Checks,
  check,
  integer,
  listOf,
  MAX_COUNT,
  oneOf,
  readOptions,
  text,
} from '../../base/checks.js';
import { LLMError, messageOf } from '../../base/errors.js';
import { pathOf, path as pathOption } from '../../base/paths.js';
import { findGpus } from '../../machine/gpus.js';
import { findProgram } from '../../machine/programs.js';
import { buildDirectory, writeJson } from '../convert/build-directory.js';
import { type ConvertOptions, convert, convertChecks, planConversion } from '../convert/convert.js';
import type { EngineConfig } from '../directory/checkpoint-config.js';
import { openEngine } from '../directory/directory.js';
import { factsOfFiles, MANIFEST_FILE, makeManifest, readManifest } from '../directory/manifest.js';
import { checkpointConfig } from './checkpoint-config.js';
import { PROFILES } from './profiles.js';
import { trtllmArguments } from './trtllm-arguments.js';
import { runTrtllmBuild, shellCommand } from './trtllm-build.js';

/** How to make an engine. What is left out comes from the profile, if there is one, else from the defaults here. */
export interface BuildOptions extends Omit<ConvertOptions, 'onProgress'> {
  /** Sizes for a known case; options that are given replace its own. Default: none. */
  profile?: 'nemotron-card' | 'nemotron-128k' | undefined;
  /**
   * What to make: `'tensorrt'`, an engine for TensorRT-LLM by its trtllm-build; `'checkpoint'`, what the executors of this package run;
   * `'auto'`, the former if there is a trtllm-build. Default: `'auto'`.
   */
  weights?: 'auto' | 'checkpoint' | 'tensorrt' | undefined;
  /** Maximum length of a prompt in a TensorRT engine. Default: one token less than `maxSeqLen`. */
  maxInputLen?: number | undefined;
  /** Most beams of a request in a TensorRT engine. Default: 1. */
  maxBeamWidth?: number | undefined;
  /** The program trtllm-build. Default: the one on `PATH`. */
  trtllmBuild?: string | URL | undefined;
  /** Compute capability of the GPUs that are to run a TensorRT engine, such as `'9.0'`. Default: that of this machine's first GPU. */
  computeCapability?: string | undefined;
  /** More arguments for trtllm-build, such as `['--multiple_profiles', 'enable']`. Default: none. */
  extraArguments?: readonly string[] | undefined;
  /** How long trtllm-build may take, in ms. Default: 14,400,000, four hours. */
  buildTimeoutMs?: number | undefined;
  /** Check everything and say what would be done, without writing anything. Default: false. */
  dryRun?: boolean | undefined;
}

/** How far a build is. */
export interface BuildProgress {
  /** `'convert'` counts bytes of weights, `'calibrate'` layers that have read the texts, `'build'` ranks whose engine is written. */
  readonly stage: 'convert' | 'calibrate' | 'build';
  readonly done: number;
  readonly total: number;
}

/** What a build made, or with `dryRun` would have made. */
export interface BuiltEngine {
  /** Absolute path of the engine directory. */
  readonly path: string;
  readonly weights: 'checkpoint' | 'tensorrt';
  readonly tpSize: number;
  readonly ppSize: number;
  /** The command that built the TensorRT engine, as a shell takes it; null for a checkpoint. */
  readonly command: string | null;
  /** Absolute path of what that command printed; null for a checkpoint. */
  readonly logFile: string | null;
}

/** A running build: iterate it for its progress, await its `result`, or both. */
export interface EngineBuild extends AsyncIterable<BuildProgress>, AsyncDisposable {
  /** If nobody reads it, a failure causes no unhandledRejection. */
  readonly result: Promise<BuiltEngine>;
  /** Stops the build; nothing is left behind. `result` rejects with `reason`. */
  abort(reason?: unknown): void;
}

const DEFAULT_TIMEOUT_MS = 4 * 60 * 60_000;
const DEFAULT_NUM_TOKENS = 8192;
const OLDEST_BFLOAT16 = 8; // compute capability
const OLDEST_FP8 = 8.9;

const { onProgress: _, ...sharedChecks } = convertChecks;
const checks: Checks<BuildOptions> = {
  ...sharedChecks,
  profile: oneOf(['nemotron-card', 'nemotron-128k']),
  weights: oneOf(['auto', 'checkpoint', 'tensorrt']),
  maxInputLen: integer(1, MAX_COUNT),
  maxBeamWidth: integer(1, MAX_COUNT),
  trtllmBuild: pathOption(),
  computeCapability: check(
    "a compute capability such as '9.0'",
    (value): value is string => typeof value === 'string' && /^\d{1,2}\.\d$/.test(value),
  ),
  extraArguments: listOf(text(), 'strings'),
  buildTimeoutMs: integer(1, MAX_COUNT),
  dryRun: boolean(),
};

/**
 * Makes an engine from a model that people have: converts and splits it and, where TensorRT-LLM is installed, builds TensorRT engines of it.
 * `out` is complete or not there; an engine that this package wrote there before is replaced. It never throws: `result` and the
 * iterator do, with what `convert` throws and `ERR_BUILD_FAILED`, `ERR_EXECUTOR_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`,
 * `ERR_MODEL_UNSUPPORTED`; an abort throws the reason.
 */
export function buildEngine(source: string | URL, out: string | URL, options: BuildOptions = {}): EngineBuild {
  return new RunningBuild((tell, signal) => build(source, out, options, { tell, signal }));
}

interface Work {
  readonly tell: (progress: BuildProgress) => void;
  readonly signal: AbortSignal;
}

type Options = Omit<BuildOptions, 'profile'>;

async function build(source: string | URL, out: string | URL, given: BuildOptions, work: Work): Promise<BuiltEngine> {
  const { profile, signal, ...read } = readOptions(given, checks, 'buildEngine()');
  const options: Options = { ...(profile && PROFILES[profile]), ...read };
  const all = signal ? AbortSignal.any([signal, work.signal]) : work.signal;
  all.throwIfAborted();
  const target = pathOf('out', out);
  const trtllmBuild = await chooseProgram(options);
  const forTensorRt = trtllmBuild && (await describeBuild(source, target, trtllmBuild, options));
  if (trtllmBuild && forTensorRt) {
    if (!options.dryRun) await buildTensorRt(source, target, options, forTensorRt, { ...work, signal: all });
    return forTensorRt.built;
  }
  const { mapping } = (await planConversion(source, conversionOf(options))).pretrained_config;
  if (!options.dryRun) await convertTo(source, target, options, { ...work, signal: all });
  const { tp_size: tpSize, pp_size: ppSize } = mapping;
  return { path: target, weights: 'checkpoint', tpSize, ppSize, command: null, logFile: null };
}

const conversionOf = (options: Options): Omit<ConvertOptions, 'onProgress' | 'signal'> => ({
  dtype: options.dtype,
  quantization: options.quantization,
  calibration: options.calibration,
  tpSize: options.tpSize,
  ppSize: options.ppSize,
  parallelEmbedding: options.parallelEmbedding,
  maxSeqLen: options.maxSeqLen,
  maxBatchSize: options.maxBatchSize,
  maxNumTokens: options.maxNumTokens,
  tokenizer: options.tokenizer,
  sourceName: options.sourceName,
  onWarning: options.onWarning,
});

const convertTo = (source: string | URL, out: string, options: Options, { tell, signal }: Work): Promise<string> =>
  convert(source, out, {
    ...conversionOf(options),
    signal,
    onProgress: ({ stage, ...part }) => tell({ stage: stage === 'calibrate' ? stage : 'convert', ...part }),
  });

/** The trtllm-build to use; undefined to make a checkpoint. */
async function chooseProgram({ weights = 'auto', trtllmBuild }: Options): Promise<string | undefined> {
  if (weights === 'checkpoint') return undefined;
  if (trtllmBuild !== undefined) return pathOf('trtllmBuild', trtllmBuild);
  const found = await findProgram('trtllm-build');
  if (found !== undefined || weights === 'auto') return found;
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    "trtllm-build is not on PATH; expected it, because weights is 'tensorrt'. It comes with TensorRT-LLM: python3 -m pip install tensorrt-llm. Or make a checkpoint: weights: 'checkpoint'.",
    { option: 'weights' },
  );
}

interface TensorRtBuild {
  readonly built: BuiltEngine;
  readonly program: string;
  readonly argumentsFor: (checkpoint: string, outDir: string) => string[];
  readonly logFile: string;
}

async function describeBuild(
  source: string | URL,
  out: string,
  program: string,
  options: Options,
): Promise<TensorRtBuild> {
  const config = await planConversion(source, conversionOf(options));
  const computeCapability = options.computeCapability ?? (await capabilityHere());
  checkPrecision(config, computeCapability);
  const { tp_size: tpSize, pp_size: ppSize } = config.pretrained_config.mapping;
  const { maxInputLen, maxSeqLen } = lengthsOf(config, options);
  const settings = {
    maxBatchSize: config.build_config.max_batch_size,
    maxInputLen,
    maxSeqLen,
    maxNumTokens: options.maxNumTokens ?? DEFAULT_NUM_TOKENS,
    maxBeamWidth: options.maxBeamWidth ?? 1,
    isFp8: config.pretrained_config.quantization.quant_algo === 'FP8',
    computeCapability,
    extraArguments: options.extraArguments ?? [],
  };
  const argumentsFor = (checkpoint: string, outDir: string): string[] =>
    trtllmArguments(checkpoint, outDir, tpSize * ppSize, settings);
  const logFile = `${out}.trtllm-build.log`;
  const command = shellCommand(program, argumentsFor('CHECKPOINT', out));
  return {
    built: { path: out, weights: 'tensorrt', tpSize, ppSize, command, logFile },
    program,
    argumentsFor,
    logFile,
  };
}

function lengthsOf(
  { build_config }: EngineConfig,
  { maxInputLen }: Options,
): { maxInputLen: number; maxSeqLen: number } {
  const { max_seq_len: maxSeqLen } = build_config;
  if (maxInputLen === undefined) return { maxInputLen: maxSeqLen - 1, maxSeqLen };
  if (maxInputLen < maxSeqLen) return { maxInputLen, maxSeqLen };
  throw new LLMError(
    'ERR_INVALID_OPTION',
    `maxInputLen is ${maxInputLen}; expected less than maxSeqLen, ${maxSeqLen}, which counts the output too. Raise maxSeqLen.`,
    { option: 'maxInputLen' },
  );
}

async function capabilityHere(): Promise<string> {
  const found = await findGpus();
  const [first] = typeof found === 'string' ? [] : found.gpus;
  if (first) return first.computeCapability;
  const why = typeof found === 'string' ? found : 'nvidia-smi lists none';
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `trtllm-build needs a GPU of the kind that is to run the engine, and this machine has none: ${why}. Name its compute capability for a dry run (computeCapability), or make a checkpoint: weights: 'checkpoint'.`,
    { option: 'computeCapability' },
  );
}

/** What a generation of GPUs lacks would fail after minutes, with a message that does not say it. */
function checkPrecision({ pretrained_config: model }: EngineConfig, computeCapability: string): void {
  const capability = Number(computeCapability);
  const algo = model.quantization.quant_algo;
  const refuse = (found: string, needs: string, fix: string): LLMError =>
    new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `The engine would have ${found}, which needs compute capability ${needs}; the GPU has ${computeCapability}. ${fix}`,
    );
  if (model.dtype === 'bfloat16' && capability < OLDEST_BFLOAT16) {
    throw refuse('bfloat16 weights', '8.0', 'Use dtype float16.');
  }
  if (algo?.startsWith('FP8') && capability < OLDEST_FP8) {
    throw refuse('FP8 weights', '8.9', 'Use int8_wo, or a newer GPU.');
  }
  if (algo === 'GGML') {
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      "The model is in ggml's blocks, which TensorRT-LLM has not; expected weights in 16 bits or in one of its own forms. Pass dtype, which dequantizes, or make a checkpoint: weights: 'checkpoint'.",
    );
  }
}

async function buildTensorRt(
  source: string | URL,
  out: string,
  options: Options,
  { program, argumentsFor, logFile, built }: TensorRtBuild,
  work: Work,
): Promise<void> {
  const ranks = built.tpSize * built.ppSize;
  const sources = [pathOf('source', source)];
  if (options.tokenizer !== undefined) sources.push(pathOf('tokenizer', options.tokenizer));
  await buildDirectory(out, sources, async (dir) => {
    const checkpoint = join(dir, 'checkpoint');
    await convertTo(source, checkpoint, options, work);
    const configFile = join(checkpoint, 'config.json');
    const { pretrained_config } = JSON.parse(await readFile(configFile, 'utf8')) as EngineConfig; // as it was just written
    await writeJson(configFile, checkpointConfig(pretrained_config));
    work.tell({ stage: 'build', done: 0, total: ranks });
    await runTrtllmBuild({
      program,
      args: argumentsFor(checkpoint, dir),
      logFile,
      timeoutMs: options.buildTimeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal: work.signal,
      onRank: (done) => work.tell({ stage: 'build', done: Math.min(done, ranks), total: ranks }),
    });
    await moveTexts(checkpoint, dir);
    const { rankFiles } = await openEngine(dir, { weights: 'tensorrt' }).catch((cause: unknown) => {
      throw new LLMError(
        'ERR_BUILD_FAILED',
        `${program} ended without an error, but what it made cannot be loaded: ${messageOf(cause)} Log: ${logFile}`,
        { cause },
      );
    });
    const manifest = await readManifest(checkpoint);
    await rm(checkpoint, { recursive: true });
    if (!manifest || rankFiles.length !== ranks)
      throw new LLMError('ERR_INTERNAL', 'A built engine lost its manifest.');
    const { source: origin, dtype } = manifest;
    const files = await factsOfFiles(dir, []);
    await writeJson(
      join(dir, MANIFEST_FILE),
      makeManifest({ source: origin, dtype, executors: ['tensorrt-llm'], files }),
    );
  });
}

/** What a checkpoint has besides its weights: the tokenizer and its like. */
async function moveTexts(checkpoint: string, dir: string): Promise<void> {
  for (const name of await readdir(checkpoint)) {
    if (name === 'config.json' || name === MANIFEST_FILE || /^rank\d+\.safetensors$/.test(name)) continue;
    await rename(join(checkpoint, name), join(dir, name));
  }
}

/** Holds what was told last until somebody reads it: progress is for people, and only the newest counts. */
class RunningBuild implements EngineBuild {
  readonly result: Promise<BuiltEngine>;
  readonly #controller = new AbortController();
  #newest: BuildProgress | undefined;
  #wake: () => void = () => {};
  #ended = false;

  constructor(run: (tell: (progress: BuildProgress) => void, signal: AbortSignal) => Promise<BuiltEngine>) {
    const tell = (progress: BuildProgress): void => {
      this.#newest = progress;
      this.#wake();
    };
    this.result = run(tell, this.#controller.signal).finally(() => {
      this.#ended = true;
      this.#wake();
    });
    this.result.catch(() => {});
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<BuildProgress, undefined> {
    for (;;) {
      const progress = this.#newest;
      this.#newest = undefined;
      if (progress) yield progress;
      else if (this.#ended) break;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    await this.result;
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    await this.result.catch(() => {});
  }
}
