import {
  GROUP_SIZE,
  isQuantizedLayer,
  obstacleToQuantize,
  QUANTIZATIONS,
  type Quantization,
} from '../convert/quantize.js';
import { splitFault } from '../convert/shard.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import type { PlannedGpus } from './gpu-list.js';

/** What one engine is split into and stored as. */
export interface Target {
  readonly tpSize: number;
  readonly ppSize: number;
  /** Whether each tensor parallel rank has its part of the embedding only. */
  readonly parallelEmbedding: boolean;
  readonly dtype: 'float16' | 'bfloat16';
  /** Undefined: weights in `dtype`. */
  readonly quantization: Quantization | undefined;
}

/** Lengths are in tokens. */
export interface Limits {
  readonly maxSeqLen: number;
  readonly maxBatchSize: number;
  readonly maxNumTokens: number;
}

/** What keys and values are stored as: `kvCache.dtype`. */
export type KvDtype = 'auto' | 'int8';

/** Bytes that the rank with the most of them needs on its GPU. */
export interface RankMemory {
  readonly weights: number;
  readonly kvPerToken: number;
  /** Beside weights and KV cache: what a step computes in, and the context of CUDA and its libraries. */
  readonly workspace: number;
}

const HALF = 2;
const FLOAT = 4;

/**
 * What a CUDA context with its libraries takes of a GPU, and the reserve that the CUDA executor leaves for cuBLASLt and graphs
 * (kReservedBytes in native/embedded/cuda/memory_plan.cc).
 */
const CONTEXT_BYTES = 768 << 20;
/** What NCCL takes for its buffers where there are several ranks. */
const COMMUNICATION_BYTES = 512 << 20;

/** The default of `kvCache.freeMemoryFraction` on a GPU. */
export const KV_FRACTION = 0.9;

/** In the order of preference: less loss first, then fewer GPUs, then tensor parallelism before stages. */
export function targetsOn(
  gpus: Pick<PlannedGpus, 'count' | 'computeCapability'>,
  { dtype }: PretrainedConfig,
  parallelEmbedding = false,
): Target[] {
  const capability = Number(gpus.computeCapability);
  const half = dtype === 'bfloat16' && capability >= 8 ? 'bfloat16' : 'float16';
  const forms = QUANTIZATIONS.filter((form) => !form.startsWith('fp8') || capability >= 8.9);
  const sizes = powersOfTwo(gpus.count).flatMap((ranks) =>
    powersOfTwo(ranks).map((ppSize) => ({ tpSize: ranks / ppSize, ppSize })),
  );
  return [undefined, ...forms].flatMap((quantization) =>
    sizes.map((size) => ({ ...size, parallelEmbedding, dtype: half, quantization })),
  );
}

const powersOfTwo = (most: number): number[] =>
  Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, power) => 2 ** power);

/** Why a model cannot be split or stored like this, for people; undefined if it can. Rules: those of TensorRT-LLM's converters. */
export const obstacleTo = (model: PretrainedConfig, target: Target): string | undefined =>
  splitFault(model, target)?.words ?? obstacleToQuantize(target.quantization, model, target);

export function rankMemory(
  model: PretrainedConfig,
  target: Target,
  limits: Limits,
  kvDtype: KvDtype = 'auto',
): RankMemory {
  const { quantization } = target;
  const layers = model.num_hidden_layers / target.ppSize;
  const isQuantized = (layer: number): boolean =>
    quantization !== undefined && isQuantizedLayer(quantization, layer, model.num_hidden_layers);
  const bytesOf = {
    quantized: layerBytes(model, target),
    plain: layerBytes(model, { ...target, quantization: undefined }),
  };
  let weights = endBytes(model, target);
  for (let layer = 0; layer < layers; layer++) weights += isQuantized(layer) ? bytesOf.quantized : bytesOf.plain;
  const kvHeads = Math.max(1, model.num_key_value_heads / target.tpSize);
  const halves = 2 * kvHeads * HALF * model.head_size; // a token's keys and values in a layer
  const isInt8 = kvDtype === 'int8';
  // PrefillLimitsOf in native/embedded/cuda/llama.cc
  const expanded = isInt8 ? halves * (limits.maxSeqLen + limits.maxNumTokens) : 0;
  return {
    weights,
    kvPerToken: layers * (isInt8 ? 2 * kvHeads * (model.head_size + FLOAT) : halves),
    workspace: workspaceBytes(model, target, limits) + expanded,
  };
}

function layerBytes(model: PretrainedConfig, { tpSize, quantization }: Target): number {
  const { hidden_size: hidden, head_size } = model;
  const queries = (model.num_attention_heads / tpSize) * head_size;
  const keys = Math.max(1, model.num_key_value_heads / tpSize) * head_size;
  const intermediate = model.intermediate_size / tpSize;
  const attention: Size[] = [
    [queries + 2 * keys, hidden],
    [hidden, queries],
  ];
  const mlp: Size[] = [
    [intermediate, hidden],
    [intermediate, hidden],
    [hidden, intermediate],
  ];
  const norms = 2 * hidden + (model.qk_layernorm ? 2 * head_size : 0);
  const biases = (model.attn_bias ? queries + 2 * keys + hidden : 0) + (model.mlp_bias ? 2 * intermediate + hidden : 0);
  const bytesOf = (sizes: readonly Size[], form: Quantization | undefined): number =>
    sizes.reduce((sum, size) => sum + matrixBytes(size, form), 0);
  const linear =
    bytesOf(attention, quantization === 'fp8_rowwise' ? undefined : quantization) + bytesOf(mlp, quantization);
  return linear + HALF * (norms + biases);
}

type Size = readonly [rows: number, columns: number];

/** Scales included: TensorRT-LLM's for each form. */
function matrixBytes([rows, columns]: Size, quantization: Quantization | undefined): number {
  const values = rows * columns;
  switch (quantization) {
    case undefined:
      return HALF * values;
    case 'fp8_rowwise':
      return values + FLOAT * rows;
    case 'fp8':
      return values + 2 * FLOAT;
    case 'int8_wo':
      return values + HALF * rows;
    case 'int4_wo':
      return values / 2 + HALF * rows;
    case 'int4_awq':
      return values / 2 + (HALF * values) / GROUP_SIZE;
  }
}

/** Embedding, last norm and head, which are in no layer and never quantized. With stages, the first has one and the last the other. */
function endBytes(model: PretrainedConfig, { tpSize, ppSize, parallelEmbedding }: Target): number {
  const { hidden_size: hidden, vocab_size: vocab, tie_word_embeddings: isTied } = model;
  const embedding = HALF * Math.ceil(vocab / (parallelEmbedding ? tpSize : 1)) * hidden;
  const head = HALF * Math.ceil(vocab / tpSize) * hidden;
  if (ppSize > 1) return Math.max(embedding, head) + HALF * hidden;
  return embedding + HALF * hidden + (isTied && tpSize === 1 ? 0 : head);
}

/** As native/embedded/cuda/llama.cc and step_sampler.cc lay out their buffers. */
function workspaceBytes(model: PretrainedConfig, { tpSize, ppSize }: Target, limits: Limits): number {
  const { hidden_size: hidden, head_size } = model;
  const tokens = Math.max(limits.maxNumTokens, limits.maxBatchSize);
  const queries = (model.num_attention_heads / tpSize) * head_size;
  const keys = Math.max(1, model.num_key_value_heads / tpSize) * head_size;
  const intermediate = model.intermediate_size / tpSize;
  const perToken =
    (FLOAT + HALF) * hidden + HALF * (2 * queries + intermediate + Math.max(queries + 2 * keys, 2 * intermediate));
  const angles = FLOAT * head_size * limits.maxSeqLen;
  const logits = 3 * FLOAT * limits.maxBatchSize * model.vocab_size;
  const communication = tpSize * ppSize > 1 ? COMMUNICATION_BYTES : 0;
  return tokens * perToken + angles + logits + CONTEXT_BYTES + communication;
}
