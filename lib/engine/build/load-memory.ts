import { stat } from 'node:fs/promises';
import { LLMError } from '../../base/errors.js';
import type { Quantization } from '../convert/quantize.js';
import type { EngineDirectory } from '../directory/directory.js';
import { KV_FRACTION, type KvDtype, obstacleTo, rankMemory, type Target, targetsOn } from './rank-memory.js';

/** A GPU that a rank is to run on. */
export interface RankGpu {
  /** As "GPU 0 (NVIDIA H200)". */
  readonly name: string;
  readonly freeBytes: number;
  /** As "9.0". */
  readonly computeCapability: string;
}

/** The options of a load that decide how much memory it takes. */
export interface LoadSizes {
  readonly maxSeqLen?: number | undefined;
  readonly maxBatchSize?: number | undefined;
  readonly maxNumTokens?: number | undefined;
  readonly kvCache?:
    | {
        readonly maxTokens?: number | undefined;
        readonly maxBytes?: number | undefined;
        readonly freeMemoryFraction?: number | undefined;
        readonly dtype?: KvDtype | undefined;
      }
    | undefined;
}

// kDefaults of native/embedded/cuda/model_runner.cc
const MAX_NUM_TOKENS = 8192;
const MAX_BATCH_SIZE = 256;

const MOST_SUGGESTED_GPUS = 8;

/**
 * Checks that each rank of a TensorRT engine has room on its GPU for its weights. The rest is TensorRT-LLM's own to say: it shortens
 * the window of a request where the KV cache is small.
 * @param gpus those whose free memory is known.
 * @throws {LLMError} `ERR_OUT_OF_MEMORY` that says what is free, what is needed, and what to change.
 */
export async function checkTensorRtMemory(directory: EngineDirectory, gpus: readonly RankGpu[]): Promise<void> {
  const gpu = fullest(gpus);
  const weights = await largestRank(directory);
  if (!gpu || weights <= gpu.freeBytes) return;
  throw tooLarge(
    gpu,
    `${gigabytes(weights)} for the weights of a rank`,
    'build the engine from a checkpoint of more ranks (--tp-size), or from a quantized one (--quantization)',
  );
}

/**
 * Checks that each rank of a checkpoint has room on its GPU for its weights, what a step works in, and the KV cache of one request of
 * full length, or as much of it as `kvCache` allows. Sizes are those of the CUDA executor.
 * @throws as checkTensorRtMemory.
 */
export async function checkCheckpointMemory(
  directory: EngineDirectory,
  gpus: readonly RankGpu[],
  sizes: LoadSizes,
): Promise<void> {
  const gpu = fullest(gpus);
  if (!gpu || !directory.config) return;
  const { pretrained_config: model, build_config: built } = directory.config;
  const { maxTokens, maxBytes, freeMemoryFraction, dtype } = sizes.kvCache ?? {};
  const maxSeqLen = Math.min(sizes.maxSeqLen ?? built.max_seq_len, built.max_seq_len);
  const limits = {
    maxSeqLen,
    maxBatchSize: sizes.maxBatchSize ?? Math.min(built.max_batch_size, MAX_BATCH_SIZE),
    maxNumTokens: sizes.maxNumTokens ?? Math.min(built.max_num_tokens, MAX_NUM_TOKENS),
  };
  const isLimited = maxTokens !== undefined || maxBytes !== undefined;
  const fraction = freeMemoryFraction ?? (isLimited ? 1 : KV_FRACTION);
  const tokens = Math.min(maxSeqLen, maxTokens ?? maxSeqLen);
  const needOf = (target: Target, weights?: number) => {
    const memory = rankMemory(model, target, limits, dtype);
    const fixed = (weights ?? memory.weights) + memory.workspace;
    const kv = Math.min(tokens * memory.kvPerToken, maxBytes ?? Number.POSITIVE_INFINITY);
    return { ...memory, fixed, kv, total: fixed + kv / fraction };
  };

  const { quant_algo: algo } = model.quantization;
  const quantization = algo === null ? undefined : FORMS[algo];
  const target: Target = {
    tpSize: model.mapping.tp_size,
    ppSize: model.mapping.pp_size,
    parallelEmbedding: model.use_parallel_embedding,
    dtype: model.dtype === 'float16' ? 'float16' : 'bfloat16',
    quantization,
  };
  // Some are stored wider than they lie on the GPU.
  const isStoredAsUsed = model.dtype !== 'float32' && algo !== 'W8A16' && algo !== 'W4A16';
  const stored = isStoredAsUsed ? await largestRank(directory) : 0;
  const need = needOf(target, stored === 0 ? undefined : stored);
  if (need.total <= gpu.freeBytes) return;

  const fits = (other: Target): boolean =>
    obstacleTo(model, other) === undefined && other.ppSize === 1 && needOf(other).total <= gpu.freeBytes;
  const others =
    algo !== null && quantization === undefined ? [] : targetsOn({ ...gpu, count: MOST_SUGGESTED_GPUS }, model);
  const smaller = others.find((other) => algo === null && other.tpSize === target.tpSize && fits(other));
  const split = others.find(
    (other) => other.quantization === quantization && other.tpSize > target.tpSize && fits(other),
  );
  const room = Math.floor((fraction * (gpu.freeBytes - need.fixed)) / need.kvPerToken);
  const kvText =
    tokens === maxSeqLen ? `one request of ${tokens} tokens (maxSeqLen)` : `${tokens} tokens (kvCache.maxTokens)`;
  throw tooLarge(
    gpu,
    `${gigabytes(need.total)}: ${gigabytes(need.fixed - need.workspace)} for the weights, ${gigabytes(need.workspace)} to work in and ${gigabytes(need.kv / fraction)} for the KV cache of ${kvText}`,
    room > 0 ? `pass maxSeqLen: ${room} or less, or a kvCache.maxTokens of that` : undefined,
    smaller && `convert the model again with quantization '${smaller.quantization}'`,
    split && `split it over ${split.tpSize} such GPUs (tpSize: ${split.tpSize})`,
    room > 0 || smaller || split ? undefined : 'lower maxNumTokens or maxBatchSize',
  );
}

/** By the names of TensorRT-LLM's algorithms, those that have one of our own. */
const FORMS: Readonly<Record<string, Quantization | undefined>> = {
  W8A16: 'int8_wo',
  W4A16: 'int4_wo',
  W4A16_AWQ: 'int4_awq',
  FP8: 'fp8',
  FP8_PER_CHANNEL_PER_TOKEN: 'fp8_rowwise',
};

const fullest = (gpus: readonly RankGpu[]): RankGpu | undefined =>
  gpus.toSorted((a, b) => a.freeBytes - b.freeBytes)[0];

/** Bytes; 0 where no weights are read. */
const largestRank = async ({ rankFiles }: EngineDirectory): Promise<number> =>
  Math.max(0, ...(await Promise.all(rankFiles.map((file) => stat(file)))).map(({ size }) => size));

function tooLarge(gpu: RankGpu, needed: string, ...fixes: readonly (string | undefined)[]): LLMError {
  const all = ['Stop what else uses the GPU', ...fixes.filter((fix) => fix !== undefined)];
  return new LLMError(
    'ERR_OUT_OF_MEMORY',
    `${gpu.name} has ${gigabytes(gpu.freeBytes)} free; expected ${needed}. ${all.slice(0, -1).join(', ')}, or ${all.at(-1)}.`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
