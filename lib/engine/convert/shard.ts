import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import { BLOCKS, isBlockType } from '../formats/ggml-blocks.js';
import { BYTES_PER_VALUE } from '../formats/numeric.js';
import type { SourceTensor } from '../formats/source.js';
import type { PlannedPart, PlannedTensor } from './planned-tensor.js';
import { layOut } from './weight-map.js';

/** Why a model cannot be split. */
export interface SplitFault {
  readonly option: 'tpSize' | 'ppSize';
  /** What that option must be, for an error about it. */
  readonly expected: string;
  /** What does not divide, for people. */
  readonly words: string;
}

/** Undefined if a model can be split like this. */
export function splitFault(
  model: PretrainedConfig,
  { tpSize, ppSize }: { tpSize: number; ppSize: number },
): SplitFault | undefined {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, num_hidden_layers: layers } = model;
  const size = model.intermediate_size;
  if (heads % tpSize !== 0) {
    const expected = `a divisor of the model's ${heads} attention heads`;
    return { option: 'tpSize', expected, words: `${heads} attention heads do not divide by ${tpSize}` };
  }
  if (kvHeads % tpSize !== 0 && tpSize % kvHeads !== 0) {
    const expected = `a divisor or a multiple of the model's ${kvHeads} KV heads`;
    return { option: 'tpSize', expected, words: `${kvHeads} KV heads and ${tpSize} ranks do not divide` };
  }
  if (size % tpSize !== 0) {
    const expected = `a divisor of the model's intermediate_size, ${size}`;
    return { option: 'tpSize', expected, words: `intermediate_size ${size} does not divide by ${tpSize}` };
  }
  if (layers % ppSize !== 0) {
    const expected = `a divisor of the model's ${layers} layers`;
    return { option: 'ppSize', expected, words: `${layers} layers do not divide by ${ppSize}` };
  }
  return undefined;
}

/**
 * Checks that a model can be split as its `mapping` says.
 * @throws {LLMError} `ERR_INVALID_OPTION` that names the option and what it must divide.
 */
export function checkSplit(model: PretrainedConfig): void {
  const sizes = { tpSize: model.mapping.tp_size, ppSize: model.mapping.pp_size };
  const fault = splitFault(model, sizes);
  if (!fault) return;
  const { option, expected } = fault;
  throw new LLMError('ERR_INVALID_OPTION', `${option} is ${sizes[option]}; expected ${expected}.`, { option });
}

/**
 * The plan of each rank, rank r being stage r / tpSize and r % tpSize in it. The rules are TensorRT-LLM's (its converter for Llama):
 * queries, keys, values, fc and gate are split by outputs, dense and proj by inputs; where there are fewer KV heads than ranks, ranks share
 * one; the head is padded to a multiple of the ranks and split by outputs, and so is the embedding if the config asks for it; the first
 * stage has the embedding, the last one the head, a tied one too. A bias that is added after the ranks' sums are is the first rank's alone. What lies beside a quantized matrix is split
 * with the outputs or the groups of inputs that it belongs to.
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
  if (place.tpSize === 1) return tensor;
  const { name, shape, type } = tensor;
  if (name === HEAD || (name === EMBEDDING && model.use_parallel_embedding)) return shardTokens(tensor, place);
  const [, module = '', kind] = /^transformer\.layers\.\d+\.(.+)\.(\w+)$/.exec(name) ?? [];
  const { outputs, inputs } = splitOf(module, model, place);
  const groups = (): Range => wholeOnes(inputs as Range, model.quantization.group_size ?? 128, tensor, place);
  if (!outputs && !inputs) return tensor;
  switch (kind) {
    case 'weight':
      if (!outputs) return selectInputs(tensor, [inputs as Range]);
      // Bytes of int4 have two outputs.
      return selectOutputs(
        tensor,
        type === 'I8' ? outputs.map((range) => wholeOnes(range, 2, tensor, place)) : outputs,
      );
    case 'bias':
      if (outputs) return selectOutputs(tensor, outputs);
      return place.tpRank === 0 ? tensor : { ...tensor, parts: [zeros(1, shape[0] ?? 0, type)] };
    case 'weights_scaling_factor':
      if (shape.length === 1) return tensor; // FP8: of the whole matrix
      return outputs ? selectOutputs(tensor, outputs) : selectInputs(tensor, [groups()]);
    case 'zero':
      return outputs ? selectInputs(tensor, outputs) : selectOutputs(tensor, [groups()]);
    case 'prequant_scaling_factor':
      return inputs ? selectOutputs(tensor, [inputs]) : tensor;
    case 'per_channel_scale':
      return outputs ? selectOutputs(tensor, outputs) : tensor;
    default:
      return tensor;
  }
}

function shardTokens(tensor: PlannedTensor, { tpSize, tpRank }: Place): PlannedTensor {
  const outputs = tensor.shape[0] ?? 0;
  const count = Math.ceil(outputs / tpSize);
  const first = Math.min(count * tpRank, outputs);
  return selectOutputs(tensor, [{ first, count: Math.min(count, outputs - first) }], count);
}

/** Which outputs, or which inputs, a rank has of a module's matrix; neither, of what all ranks have. */
function splitOf(
  module: string,
  model: PretrainedConfig,
  place: Place,
): { outputs?: readonly Range[]; inputs?: Range } {
  const { tpSize, tpRank } = place;
  const even = (first: number, size: number): Range => ({
    first: first + (size / tpSize) * tpRank,
    count: size / tpSize,
  });
  const queries = model.num_attention_heads * model.head_size;
  const keys = model.num_key_value_heads * model.head_size;
  const intermediate = model.intermediate_size;
  switch (module) {
    case 'attention.qkv':
      return {
        outputs: [
          even(0, queries),
          keysOf({ first: queries, count: keys }, model, place),
          keysOf({ first: queries + keys, count: keys }, model, place),
        ],
      };
    case 'attention.q':
      return { outputs: [even(0, queries)] };
    case 'attention.k':
    case 'attention.v':
      return { outputs: [keysOf({ first: 0, count: keys }, model, place)] };
    case 'mlp.fc': {
      const isFused = model.hidden_act === 'swiglu';
      return { outputs: isFused ? [even(0, intermediate), even(intermediate, intermediate)] : [even(0, intermediate)] };
    }
    case 'mlp.gate':
      return { outputs: [even(0, intermediate)] };
    case 'attention.dense':
      return { inputs: even(0, queries) };
    case 'mlp.proj':
      return { inputs: even(0, intermediate) };
    default:
      return {};
  }
}

/** A range in units of `size`. */
function wholeOnes({ first, count }: Range, size: number, { name }: PlannedTensor, { tpSize }: Place): Range {
  if (first % size === 0 && count % size === 0) return { first: first / size, count: count / size };
  throw new LLMError(
    'ERR_INVALID_OPTION',
    `tpSize is ${tpSize}; expected one that splits ${name} between groups of ${size}, of which a rank would get ${count / size}. Use fewer ranks, another quantization, or dtype, which dequantizes.`,
    { option: 'tpSize' },
  );
}

/** The KV heads of a rank. Where there are more ranks than heads, neighbours share one. */
function keysOf({ first, count }: Range, model: PretrainedConfig, { tpSize, tpRank }: Place): Range {
  const { num_key_value_heads: heads, head_size } = model;
  if (heads >= tpSize) return { first: first + (count / tpSize) * tpRank, count: count / tpSize };
  return { first: first + Math.floor((tpRank * heads) / tpSize) * head_size, count: head_size };
}

/** Rows of a matrix, or values of a vector; filled up with zeros to `padded` of them. */
function selectOutputs(tensor: PlannedTensor, ranges: readonly Range[], padded?: number): PlannedTensor {
  const isRow = tensor.shape.length === 1 && tensor.parts.every(({ rows }) => rows === 1);
  const columns = tensor.shape[1] ?? 0;
  const parts = ranges.flatMap((range) => cut(tensor.parts, range, isRow));
  const count = ranges.reduce((sum, range) => sum + range.count, 0);
  const missing = (padded ?? count) - count;
  if (missing > 0) parts.push(zeros(missing, columns, tensor.type));
  return { ...tensor, shape: [count + missing, ...tensor.shape.slice(1)], parts };
}

/** What parts that lie one after another have of a range. */
function cut(parts: readonly PlannedPart[], { first, count }: Range, isRow: boolean): PlannedPart[] {
  let start = 0;
  return parts.flatMap((part) => {
    const size = isRow ? part.columns : part.rows;
    const from = Math.max(first, start);
    const to = Math.min(first + count, start + size);
    const offset = from - start;
    start += size;
    if (from >= to) return [];
    if (!isRow) return [{ ...part, firstRow: part.firstRow + offset, rows: to - from }];
    return [columnsOf(part, [{ first: offset, count: to - from }])];
  });
}

/** Columns of a matrix. */
function selectInputs(tensor: PlannedTensor, ranges: readonly Range[]): PlannedTensor {
  const { name, type, shape, parts } = tensor;
  const count = ranges.reduce((sum, range) => sum + range.count, 0);
  if (isBlockType(type) && count % BLOCKS[type].values !== 0) {
    const ranks = (shape[1] ?? 0) / count;
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `tpSize is ${ranks}; expected one that splits ${name} between its blocks: ${type} has blocks of ${BLOCKS[type].values} values, and a rank would get ${count} of a row. Use fewer ranks, or pass dtype, which dequantizes.`,
      { option: 'tpSize' },
    );
  }
  return { ...tensor, shape: [shape[0] ?? 0, count], parts: parts.map((part) => columnsOf(part, ranges)) };
}

/** A part's rows, with some of their columns. */
function columnsOf(part: PlannedPart, ranges: readonly Range[]): PlannedPart {
  const { tensor, columns } = part;
  const [{ first, count } = { first: 0, count: 0 }] = ranges;
  if (first === 0 && count === columns) return part;
  const total = ranges.reduce((sum, range) => sum + range.count, 0);
  const sliced: SourceTensor = {
    shape: [...tensor.shape.slice(0, -1), total],
    file: tensor.file,
    type: tensor.type,
    async readRows(firstRow, rows, dtype) {
      const bytes = await tensor.readRows(firstRow, rows, dtype);
      const stride = bytes.length / rows;
      const size = stride / columns; // less than 1 in blocks
      const out = new Uint8Array(rows * size * total);
      let to = 0;
      for (let row = 0; row < rows; row++) {
        for (const range of ranges) {
          const from = row * stride + range.first * size;
          out.set(bytes.subarray(from, from + range.count * size), to);
          to += range.count * size;
        }
      }
      return out;
    },
    placeOfRows(firstRow, rows, dtype) {
      const place = tensor.placeOfRows?.(firstRow, rows, dtype);
      if (!place || place.columns || ranges.length > 1) return undefined;
      const rowBytes = place.bytes / rows;
      const size = rowBytes / columns;
      return { ...place, columns: { rowBytes, first: first * size, bytes: count * size } };
    },
    release: () => tensor.release?.(),
  };
  return { ...part, tensor: sliced, columns: total };
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
