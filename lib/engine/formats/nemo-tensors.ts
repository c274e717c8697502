import { LLMError } from '../../base/errors.js';
import { convertBytes, type LlamaModel, type SourceTensor } from './source.js';
import type { ZarrArray } from './zarr.js';

/** A tensor by Hugging Face's name, and its rows in NeMo's: `size` rows in every `stride` rows, from row `offset` of each. */
interface Part {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly stride: number;
  readonly offset: number;
}

interface Layout {
  /** Without the axis of the layers. */
  readonly shape: readonly number[];
  readonly parts: readonly Part[];
}

const LAYERS = 'decoder.layers.';
const HEAD = 'output_layer.weight';
const EMBEDDING = 'embedding.word_embeddings.weight';

export const missingTensor = (path: string, key: string): LLMError =>
  new LLMError(
    'ERR_SOURCE_INVALID',
    `${path} has no tensor ${key}; expected it in model_weights. Check that the weights are those of model_config.yaml, and all there.`,
  );

/**
 * The tensors of a model by Hugging Face's names, each a view of rows of an array. An array that a Llama does not have keeps its
 * name, so that the error message has it.
 */
export function nemoTensors(
  path: string,
  arrays: ReadonlyMap<string, ZarrArray>,
  model: LlamaModel,
): Map<string, SourceTensor> {
  const layouts = layoutsOf(model, arrays.get(EMBEDDING)?.shape[0] ?? 0);
  for (const key of layouts.keys()) {
    if (!arrays.has(key) && !(key === HEAD && model.tie_word_embeddings)) throw missingTensor(path, key);
  }
  const tensors = new Map<string, SourceTensor>();
  for (const [key, array] of arrays) {
    if (key.endsWith('rotary_pos_emb.inv_freq')) continue; // follows from the config
    const layout = layouts.get(key) ?? { shape: array.shape, parts: [whole(key, array.shape)] };
    const layers = layouts.has(key) && key.startsWith(LAYERS) ? model.num_hidden_layers : undefined;
    const expected = layers === undefined ? layout.shape : [layers, ...layout.shape];
    if (array.shape.join() !== expected.join()) {
      const found = `${array.label} has the shape [${array.shape.join(', ')}]`;
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${found}; expected [${expected.join(', ')}], by model_config.yaml. Check that config and weights are of one model.`,
      );
    }
    for (const part of layout.parts) {
      if (layers === undefined) tensors.set(part.name, viewOf(array, 0, part));
      for (let layer = 0; layer < (layers ?? 0); layer++) {
        tensors.set(`model.layers.${layer}.${part.name}`, viewOf(array, layer, part));
      }
    }
  }
  return tensors;
}

function layoutsOf(model: LlamaModel, vocabRows: number): Map<string, Layout> {
  const { vocab_size, hidden_size: hidden, intermediate_size: intermediate, head_size } = model;
  const groups = model.num_key_value_heads;
  const group = model.num_attention_heads / groups; // query heads that share a key and a value head
  const stride = (group + 2) * head_size;
  // Row by row: the query heads of a group, its key head, its value head; then the next group.
  const heads = (name: string, first: number, count: number): Part => {
    const size = count * head_size;
    return {
      name: `self_attn.${name}_proj.weight`,
      shape: [groups * size, hidden],
      size,
      stride,
      offset: first * head_size,
    };
  };
  const half = (name: string, offset: number): Part => ({
    name: `mlp.${name}_proj.weight`,
    shape: [intermediate, hidden],
    size: intermediate,
    stride: 2 * intermediate,
    offset,
  });
  const vocabulary = (name: string): Layout => ({
    shape: [vocabRows, hidden],
    parts: [whole(name, [vocab_size, hidden])], // the rows past it are padding
  });
  const same = (name: string, ...shape: number[]): Layout => ({ shape, parts: [whole(name, shape)] });
  return new Map<string, Layout>([
    [EMBEDDING, vocabulary('model.embed_tokens.weight')],
    [HEAD, vocabulary('lm_head.weight')],
    ['decoder.final_layernorm.weight', same('model.norm.weight', hidden)],
    [`${LAYERS}self_attention.linear_qkv.layer_norm_weight`, same('input_layernorm.weight', hidden)],
    [
      `${LAYERS}self_attention.linear_qkv.weight`,
      {
        shape: [groups * stride, hidden],
        parts: [heads('q', 0, group), heads('k', group, 1), heads('v', group + 1, 1)],
      },
    ],
    [`${LAYERS}self_attention.linear_proj.weight`, same('self_attn.o_proj.weight', hidden, groups * group * head_size)],
    [`${LAYERS}mlp.linear_fc1.layer_norm_weight`, same('post_attention_layernorm.weight', hidden)],
    [
      `${LAYERS}mlp.linear_fc1.weight`, // NeMo computes activation(first half) * second half
      { shape: [2 * intermediate, hidden], parts: [half('gate', 0), half('up', intermediate)] },
    ],
    [`${LAYERS}mlp.linear_fc2.weight`, same('mlp.down_proj.weight', hidden, intermediate)],
  ]);
}

function whole(name: string, shape: readonly number[]): Part {
  const rows = shape.length > 1 ? (shape[0] as number) : 1;
  return { name, shape, size: rows, stride: rows, offset: 0 };
}

function viewOf(array: ZarrArray, layer: number, { shape, size, stride, offset }: Part): SourceTensor {
  return {
    shape,
    file: array.label,
    type: array.dtype,
    async readRows(first, count, dtype = array.dtype) {
      const pieces: Uint8Array[] = [];
      for (let row = first; row < first + count; ) {
        const inBlock = row % size;
        const rows = Math.min(size - inBlock, first + count - row);
        pieces.push(await array.readRows(layer, Math.floor(row / size) * stride + offset + inBlock, rows));
        row += rows;
      }
      const [only] = pieces;
      const bytes = pieces.length === 1 && only ? only : new Uint8Array(Buffer.concat(pieces));
      return convertBytes(bytes, array.dtype, dtype, array.label);
    },
  };
}
