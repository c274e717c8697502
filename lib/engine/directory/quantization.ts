import type { JsonFields } from '../../base/json.js';

const QUANT_ALGOS = ['W8A16', 'W4A16', 'W4A16_AWQ', 'FP8', 'FP8_PER_CHANNEL_PER_TOKEN', 'GGML'] as const;

/** ggml's types of blocks, by ggml's names, that a checkpoint in `GGML` may hold. */
export const BLOCK_TYPES = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'] as const;
export type BlockType = (typeof BLOCK_TYPES)[number];

/**
 * How the weights of a checkpoint are stored, in TensorRT-LLM's schema (0.13 to 1.2). What is quantized are the five matrices of each
 * layer, X being `transformer.layers.N.` and one of `attention.qkv`, `attention.dense`, `mlp.fc`, `mlp.gate`, `mlp.proj`; a Phi3's `mlp.fc`
 * has the gate's rows before its own, as without quantization. Embedding, head, norms and biases are of `dtype`. Whether a
 * matrix is quantized follows from its tensor's type: one of `dtype` (or F32, F16, BF16) is plain, with no tensors beside it.
 *
 * - `W8A16`, `W4A16`: every X.weight is plain, [out, in], and is quantized when it is loaded (TensorRT-LLM: when the engine is built),
 *   symmetrically by output channel: scale = max |row| / 128 (W4A16: / 8), q = round(w / scale), halves away from zero, clamped to
 *   [-128, 127] ([-8, 7]); w' = q * scale. A row of zeros stays zeros. No other tensors.
 * - `W4A16_AWQ`: int4 with a scale for each `group_size` inputs of an output. Also for GPTQ: TensorRT-LLM computes both alike.
 *   - X.weight [out / 2, in], I8 (U8 is read too). Byte [o, i] has output 2 o in its low four bits and output 2 o + 1 in its high
 *     four, each in two's complement, -8 to 7. `out` is even; qkv has the rows of q, k, v one after the other.
 *   - X.weights_scaling_factor [out, in / group_size], F16, BF16 or F32.
 *   - X.zero [in / group_size, out], of `dtype`, if and only if `has_zero_point`. It lies the other way around than the
 *     scales because TensorRT-LLM's build transposes those alone. It is (8 - z) * scale, z being the zero point of unsigned
 *     weights, 0 to 16: what was quantized with whole zero points is had back exactly by rounding zero / scale.
 *   - X.prequant_scaling_factor [in], any float type, if and only if `pre_quant_scale`: the input is multiplied by it.
 *   - w[o, i] = q[o, i] * scale[o, i / group_size] + zero[i / group_size, o].
 * - `FP8`: X.weight [out, in], F8_E4M3 (finite, no infinities; I8 and U8 are read as the same bits), X.weights_scaling_factor [1] or
 *   [], F32: w = value * factor. X.activation_scaling_factor [1] or [], F32: TensorRT-LLM divides the input by it and rounds it to
 *   FP8. Our executors do not round the input, so they do not use it.
 * - `FP8_PER_CHANNEL_PER_TOKEN`: X.weight as in `FP8`, X.per_channel_scale [out], F32: w = value * scale of its row. TensorRT-LLM
 *   rounds the input to FP8 with a scale for each token, after clamping it to `clamp_val`; our executors do neither.
 *
 * `GGML` is our own; TensorRT-LLM has none of it. Weights lie in ggml's blocks, byte for byte as in the GGUF file they came from.
 * - A matrix in blocks is U8 [rows, bytes of a row]. Its type, one of `BLOCK_TYPES`, is in `__metadata__` of the safetensors file
 *   under the tensor's name: `"transformer.layers.0.mlp.fc.weight": "Q4_K"`. Rows are in the same order as in a plain checkpoint.
 * - Each matrix has a type of its own, embedding and head included, and may be F32, F16 or BF16. Norms and biases are F32.
 * - X = `attention.qkv` has `attention.q.weight`, `attention.k.weight` and `attention.v.weight`, since their types may differ, but
 *   one bias. A Phi3, whose source has one matrix, has one X.weight.
 * - `dtype` is what is computed in where that is not float32.
 *
 * `attention.kv_cache_scaling_factor` [1], F32, is there if `kv_cache_quant_algo` is not null. TensorRT-LLM then has a KV cache of that
 * type; our executors keep keys and values in their own type, which is more exact, and do not use it.
 *
 * Not written, and refused by name where NVIDIA's converters wrote them, because the bytes are in the order of one GPU
 * architecture and the files do not say which: `W4A16_GPTQ` (X.weight [in, out / 4] of F16 or BF16), and `W8A16` and `W4A16` whose X.weight
 * is I8 beside X.per_channel_scale. Sources: `preprocess_weights` (models/modeling_utils.py), `postprocess_weight_only` and
 * `postprocess_weight_only_groupwise` (quantization/functional.py), quantization/layers.py, and `pack_int4_in_uint8` of ModelOpt.
 */
export interface Quantization {
  readonly quant_algo: (typeof QUANT_ALGOS)[number] | null;
  readonly kv_cache_quant_algo: 'FP8' | 'INT8' | null;
  /** Of `W4A16_AWQ`: a multiple of 32 that divides the inputs of every quantized matrix. TensorRT-LLM's kernels have 64 and 128. */
  readonly group_size?: number;
  readonly has_zero_point?: boolean;
  readonly pre_quant_scale?: boolean;
  /** Of `FP8_PER_CHANNEL_PER_TOKEN`: the least and the greatest value of an input. */
  readonly clamp_val?: readonly [number, number] | null;
  /**
   * Patterns of fnmatch for the names of modules that TensorRT-LLM does not quantize; null: its own, the head and the embedding.
   * It is for TensorRT-LLM: for our executors the tensors say which matrices are plain.
   */
  readonly exclude_modules?: readonly string[] | null;
}

/** @throws {LLMError} `ERR_MODEL_UNSUPPORTED` for what no executor here runs, `ERR_ENGINE_CONFIG` for a wrong field. */
export function parseQuantization(fields: JsonFields): Quantization {
  const kv_cache_quant_algo =
    fields.maybe('kv_cache_quant_algo', (name) => fields.oneOf(name, ['FP8', 'INT8'])) ?? null;
  if (!fields.has('quant_algo')) return { quant_algo: null, kv_cache_quant_algo };
  if (fields.object.quant_algo === 'W4A16_GPTQ') {
    throw fields.error(
      'quant_algo',
      'W4A16_AWQ, whose weights are not in the order of one GPU architecture: convert the GPTQ model itself',
      'ERR_MODEL_UNSUPPORTED',
    );
  }
  const quant_algo = fields.oneOf('quant_algo', QUANT_ALGOS);
  const exclude_modules = fields.maybe('exclude_modules', () => parsePatterns(fields)) ?? null;
  const common = { quant_algo, kv_cache_quant_algo };
  switch (quant_algo) {
    case 'W8A16':
    case 'W4A16': {
      // Here the patterns alone would say that a plain matrix stays plain.
      if (exclude_modules?.every((pattern) => NEVER_QUANTIZED.test(pattern)) === false) {
        throw fields.error('exclude_modules', 'null', 'ERR_MODEL_UNSUPPORTED');
      }
      return { ...common, exclude_modules };
    }
    case 'W4A16_AWQ':
      return {
        ...common,
        group_size: parseGroupSize(fields),
        has_zero_point: fields.boolean('has_zero_point', { fallback: false }),
        pre_quant_scale: fields.boolean('pre_quant_scale', { fallback: false }),
        exclude_modules,
      };
    case 'FP8':
      return { ...common, exclude_modules };
    case 'GGML':
      return common;
    case 'FP8_PER_CHANNEL_PER_TOKEN':
      return { ...common, clamp_val: parseClamp(fields), exclude_modules };
  }
}

/** Patterns for modules that are not among the five, such as those TensorRT-LLM has where the list is null. */
const NEVER_QUANTIZED = /(lm_head|router|_embedding|shared_expert_gate|fused_a)(\.weight)?$/;

function parsePatterns(fields: JsonFields): readonly string[] {
  const { exclude_modules } = fields.object;
  if (Array.isArray(exclude_modules) && exclude_modules.every((each) => typeof each === 'string'))
    return exclude_modules;
  throw fields.error('exclude_modules', 'a list of patterns');
}

function parseGroupSize(fields: JsonFields): number {
  const size = fields.integer('group_size', { min: 32, fallback: 128 });
  if (size % 32 === 0) return size;
  throw fields.error('group_size', 'a multiple of 32', 'ERR_MODEL_UNSUPPORTED');
}

function parseClamp(fields: JsonFields): readonly [number, number] | null {
  const { clamp_val } = fields.object;
  if (clamp_val === undefined || clamp_val === null) return null;
  if (Array.isArray(clamp_val) && clamp_val.length === 2 && clamp_val.every(Number.isFinite)) {
    return [clamp_val[0], clamp_val[1]];
  }
  throw fields.error('clamp_val', 'two numbers');
}
