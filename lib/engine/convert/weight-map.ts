import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig, WeightType } from '../directory/checkpoint-config.js';
import type { SourceCheckpoint, SourceTensor } from '../formats/source.js';
import type { PlannedPart, PlannedTensor, Rows } from './planned-tensor.js';
import { planQuantized } from './quantized-plan.js';

/** A tensor of the engine before its source is known. */
interface LaidOutTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly Part[];
}

/** Rows of a tensor of the source, which has this shape. */
interface Part extends Rows {
  readonly from: string;
  readonly shape: readonly number[];
}

/** Which tensors an engine has, in TensorRT-LLM's names, and where each comes from. */
export function planTensors(source: SourceCheckpoint, config: PretrainedConfig): PlannedTensor[] {
  const unused = new Set([...source.tensors.keys()].filter((name) => !isUnused(name, config)));
  const take = ({ from, shape, firstRow, rows, columns }: Part): PlannedPart => {
    const tensor = source.tensors.get(from);
    if (!tensor) {
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${source.path} has no tensor ${from}, which its config asks for. Check that config and weights are of one model, and that none of its files is missing.`,
      );
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${tensor.file}: ${from} has the shape [${tensor.shape.join(', ')}]; expected [${shape.join(', ')}], by its config. Check that config and weights are of one model.`,
      );
    }
    unused.delete(from);
    return { tensor, firstRow, rows, columns };
  };
  const plan = layOut(config).flatMap(({ name, shape, parts }): PlannedTensor[] => {
    const taken = (isLaidOut(source) ? partsOfEngine(source, { name, shape, parts }) : parts).map(take);
    const quantized = planQuantized(name, taken, config);
    return quantized ?? [{ name, shape, type: typeOf(name, shape, taken, config), parts: taken }];
  });
  const [extra] = unused;
  if (extra !== undefined) {
    const fix = 'Models with this tensor are not supported.';
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${source.path} has the tensor ${extra}; expected only those of ${config.architecture}, by its config. ${fix}`,
    );
  }
  return plan;
}

/** In a model in ggml's blocks each matrix keeps its type, and vectors are float32; another model has one type for all. */
function typeOf(
  name: string,
  { length: dimensions }: readonly number[],
  [first]: readonly PlannedPart[],
  { dtype, quantization }: PretrainedConfig,
): WeightType {
  if (name.endsWith('_scaling_factor')) return 'float32';
  if (quantization.quant_algo !== 'GGML') return dtype;
  return (dimensions === 1 ? undefined : first?.tensor.type) ?? 'float32';
}

/** Whether a source has the tensors of an engine already, by their names. */
const isLaidOut = ({ kind }: SourceCheckpoint): boolean => kind === 'checkpoint';

/** A tensor of an engine that is converted again: itself, unless only that engine has q, k and v apart. */
const partsOfEngine = ({ model }: SourceCheckpoint, { name, shape, parts }: LaidOutTensor): readonly Part[] =>
  model.quantization?.quant_algo === 'GGML' && parts.length === 3 && name.endsWith('.weight')
    ? parts.map(({ shape: own }, i) => part(name.replace('.qkv.', `.${'qkv'[i]}.`), ...own))
    : [part(name, ...shape)];

const EMBEDDING = 'transformer.vocab_embedding.weight';
const SOURCE_EMBEDDING = 'model.embed_tokens.weight';

export const embeddingOf = (source: SourceCheckpoint): SourceTensor | undefined =>
  source.tensors.get(isLaidOut(source) ? EMBEDDING : SOURCE_EMBEDDING);

/** The tensors of an engine of one rank whose matrices are plain. */
export function layOut(config: PretrainedConfig): LaidOutTensor[] {
  const { hidden_size: hidden, vocab_size: vocab, num_hidden_layers } = config;
  return [
    matrix(EMBEDDING, part(SOURCE_EMBEDDING, vocab, hidden)),
    ...Array.from({ length: num_hidden_layers }, (_, layer) => layOutLayer(layer, config)).flat(),
    vector('transformer.ln_f.weight', part('model.norm.weight', hidden)),
    ...(config.tie_word_embeddings ? [] : [matrix('lm_head.weight', part('lm_head.weight', vocab, hidden))]),
  ];
}

// What some checkpoints store although no logit depends on it: rotary frequencies, which follow from the config; the heads of
// reward models; the scales of a quantized KV cache, which transformers does not use either.
const UNUSED =
  /(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$|^score\.|^v_head\.|\.self_attn\.(.*\.)?([qkv]|kv|prob|output)_scale$|\.attention\.(k|v|kv)_cache_(rcp_)?scaling_factor$/;

/** Whether no executor needs a tensor of a source: it is not used at all, or it is the head of a tied model. */
const isUnused = (name: string, { tie_word_embeddings }: PretrainedConfig): boolean =>
  UNUSED.test(name) || (tie_word_embeddings && name === 'lm_head.weight');

/** All of a tensor. */
const part = (from: string, ...shape: readonly number[]): Part => ({
  from,
  shape,
  firstRow: 0,
  rows: shape.length === 1 ? 1 : (shape[0] ?? 1),
  columns: shape.at(-1) ?? 1,
});

const matrix = (name: string, ...parts: Part[]): LaidOutTensor => ({
  name,
  shape: [parts.reduce((sum, { rows }) => sum + rows, 0), parts[0]?.columns ?? 0],
  parts,
});

/** The second half of the rows, then the first: TensorRT-LLM's "swiglu" multiplies its first half by silu of its second. */
const swapped = (name: string, whole: Part): LaidOutTensor => {
  const rows = whole.rows / 2;
  return matrix(name, { ...whole, firstRow: rows, rows }, { ...whole, rows });
};

const vector = (name: string, ...parts: Part[]): LaidOutTensor => ({
  name,
  shape: [parts.reduce((sum, { columns }) => sum + columns, 0)],
  parts,
});

function layOutLayer(layer: number, config: PretrainedConfig): LaidOutTensor[] {
  const { hidden_size: hidden, intermediate_size: intermediate, head_size } = config;
  const isPhi3 = config.architecture === 'Phi3ForCausalLM';
  const hasDenseBias = config.attn_bias && config.architecture !== 'Qwen2ForCausalLM';
  const queries = config.num_attention_heads * head_size;
  const keys = config.num_key_value_heads * head_size;
  const from = `model.layers.${layer}`;
  const to = `transformer.layers.${layer}`;
  const projections = [
    { name: 'q', part: part(`${from}.self_attn.q_proj.weight`, queries, hidden) },
    { name: 'k', part: part(`${from}.self_attn.k_proj.weight`, keys, hidden) },
    { name: 'v', part: part(`${from}.self_attn.v_proj.weight`, keys, hidden) },
  ];
  return [
    vector(`${to}.input_layernorm.weight`, part(`${from}.input_layernorm.weight`, hidden)),
    ...(isPhi3
      ? [matrix(`${to}.attention.qkv.weight`, part(`${from}.self_attn.qkv_proj.weight`, queries + 2 * keys, hidden))]
      : config.quantization.quant_algo === 'GGML'
        ? projections.map((each) => matrix(`${to}.attention.${each.name}.weight`, each.part))
        : [matrix(`${to}.attention.qkv.weight`, ...projections.map((each) => each.part))]),
    matrix(`${to}.attention.dense.weight`, part(`${from}.self_attn.o_proj.weight`, hidden, queries)),
    vector(`${to}.post_layernorm.weight`, part(`${from}.post_attention_layernorm.weight`, hidden)),
    ...(isPhi3
      ? [swapped(`${to}.mlp.fc.weight`, part(`${from}.mlp.gate_up_proj.weight`, 2 * intermediate, hidden))]
      : [
          // TensorRT-LLM computes silu(fc(x)) * gate(x), so its "fc" is what others call gate_proj.
          matrix(`${to}.mlp.fc.weight`, part(`${from}.mlp.gate_proj.weight`, intermediate, hidden)),
          matrix(`${to}.mlp.gate.weight`, part(`${from}.mlp.up_proj.weight`, intermediate, hidden)),
        ]),
    matrix(`${to}.mlp.proj.weight`, part(`${from}.mlp.down_proj.weight`, hidden, intermediate)),
    ...(config.quantization.kv_cache_quant_algo === null
      ? []
      : [vector(`${to}.attention.kv_cache_scaling_factor`, part(`${from}.self_attn.kv_scale`, 1))]),
    ...(config.attn_bias
      ? [
          vector(
            `${to}.attention.qkv.bias`,
            part(`${from}.self_attn.q_proj.bias`, queries),
            part(`${from}.self_attn.k_proj.bias`, keys),
            part(`${from}.self_attn.v_proj.bias`, keys),
          ),
        ]
      : []),
    ...(hasDenseBias ? [vector(`${to}.attention.dense.bias`, part(`${from}.self_attn.o_proj.bias`, hidden))] : []),
    ...(config.qk_layernorm
      ? [
          vector(`${to}.attention.q_layernorm.weight`, part(`${from}.self_attn.q_norm.weight`, head_size)),
          vector(`${to}.attention.k_layernorm.weight`, part(`${from}.self_attn.k_norm.weight`, head_size)),
        ]
      : []),
    ...(config.mlp_bias
      ? [
          vector(`${to}.mlp.fc.bias`, part(`${from}.mlp.gate_proj.bias`, intermediate)),
          vector(`${to}.mlp.gate.bias`, part(`${from}.mlp.up_proj.bias`, intermediate)),
          vector(`${to}.mlp.proj.bias`, part(`${from}.mlp.down_proj.bias`, hidden)),
        ]
      : []),
  ];
}
