import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  boolean,
  type Checks,
  callback,
  check,
  integer,
  MAX_COUNT,
  oneOf,
  readOptions,
  show,
  signal,
} from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { JsonFields } from '../../base/json.js';
import { path, pathOf } from '../../base/paths.js';
import type { OnProgress } from '../../base/progress.js';
import {
  DTYPES,
  type EngineConfig,
  lacksOnCuda,
  MAX_RANKS,
  parseBuildConfig,
  parsePretrainedConfig,
  positionsOf,
} from '../directory/checkpoint-config.js';
import { factsOfFiles, MANIFEST_FILE, makeManifest, packageVersion } from '../directory/manifest.js';
import { openCheckpoint } from '../formats/open-checkpoint.js';
import type { SourceCheckpoint } from '../formats/source.js';
import { buildDirectory, writeJson } from './build-directory.js';
import type { InputMaxima } from './calibrate.js';
import { type Build, type ConversionEvents, convertInThread } from './conversion-thread.js';
import { type PlannedTensor, rowsPerRead } from './planned-tensor.js';
import { obstacleToQuantize, QUANTIZATIONS, type Quantization, quantizePlan, storedForm } from './quantize.js';
import { checkSplit, shardPlan } from './shard.js';
import { checkUnchanged, statesOf } from './source-state.js';
import { embeddingOf, planTensors } from './weight-map.js';
import { writeRanks } from './write-ranks.js';

/** How to convert a model, and the sizes of the engine. */
export interface ConvertOptions {
  /**
   * Data type of the weights. `'auto'` keeps the source's, but turns float32 into float16; a quantized model stays quantized.
   * The others dequantize. Default: `'auto'`.
   */
  dtype?: 'auto' | 'float32' | 'float16' | 'bfloat16' | undefined;
  /**
   * Maximum length of a sequence in tokens, prompt and output; from 2. Default, and most: the number of positions the model
   * was trained for, times the factor of linear, dynamic or yarn RoPE scaling.
   */
  maxSeqLen?: number | undefined;
  /** Maximum number of sequences in a step; `LLM.load` can set another. Default: 64. */
  maxBatchSize?: number | undefined;
  /** Maximum number of tokens in a step, over all sequences; `LLM.load` can set another. Default: 512. */
  maxNumTokens?: number | undefined;
  /**
   * How the weights of the linear layers are stored. A model that is quantized already needs `dtype` too. Default: as in the source.
   */
  quantization?: Quantization | undefined;
  /**
   * Texts that the model reads for `quantization: 'fp8'`: a file with one in each line or, if its name ends in .jsonl, an object with
   * `text`. Up to 512 of them, and of each up to 512 tokens, are used. Default: 32 short passages that are built in.
   */
  calibration?: string | URL | undefined;
  /** Ranks that share each layer (tensor parallelism): each has a part of its weights, and needs a GPU of its own. Default: 1. */
  tpSize?: number | undefined;
  /** Stages, each with as many of the layers (pipeline parallelism); there are `tpSize * ppSize` ranks. Default: 1. */
  ppSize?: number | undefined;
  /** Whether each rank has its part of the embedding only, by tokens. It takes less memory, and one more sum of all ranks. Default: `false`. */
  parallelEmbedding?: boolean | undefined;
  /**
   * Directory with tokenizer.json or tokenizer.model, and related files such as tokenizer_config.json, to use instead of the
   * source's own. Most NeMo checkpoints have none. Default: the source's own.
   */
  tokenizer?: string | URL | undefined;
  /** Name of the source in the manifest. Default: the name of the file or directory. */
  sourceName?: string | undefined;
  /** Stops the conversion when it aborts; nothing is left behind. Default: none. */
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes of the weights written so far. Default: none. */
  onProgress?: OnProgress | undefined;
  /** Called with a sentence for each thing about the source that its user should know. Default: none. */
  onWarning?: ((message: string) => void) | undefined;
}

export const convertChecks: Checks<ConvertOptions> = {
  dtype: oneOf(['auto', ...DTYPES]),
  maxSeqLen: integer(2, MAX_COUNT),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  quantization: oneOf(QUANTIZATIONS),
  calibration: path(),
  tpSize: integer(1, MAX_RANKS),
  ppSize: integer(1, MAX_RANKS),
  parallelEmbedding: boolean(),
  tokenizer: path(),
  sourceName: check('a string', (value): value is string => typeof value === 'string'),
  signal: signal(),
  onProgress: callback(),
  onWarning: callback(),
};

/** What decides the config.json of an engine, besides its source. */
type EngineOptions = Pick<
  ConvertOptions,
  'dtype' | 'maxSeqLen' | 'maxBatchSize' | 'maxNumTokens' | 'quantization' | 'tpSize' | 'ppSize' | 'parallelEmbedding'
>;

/** What a conversion is given, as plain data: it may run in another thread. */
export interface ConversionJob extends EngineOptions, Pick<ConvertOptions, 'sourceName'> {
  /** Absolute paths. */
  readonly source: string;
  readonly tokenizer: string | undefined;
  /** For `'fp8'`. */
  readonly inputMaxima?: readonly InputMaxima[];
}

/**
 * Converts a model to an engine directory: a Hugging Face directory, a NeMo checkpoint, a .gguf file or another engine directory. It
 * is written beside `out` and renamed, so `out` is complete or not there; an engine that this package wrote there before is replaced.
 * It takes about 200 MB of memory for a model of any size, and runs in a worker thread; where none can be started, on the event loop
 * in slices of about 30 ms. For `'fp8'` it first writes the model in 16 bits beside the engine, and has the CPU run it, a layer at a
 * time, in a process of its own.
 * @returns the absolute path of `out`.
 * @throws {LLMError} `ERR_SOURCE_NOT_FOUND`, `ERR_SOURCE_INVALID`, `ERR_MODEL_UNSUPPORTED`, `ERR_TOKENIZER_MISSING`,
 *   `ERR_TOKENIZER_INVALID`, `ERR_NOT_WRITABLE`, `ERR_INVALID_OPTION`; for `'fp8'` also `ERR_OUT_OF_MEMORY`,
 *   `ERR_EXECUTOR_UNAVAILABLE`, `ERR_EXECUTOR_FAILED`; an abort throws the signal's reason.
 */
export async function convert(source: string | URL, out: string | URL, given: ConvertOptions = {}): Promise<string> {
  const { signal, onProgress, onWarning, tokenizer, calibration, ...options } = readOptions(
    given,
    convertChecks,
    'convert()',
  );
  signal?.throwIfAborted();
  const target = pathOf('out', out);
  const calibrationFile = calibration === undefined ? undefined : pathOf('calibration', calibration);
  const job: ConversionJob = {
    ...options,
    source: pathOf('source', source),
    tokenizer: tokenizer === undefined ? undefined : pathOf('tokenizer', tokenizer),
  };
  const events = { signal, onProgress, onWarning };
  const build: Build = (write) => buildDirectory(target, [job.source, job.tokenizer ?? job.source], write);
  if (job.quantization === 'fp8') await convertCalibrated(job, calibrationFile, events, build);
  else if (calibrationFile === undefined) await run(job, events, build);
  else throw noUse(options.quantization);
  return target;
}

const noUse = (quantization: string | undefined): LLMError =>
  new LLMError(
    'ERR_INVALID_OPTION',
    `calibration is given, but quantization is ${show(quantization)}; expected 'fp8', which alone reads texts. Leave calibration out, or pass quantization: 'fp8'.`,
    { option: 'calibration' },
  );

async function run(job: ConversionJob, events: ConversionEvents, build: Build): Promise<void> {
  if (!(await convertInThread(job, events, build))) await convertHere(job, events, build);
}

async function convertCalibrated(
  job: ConversionJob,
  calibrationFile: string | undefined,
  events: ConversionEvents,
  build: Build,
): Promise<void> {
  // The thread of a conversion, which loads this file too, does not need it.
  const { calibrationTexts, findInputMaxima } = await import('./calibrate.js');
  const texts = await calibrationTexts(calibrationFile);
  const { num_hidden_layers: ppSize } = (await planConversion(job.source, job)).pretrained_config;
  const plain = { ...job, quantization: undefined, tpSize: 1, ppSize, parallelEmbedding: false };
  await build(async (dir) => {
    const stages = join(dir, 'plain');
    await run(plain, { ...events, onWarning: undefined }, async (write) => {
      await mkdir(stages);
      await write(stages);
    });
    const inputMaxima = await findInputMaxima(stages, texts, events);
    await rm(stages, { recursive: true });
    await run({ ...job, inputMaxima }, events, (write) => write(dir));
  });
}

/**
 * The config.json of the engine that `convert` would make, from the headers of the source's files alone.
 * @throws {LLMError} what `convert` throws for the source and the options.
 */
export async function planConversion(
  source: string | URL,
  { tokenizer, ...options }: EngineOptions & Pick<ConvertOptions, 'tokenizer'>,
): Promise<EngineConfig> {
  const checkpoint = await openCheckpoint(
    pathOf('source', source),
    tokenizer === undefined ? undefined : pathOf('tokenizer', tokenizer),
  );
  try {
    const config = makeConfig(checkpoint, options);
    planRanks(checkpoint, config, options);
    return config;
  } finally {
    await checkpoint.close();
  }
}

/** Converts in this thread; one that `hasThread` may wait for the disk, because it does nothing else. */
export async function convertHere(
  job: ConversionJob,
  events: ConversionEvents,
  build: Build,
  hasThread = false,
): Promise<void> {
  const checkpoint = await openCheckpoint(job.source, job.tokenizer);
  try {
    for (const warning of checkpoint.warnings ?? []) events.onWarning?.(warning);
    const before = await statesOf([...checkpoint.tensors.values()].map(({ file }) => file));
    const config = await untieDifferentHead(checkpoint, makeConfig(checkpoint, job), events);
    const ranks = planRanks(checkpoint, config, job);
    const sourceName = job.sourceName ?? basename(checkpoint.path);
    await build(async (dir) => {
      const weights = await writeRanks(dir, ranks, config.pretrained_config, hasThread, events);
      await writeJson(join(dir, 'config.json'), asStored(config));
      await checkpoint.writeTexts(dir);
      await checkUnchanged(before);
      const files = { ...(await factsOfFiles(dir, Object.keys(weights))), ...weights };
      const dtype = config.pretrained_config.dtype;
      const types = ranks.flatMap((tensors) => tensors.map(({ type }) => type));
      const executors = lacksOnCuda(config, types) === undefined ? ['cpu', 'cuda'] : ['cpu'];
      await writeJson(
        join(dir, MANIFEST_FILE),
        makeManifest({ source: { kind: checkpoint.kind, name: sourceName }, dtype, executors, files }),
      );
    });
  } finally {
    await checkpoint.close();
  }
}

function planRanks(
  checkpoint: SourceCheckpoint,
  { pretrained_config: model }: EngineConfig,
  { quantization, inputMaxima }: EngineOptions & Pick<ConversionJob, 'inputMaxima'>,
): PlannedTensor[][] {
  if (!quantization) return shardPlan(planTensors(checkpoint, model), model);
  const plain = { ...model, quantization: { quant_algo: null, kv_cache_quant_algo: null } };
  return shardPlan(quantizePlan(planTensors(checkpoint, plain), model, quantization, inputMaxima), model);
}

/** The config.json of the engine that a source is converted to. */
export function makeConfig(
  { model, dtype, path: file, cannotKeep }: SourceCheckpoint,
  options: EngineOptions,
): EngineConfig {
  const {
    dtype: asked = 'auto',
    maxSeqLen,
    maxBatchSize,
    maxNumTokens,
    quantization,
    tpSize = 1,
    ppSize = 1,
    parallelEmbedding = false,
  } = options;
  if (asked === 'auto' && !quantization && cannotKeep) throw cannotKeep;
  if (asked === 'auto' && quantization && (cannotKeep || (model.quantization?.quant_algo ?? null) !== null)) {
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `quantization is '${quantization}', and ${file} is quantized already; expected a model in 16 or 32 bits, which loses less. Leave quantization out, or pass dtype, which dequantizes first.`,
      { option: 'quantization' },
    );
  }
  const positions = positionsOf(model);
  if (maxSeqLen !== undefined && maxSeqLen > positions) {
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `maxSeqLen is ${maxSeqLen}; expected at most ${positions}, the model's max_position_embeddings with its RoPE scaling.`,
    );
  }
  const limits = { max_seq_len: maxSeqLen, max_batch_size: maxBatchSize, max_num_tokens: maxNumTokens };
  // The same parser that reads an engine's config.json fills in what a source does not say, and checks the whole.
  const context = {
    file,
    code: 'ERR_SOURCE_INVALID',
    fix: "Correct it in the model's config, or use another checkpoint of the model.",
  } as const;
  const pretrained = {
    architecture: 'LlamaForCausalLM',
    hidden_act: model.architecture === 'Phi3ForCausalLM' ? 'swiglu' : 'silu',
    position_embedding_type: 'rope_gpt_neox',
    ...model,
    ...(asked === 'auto' ? { dtype } : { dtype: asked, quantization: {} }), // a type that is asked for ends quantization
    ...(quantization && { quantization: storedForm(quantization, model.num_hidden_layers) }),
    mapping: { tp_size: tpSize, pp_size: ppSize },
    use_parallel_embedding: parallelEmbedding && tpSize > 1,
  };
  const pretrained_config = parsePretrainedConfig(new JsonFields(pretrained, context));
  checkSplit(pretrained_config);
  const obstacle = obstacleToQuantize(quantization, pretrained_config, { tpSize, ppSize });
  if (quantization && obstacle !== undefined) {
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `quantization is '${quantization}', but ${obstacle}; expected a form that the model and its ranks can have. Use another, such as 'int8_wo', or other ranks.`,
      { option: 'quantization' },
    );
  }
  return {
    version: `node-tensorrt-llm ${packageVersion()}`,
    pretrained_config,
    build_config: parseBuildConfig(new JsonFields(limits, context), positions),
  };
}

/** Ranks have their part of a tied head by itself: no other of their tensors is it. */
const asStored = (config: EngineConfig): EngineConfig =>
  config.pretrained_config.mapping.world_size === 1
    ? config
    : { ...config, pretrained_config: { ...config.pretrained_config, tie_word_embeddings: false } };

/** A model whose config ties its head to the embedding, but whose files have a head that differs, is not tied in transformers 5. */
async function untieDifferentHead(
  source: SourceCheckpoint,
  config: EngineConfig,
  { signal, onWarning }: ConversionEvents,
): Promise<EngineConfig> {
  const { tie_word_embeddings, dtype, vocab_size, hidden_size } = config.pretrained_config;
  const head = source.tensors.get('lm_head.weight');
  const embedding = embeddingOf(source);
  if (!tie_word_embeddings || !head || !embedding) return config;
  const untied = { ...config, pretrained_config: { ...config.pretrained_config, tie_word_embeddings: false } };
  if (head.shape.join() !== embedding.shape.join()) return untied; // the plan says what is wrong
  const step = rowsPerRead(hidden_size, 1);
  for (let row = 0; row < vocab_size; row += step) {
    signal?.throwIfAborted();
    const count = Math.min(step, vocab_size - row);
    const [ours, theirs] = [await head.readRows(row, count, dtype), await embedding.readRows(row, count, dtype)];
    if (Buffer.compare(ours, theirs) === 0) continue;
    onWarning?.(
      `${source.path} says tie_word_embeddings, but its lm_head.weight differs from its embedding: the model was converted with ` +
        'a head of its own, as transformers 5 loads it.',
    );
    return untied;
  }
  return config;
}
