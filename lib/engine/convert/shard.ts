import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import { BLOCKS, isBlockType } from '../formats/ggml-blocks.js';
import { BYTES_PER_VALUE } from '../formats/numeric.js';
import type { SourceTensor } from '../formats/source.js';
import type { PlannedPart, PlannedTensor } from './planned-tensor.js';
import { layOut } from './weight-map.js';

/**
 * Checks that a model can be split as its `mapping` says.
 * @throws {LLMError} `ERR_INVALID_OPTION` that names the option and what it must divide.
 */
export function checkSplit(model: PretrainedConfig): void {
  const { tp_size: tpSize, pp_size: ppSize } = model.mapping;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, num_hidden_layers: layers } = model;
  const fail = (option: string, size: number, expected: string): LLMError =>
    new LLMError('ERR_INVALID_OPTION', `${option} is ${size}; expected ${expected}.`, { option });
  if (heads % tpSize !== 0) throw fail('tpSize', tpSize, `a divisor of the model's ${heads} attention heads`);
  if (kvHeads % tpSize !== 0 && tpSize % kvHeads !== 0) {
    throw fail('tpSize', tpSize, `a divisor or a multiple of the model's ${kvHeads} KV heads`);
  }
  if (model.intermediate_size % tpSize !== 0) {
    throw fail('tpSize', tpSize, `a divisor of the model's intermediate_size, ${model.intermediate_size}`);
  }
  if (layers % ppSize !== 0) throw fail('ppSize', ppSize, `a divisor of the model's ${layers} layers`);
  const { quant_algo } = model.quantization;
  if (tpSize > 1 && quant_algo !== null && !SPLIT_ALGOS.includes(quant_algo)) {
    const fix = 'Use ppSize, or pass dtype, which dequantizes.';
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `The model's weights are ${quant_algo}, which is not split over tensor parallel ranks yet. ${fix}`,
      { option: 'tpSize' },
    );
  }
}

/** Whose matrices are as many values as they have weights, or blocks of them along a row. */
const SPLIT_ALGOS: readonly string[] = ['W8A16', 'W4A16', 'GGML'];

/**
 * The plan of each rank, rank r being stage r / tpSize and r % tpSize in it. The rules are TensorRT-LLM's (its converter for Llama):
 * queries, keys, values, fc and gate are split by outputs, dense and proj by inputs; where there are fewer KV heads than ranks, ranks share
 * one; the head is padded to a multiple of the ranks and split by outputs; the first stage has all of the embedding, the last one the
 * head, a tied one too. A bias that is added after the ranks' sums are is the first rank's alone.
 */
export function shardPlan(plan: readonly PlannedTensor[], model: PretrainedConfig): PlannedTensor[][] {
  const { tp_size: tpSize, pp_size: ppSize } = model.mapping;
  if (tpSize * ppSize === 1) return [[...plan]];
  const whole = model.tie_word_embeddings ? [...plan, headOf(plan)] : plan;
  return Array.from({ length: tpSize * ppSize }, (_, rank) => {
    const stage = Math.floor(rank / tpSize);
    return whole.flatMap((tensor) => {
      const name = nameInStage(tensor.name, model.num_hidden_layers / ppSize, { stage, ppSize });
      return name === undefined ? [] : [{ ...shardOf(tensor, model, { tpSize, tpRank: rank % tpSize }), name }];
    });
  });
}

/** The names and shapes of each rank's tensors, in an engine whose matrices are plain. */
export function tensorsOfRanks(model: PretrainedConfig): Pick<PlannedTensor, 'name' | 'shape'>[][] {
  const plan = layOut(model).map(({ name, shape }): PlannedTensor => {
    const [rows, columns] = shape.length === 1 ? [1, shape[0] ?? 0] : [shape[0] ?? 0, shape[1] ?? 0];
    return { name, shape, type: model.dtype, parts: [zeros(rows, columns, model.dtype)] };
  });
  return shardPlan(plan, model);
}

const EMBEDDING = 'transformer.vocab_embedding.weight';
const HEAD = 'lm_head.weight';

/** Of a tied model, whose ranks need their part of it by itself. */
function headOf(plan: readonly PlannedTensor[]): PlannedTensor {
  const embedding = plan.find(({ name }) => name === EMBEDDING);
  if (!embedding) throw new LLMError('ERR_INTERNAL', `A plan has no ${EMBEDDING}.`);
  return { ...embedding, name: HEAD };
}

/** What a tensor is called in a stage, whose layers are counted from 0; undefined if it belongs to another. */
function nameInStage(
  name: string,
  layersPerStage: number,
  { stage, ppSize }: { stage: number; ppSize: number },
): string | undefined {
  const [, layer, rest] = /^transformer\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
  if (layer === undefined) return stage === (name === EMBEDDING ? 0 : ppSize - 1) ? name : undefined;
  const local = Number(layer) - stage * layersPerStage;
  return local >= 0 && local < layersPerStage ? `transformer.layers.${local}.${rest}` : undefined;
}

interface Place {
  readonly tpSize: number;
  readonly tpRank: number;
}

interface Range {
  readonly first: number;
  readonly count: number;
}

function shardOf(tensor: PlannedTensor, model: PretrainedConfig, place: Place): PlannedTensor {
  const { tpSize, tpRank } = place;
  if (tpSize === 1) return tensor;
  const [, kind = tensor.name] = /^transformer\.layers\.\d+\.(.+)$/.exec(tensor.name) ?? [];
  const outputs = tensor.shape[0] ?? 0;
  const even = ({ first, count }: Range): Range => ({
    first: first + (count / tpSize) * tpRank,
    count: count / tpSize,
  });
  const queries = model.num_attention_heads * model.head_size;
  const keys = model.num_key_value_heads * model.head_size;
  switch (kind) {
    case 'attention.qkv.weight':
    case 'attention.qkv.bias':
      return selectOutputs(tensor, [
        even({ first: 0, count: queries }),
        keysOf({ first: queries, count: keys }, model, place),
        keysOf({ first: queries + keys, count: keys }, model, place),
      ]);
    case 'attention.k.weight':
    case 'attention.v.weight':
      return selectOutputs(tensor, [keysOf({ first: 0, count: keys }, model, place)]);
    case 'mlp.fc.weight':
    case 'mlp.fc.bias': {
      const size = model.intermediate_size; // of which a Phi3 has two here
      const halves = Array.from({ length: outputs / size }, (_, half) => even({ first: half * size, count: size }));
      return selectOutputs(tensor, halves);
    }
    case 'attention.q.weight':
    case 'mlp.gate.weight':
    case 'mlp.gate.bias':
      return selectOutputs(tensor, [even({ first: 0, count: outputs })]);
    case 'attention.dense.weight':
    case 'mlp.proj.weight':
      return selectInputs(tensor, even({ first: 0, count: tensor.shape[1] ?? 0 }));
    case 'attention.dense.bias':
    case 'mlp.proj.bias':
      return tpRank === 0 ? tensor : { ...tensor, parts: [zeros(1, outputs, tensor.type)] };
    case HEAD: {
      const count = Math.ceil(outputs / tpSize);
      const first = Math.min(count * tpRank, outputs);
      return selectOutputs(tensor, [{ first, count: Math.min(count, outputs - first) }], count);
    }
    default:
      return tensor;
  }
}

/** The KV heads of a rank. Where there are more ranks than heads, neighbours share one. */
function keysOf({ first, count }: Range, model: PretrainedConfig, { tpSize, tpRank }: Place): Range {
  const { num_key_value_heads: heads, head_size } = model;
  if (heads >= tpSize) return { first: first + (count / tpSize) * tpRank, count: count / tpSize };
  return { first: first + Math.floor((tpRank * heads) / tpSize) * head_size, count: head_size };
}

/** Rows of a matrix, or values of a vector; filled up with zeros to `padded` of them. */
function selectOutputs(tensor: PlannedTensor, ranges: readonly Range[], padded?: number): PlannedTensor {
  const isVector = tensor.shape.length === 1;
  const columns = tensor.shape[1] ?? 0;
  const parts = ranges.flatMap((range) => cut(tensor.parts, range, isVector));
  const count = ranges.reduce((sum, range) => sum + range.count, 0);
  const missing = (padded ?? count) - count;
  if (missing > 0) parts.push(zeros(missing, columns, tensor.type));
  return { ...tensor, shape: [count + missing, ...tensor.shape.slice(1)], parts };
}

/** What parts that lie one after another have of a range. */
function cut(parts: readonly PlannedPart[], { first, count }: Range, isVector: boolean): PlannedPart[] {
  let start = 0;
  return parts.flatMap((part) => {
    const size = isVector ? part.columns : part.rows;
    const from = Math.max(first, start);
    const to = Math.min(first + count, start + size);
    const offset = from - start;
    start += size;
    if (from >= to) return [];
    if (!isVector) return [{ ...part, firstRow: part.firstRow + offset, rows: to - from }];
    return [columnsOf(part, { first: offset, count: to - from })];
  });
}

function selectInputs(tensor: PlannedTensor, range: Range): PlannedTensor {
  const { name, type, shape, parts } = tensor;
  if (isBlockType(type) && range.count % BLOCKS[type].values !== 0) {
    const ranks = (shape[1] ?? 0) / range.count;
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `tpSize is ${ranks}; expected one that splits ${name} between its blocks: ${type} has blocks of ${BLOCKS[type].values} values, and a rank would get ${range.count} of a row. Use fewer ranks, or pass dtype, which dequantizes.`,
      { option: 'tpSize' },
    );
  }
  return { ...tensor, shape: [shape[0] ?? 0, range.count], parts: parts.map((part) => columnsOf(part, range)) };
}

/** A part's rows, with some of their columns. */
function columnsOf(part: PlannedPart, { first, count }: Range): PlannedPart {
  const { tensor, columns } = part;
  if (first === 0 && count === columns) return part;
  const sliced: SourceTensor = {
    shape: [...tensor.shape.slice(0, -1), count],
    file: tensor.file,
    type: tensor.type,
    async readRows(firstRow, rows, dtype) {
      const bytes = await tensor.readRows(firstRow, rows, dtype);
      const stride = bytes.length / rows;
      const width = (stride / columns) * count;
      const from = (stride / columns) * first;
      const out = new Uint8Array(rows * width);
      for (let row = 0; row < rows; row++) {
        out.set(bytes.subarray(row * stride + from, row * stride + from + width), row * width);
      }
      return out;
    },
  };
  return { ...part, tensor: sliced, columns: count };
}

const zeros = (rows: number, columns: number, type: PlannedTensor['type']): PlannedPart => ({
  tensor: {
    shape: [rows, columns],
    file: '',
    type: undefined,
    readRows: async (_first, count) => new Uint8Array(count * rowBytes(columns, type)), // zero scales, in blocks
  },
  firstRow: 0,
  rows,
  columns,
});

function rowBytes(columns: number, type: PlannedTensor['type']): number {
  if (type === 'I8' || type === 'F8_E4M3') return columns;
  if (!isBlockType(type)) return columns * BYTES_PER_VALUE[type];
  const { values, bytes } = BLOCKS[type];
  return (columns / values) * bytes;
}
