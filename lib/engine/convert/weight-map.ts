import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import type { SourceCheckpoint, SourceTensor } from '../formats/source.js';

/** A tensor of the engine: the rows of one or more tensors of the source, one after another. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly PlannedPart[];
}

interface PlannedPart {
  readonly tensor: SourceTensor;
  readonly firstRow: number;
  /** A vector is one row. */
  readonly rows: number;
  readonly columns: number;
}

/** Which tensors an engine has, in TensorRT-LLM's names, and where each comes from. */
export function planTensors(source: SourceCheckpoint, config: PretrainedConfig): PlannedTensor[] {
  const unused = new Set([...source.tensors.keys()].filter((name) => !isUnused(name, config)));
  const take = (name: string, ...shape: number[]): PlannedPart => {
    const tensor = source.tensors.get(name);
    if (!tensor) {
      throw new LLMError('ERR_SOURCE_INVALID', `${source.path} has no tensor ${name}. Download the model again.`);
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${tensor.file}: ${name} has the shape [${tensor.shape.join(', ')}]; expected [${shape.join(', ')}], by its config. Check that config and weights are of one model, or download it again.`,
      );
    }
    unused.delete(name);
    const columns = shape.at(-1) ?? 1;
    return { tensor, columns, firstRow: 0, rows: shape.length === 1 ? 1 : (shape[0] ?? 1) };
  };
  const { hidden_size: hidden, vocab_size: vocab } = config;
  const embedding = matrix('transformer.vocab_embedding.weight', take('model.embed_tokens.weight', vocab, hidden));
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => planLayer(layer, config, take)).flat();
  const norm = vector('transformer.ln_f.weight', take('model.norm.weight', hidden));
  const head = config.tie_word_embeddings ? [] : [matrix('lm_head.weight', take('lm_head.weight', vocab, hidden))];
  const [extra] = unused;
  if (extra !== undefined) {
    const fix = 'Models with this tensor are not supported.';
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${source.path} has the tensor ${extra}; expected only those of ${config.architecture}, by its config. ${fix}`,
    );
  }
  return [embedding, ...layers, norm, ...head];
}

// What some checkpoints store although no logit depends on it: rotary frequencies, which follow from the config; the heads of
// reward models; the scales of a quantized KV cache, which transformers does not use either.
const UNUSED =
  /(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$|^score\.|^v_head\.|\.self_attn\.(.*\.)?([qkv]|kv|prob|output)_scale$/;

/** Whether no executor needs a tensor of a source: it is not used at all, or it is the head of a tied model. */
const isUnused = (name: string, { tie_word_embeddings }: PretrainedConfig): boolean =>
  UNUSED.test(name) || (tie_word_embeddings && name === 'lm_head.weight');

const matrix = (name: string, ...parts: PlannedPart[]): PlannedTensor => ({
  name,
  shape: [parts.reduce((sum, part) => sum + part.rows, 0), parts[0]?.columns ?? 0],
  parts,
});

/** The second half of the rows, then the first: TensorRT-LLM's "swiglu" multiplies its first half by silu of its second. */
const swapped = (name: string, part: PlannedPart): PlannedTensor => {
  const rows = part.rows / 2;
  return matrix(name, { ...part, firstRow: rows, rows }, { ...part, rows });
};

const vector = (name: string, ...parts: PlannedPart[]): PlannedTensor => ({
  name,
  shape: [parts.reduce((sum, part) => sum + part.columns, 0)],
  parts,
});

function planLayer(
  layer: number,
  config: PretrainedConfig,
  take: (name: string, ...shape: number[]) => PlannedPart,
): PlannedTensor[] {
  const { hidden_size: hidden, intermediate_size: intermediate, head_size } = config;
  const isPhi3 = config.architecture === 'Phi3ForCausalLM';
  const hasDenseBias = config.attn_bias && config.architecture !== 'Qwen2ForCausalLM';
  const queries = config.num_attention_heads * head_size;
  const keys = config.num_key_value_heads * head_size;
  const from = `model.layers.${layer}`;
  const to = `transformer.layers.${layer}`;
  return [
    vector(`${to}.input_layernorm.weight`, take(`${from}.input_layernorm.weight`, hidden)),
    isPhi3
      ? matrix(`${to}.attention.qkv.weight`, take(`${from}.self_attn.qkv_proj.weight`, queries + 2 * keys, hidden))
      : matrix(
          `${to}.attention.qkv.weight`,
          take(`${from}.self_attn.q_proj.weight`, queries, hidden),
          take(`${from}.self_attn.k_proj.weight`, keys, hidden),
          take(`${from}.self_attn.v_proj.weight`, keys, hidden),
        ),
    matrix(`${to}.attention.dense.weight`, take(`${from}.self_attn.o_proj.weight`, hidden, queries)),
    vector(`${to}.post_layernorm.weight`, take(`${from}.post_attention_layernorm.weight`, hidden)),
    ...(isPhi3
      ? [swapped(`${to}.mlp.fc.weight`, take(`${from}.mlp.gate_up_proj.weight`, 2 * intermediate, hidden))]
      : [
          // TensorRT-LLM computes silu(fc(x)) * gate(x), so its "fc" is what others call gate_proj.
          matrix(`${to}.mlp.fc.weight`, take(`${from}.mlp.gate_proj.weight`, intermediate, hidden)),
          matrix(`${to}.mlp.gate.weight`, take(`${from}.mlp.up_proj.weight`, intermediate, hidden)),
        ]),
    matrix(`${to}.mlp.proj.weight`, take(`${from}.mlp.down_proj.weight`, hidden, intermediate)),
    ...(config.attn_bias
      ? [
          vector(
            `${to}.attention.qkv.bias`,
            take(`${from}.self_attn.q_proj.bias`, queries),
            take(`${from}.self_attn.k_proj.bias`, keys),
            take(`${from}.self_attn.v_proj.bias`, keys),
          ),
        ]
      : []),
    ...(hasDenseBias ? [vector(`${to}.attention.dense.bias`, take(`${from}.self_attn.o_proj.bias`, hidden))] : []),
    ...(config.qk_layernorm
      ? [
          vector(`${to}.attention.q_layernorm.weight`, take(`${from}.self_attn.q_norm.weight`, head_size)),
          vector(`${to}.attention.k_layernorm.weight`, take(`${from}.self_attn.k_norm.weight`, head_size)),
        ]
      : []),
    ...(config.mlp_bias
      ? [
          vector(`${to}.mlp.fc.bias`, take(`${from}.mlp.gate_proj.bias`, intermediate)),
          vector(`${to}.mlp.gate.bias`, take(`${from}.mlp.up_proj.bias`, intermediate)),
          vector(`${to}.mlp.proj.bias`, take(`${from}.mlp.down_proj.bias`, hidden)),
        ]
      : []),
  ];
}
