import { boolean, type Checks, integer, MAX_COUNT, readOptions, text } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { path, pathOf } from '../../base/paths.js';
import { findGpus } from '../../machine/gpus.js';
import { makeConfig } from '../convert/convert.js';
import type { Quantization } from '../convert/quantize.js';
import { planTensors } from '../convert/weight-map.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import { openCheckpoint } from '../formats/open-checkpoint.js';
import { type PlannedGpus, parseGpus, presentGpus } from './gpu-list.js';
import { KV_FRACTION, type Limits, obstacleTo, rankMemory, type Target, targetsOn } from './rank-memory.js';

/** What to plan for. Lengths are in tokens. */
export interface PlanOptions {
  /** GPUs of one kind, such as `'2xH100-80GB'`. Default: those of this machine. */
  gpus?: string | undefined;
  /** Length of a sequence, prompt and output, that must fit. Default: 8,192, or what the model was trained for if that is less. */
  maxSeqLen?: number | undefined;
  /** Sequences of that length that must fit together. Default: 1. */
  maxBatchSize?: number | undefined;
  /** Tokens that one step computes. Default: 8,192. */
  maxNumTokens?: number | undefined;
  /** Whether each rank has its part of the embedding only, as `convert` makes it. Default: `false`. */
  parallelEmbedding?: boolean | undefined;
  /** Directory with the tokenizer, for a source without one. Default: the source's own. */
  tokenizer?: string | URL | undefined;
}

/** What a model needs on GPUs, for each way to store and split it. */
export interface Plan {
  readonly architecture: string;
  readonly parameters: number;
  readonly gpus: PlannedGpus;
  /** What had to fit. */
  readonly maxSeqLen: number;
  readonly maxBatchSize: number;
  readonly maxNumTokens: number;
  /** By precision, and within one by the number of GPUs. */
  readonly choices: readonly PlannedChoice[];
  /** The one that loses least precision, on as few GPUs as hold it. Undefined if none fits. */
  readonly recommended: PlannedChoice | undefined;
}

/** Sizes are those of the rank that needs most. */
export interface PlannedChoice {
  readonly tpSize: number;
  readonly ppSize: number;
  readonly dtype: 'float16' | 'bfloat16';
  readonly quantization: Quantization | null;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  readonly workspaceBytes: number;
  /** Tokens, over all sequences, that the KV cache has room for; 0 if not even the weights fit. */
  readonly tokens: number;
  /** Whether the sequences that were asked for fit. */
  readonly fits: boolean;
  /** Why the model cannot be stored or split like this, for people; null if it can. */
  readonly obstacle: string | null;
}

const DEFAULT_SEQ_LEN = 8192;
const DEFAULT_NUM_TOKENS = 8192;

const checks: Checks<PlanOptions> = {
  gpus: text(),
  maxSeqLen: integer(2, MAX_COUNT),
  maxBatchSize: integer(1, MAX_COUNT),
  maxNumTokens: integer(1, MAX_COUNT),
  parallelEmbedding: boolean(),
  tokenizer: path(),
};

/**
 * Reads the headers of a model's files and says what it takes on GPUs. The sizes of weights and KV cache follow from the shapes; the
 * workspace is that of the CUDA executor, and an estimate for TensorRT-LLM, whose engines differ.
 * @throws {LLMError} what `convert` throws for the source; `ERR_INVALID_OPTION`; `ERR_EXECUTOR_UNAVAILABLE` if `gpus` is left out on
 *   a machine without one.
 */
export async function plan(source: string | URL, given: PlanOptions = {}): Promise<Plan> {
  const options = readOptions(given, checks, 'plan()');
  const gpus = options.gpus === undefined ? await gpusHere() : parseGpus(options.gpus);
  const checkpoint = await openCheckpoint(
    pathOf('source', source),
    options.tokenizer === undefined ? undefined : pathOf('tokenizer', options.tokenizer),
  );
  try {
    // With a type: the parameters are counted in plain matrices.
    const { dtype } = checkpoint;
    const { pretrained_config: model, build_config } = makeConfig(checkpoint, { dtype, maxSeqLen: options.maxSeqLen });
    const limits = {
      maxSeqLen: options.maxSeqLen ?? Math.min(DEFAULT_SEQ_LEN, build_config.max_seq_len),
      maxBatchSize: options.maxBatchSize ?? 1,
      maxNumTokens: options.maxNumTokens ?? DEFAULT_NUM_TOKENS,
    };
    const tensors = planTensors(checkpoint, model);
    const choices = targetsOn(gpus, model, options.parallelEmbedding).map((target) =>
      choiceOf(model, target, limits, gpus),
    );
    return {
      architecture: model.architecture,
      parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
      gpus,
      ...limits,
      choices,
      recommended: choices.find(({ fits }) => fits),
    };
  } finally {
    await checkpoint.close();
  }
}

async function gpusHere(): Promise<PlannedGpus> {
  const found = await findGpus();
  const gpus = typeof found === 'string' ? undefined : presentGpus(found.gpus);
  if (gpus) return gpus;
  const why = typeof found === 'string' ? found : 'nvidia-smi lists none';
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `This machine has no GPU to plan for: ${why}. Name some: gpus: '2xH100-80GB' (--gpus 2xH100-80GB).`,
    { option: 'gpus' },
  );
}

function choiceOf(model: PretrainedConfig, target: Target, limits: Limits, gpus: PlannedGpus): PlannedChoice {
  const { weights, kvPerToken, workspace } = rankMemory(model, target, limits);
  const obstacle = obstacleTo(model, target) ?? null;
  const free = Math.max(0, gpus.memoryBytes - weights - workspace);
  const tokens = obstacle === null ? Math.floor((KV_FRACTION * free) / kvPerToken) : 0;
  return {
    tpSize: target.tpSize,
    ppSize: target.ppSize,
    dtype: target.dtype,
    quantization: target.quantization ?? null,
    weightBytes: weights,
    kvBytesPerToken: kvPerToken,
    workspaceBytes: workspace,
    tokens,
    fits: tokens >= limits.maxSeqLen * limits.maxBatchSize,
    obstacle,
  };
}
