import type { Dtype, PretrainedConfig } from '../directory/checkpoint-config.js';
import type { Quantization as StoredForm } from '../directory/quantization.js';
import { encodeFp8 } from '../formats/fp8-matrix.js';
import { decodeValues, encodeValues } from '../formats/numeric.js';
import { convertValues, type SourceTensor } from '../formats/source.js';
import type { InputMaxima } from './calibrate.js';
import type { PlannedPart, PlannedTensor } from './planned-tensor.js';
import { FP8_LARGEST, fp8Matrix, largest, notFinite } from './quantize-fp8.js';

export const QUANTIZATIONS = ['fp8_rowwise', 'int8_wo', 'fp8', 'int4_awq', 'int4_wo'] as const;
/**
 * How the weights of the linear layers are stored, by the names of TensorRT-LLM, in the order of preference. `'fp8_rowwise'`: the MLPs
 * between the first layer and the last in FP8, with one scale for each output. `'int8_wo'` and `'int4_wo'`: rounded when the engine
 * is loaded or built, with one scale for each output. `'fp8'`: all matrices in FP8, with one scale for the weights of each and one for
 * its inputs, which a calibration over text finds. `'int4_awq'`: 4 bits, with a scale for each group of 128 inputs, without AWQ's
 * calibration.
 */
export type Quantization = (typeof QUANTIZATIONS)[number];

export const GROUP_SIZE = 128; // of TensorRT-LLM's int4_awq
const LARGEST = 1200; // to which TensorRT-LLM's fp8_rowwise clamps weights and inputs

/** What config.json says of a model that is quantized here. */
export function storedForm(quantization: Quantization, layers: number): Partial<StoredForm> {
  switch (quantization) {
    case 'int8_wo':
      return { quant_algo: 'W8A16' };
    case 'int4_wo':
      return { quant_algo: 'W4A16' };
    case 'fp8':
      return { quant_algo: 'FP8' };
    case 'int4_awq':
      return { quant_algo: 'W4A16_AWQ', group_size: GROUP_SIZE, has_zero_point: false, pre_quant_scale: false };
    case 'fp8_rowwise': {
      // 0.13 leaves these out by itself, 1.2 if it is told.
      const ends = [...new Set([0, layers - 1])].flatMap((layer) => [
        `transformer.layers.${layer}.mlp`,
        `transformer.layers.${layer}.post_layernorm`,
      ]);
      const exclude_modules = ['*lm_head', '*ln_f', '*ln_embed', '*input_layernorm', '*attention', ...ends];
      return { quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN', clamp_val: [-LARGEST, LARGEST], exclude_modules };
    }
  }
}

/** Why a model cannot be stored like this, for people; undefined if it can. */
export function obstacleToQuantize(
  quantization: Quantization | undefined,
  model: Pick<PretrainedConfig, 'hidden_size' | 'intermediate_size' | 'num_attention_heads' | 'head_size'>,
  { tpSize, ppSize }: { readonly tpSize: number; readonly ppSize: number },
): string | undefined {
  // Which of its layers a stage leaves out is said by their numbers in the stage, the same for all.
  if (quantization === 'fp8_rowwise' && ppSize > 1) return 'fp8_rowwise is for models in one stage';
  if (quantization !== 'int4_awq') return undefined;
  const depths = [
    model.hidden_size,
    (model.num_attention_heads * model.head_size) / tpSize,
    model.intermediate_size / tpSize,
  ];
  const odd = depths.find((depth) => depth % GROUP_SIZE !== 0);
  return odd === undefined ? undefined : `groups of ${GROUP_SIZE} weights do not fit a matrix of ${odd} columns`;
}

/** Whether a matrix of a layer is quantized. TensorRT-LLM's fp8_rowwise is for the MLPs between the first layer and the last. */
export const isQuantizedLayer = (quantization: Quantization, layer: number, layers: number): boolean =>
  quantization !== 'fp8_rowwise' || (layer > 0 && layer < layers - 1);

/**
 * Plans to quantize the matrices of a plain plan while they are written.
 * @param inputMaxima by layer; for `'fp8'`, and only to write.
 */
export function quantizePlan(
  plan: readonly PlannedTensor[],
  model: PretrainedConfig,
  quantization: Quantization,
  inputMaxima?: readonly InputMaxima[],
): PlannedTensor[] {
  if (quantization === 'int8_wo' || quantization === 'int4_wo') return [...plan];
  return plan.flatMap((tensor) => {
    const [, module, layer, block] =
      /^(transformer\.layers\.(\d+)\.(attention|mlp)\.\w+)\.weight$/.exec(tensor.name) ?? [];
    if (module === undefined || tensor.shape.length !== 2) return [tensor];
    if (quantization === 'fp8') return fp8Matrix({ module, layer: Number(layer) }, tensor, model, inputMaxima);
    if (quantization === 'int4_awq') return quantized(module, tensor, new Int4Rounding(model.dtype));
    const isOne = block === 'mlp' && isQuantizedLayer(quantization, Number(layer), model.num_hidden_layers);
    return isOne ? quantized(module, tensor, new Fp8Rounding()) : [tensor];
  });
}

/** How rows of float are turned into bytes and scales. */
interface Rounding {
  /** How many outputs a row of bytes has. */
  readonly outputsPerRow: 1 | 2;
  readonly weightType: 'I8' | 'F8_E4M3';
  readonly scaleName: 'weights_scaling_factor' | 'per_channel_scale';
  readonly scaleType: Dtype;
  /** Shape of the scales of a matrix. */
  scaleShape(outputs: number, inputs: number): readonly number[];
  /** Returns the bytes of rows, and writes their scales; NaN if a value is not finite. */
  round(values: Float32Array, columns: number, scales: Float32Array): Uint8Array;
}

function quantized(module: string, { shape, parts }: PlannedTensor, rounding: Rounding): PlannedTensor[] {
  const [outputs = 0, inputs = 0] = shape;
  const { outputsPerRow, weightType, scaleName, scaleType } = rounding;
  const scaleShape = rounding.scaleShape(outputs, inputs);
  const matrices = parts.map((part) => ({ ...part, ...roundedMatrix(module, part, rounding, scaleShape[1] ?? 1) }));
  return [
    {
      name: `${module}.weight`,
      shape: [outputs / outputsPerRow, inputs],
      type: weightType,
      parts: matrices.map(({ weight, rows, columns }) => ({
        tensor: weight,
        firstRow: 0,
        rows: rows / outputsPerRow,
        columns,
      })),
    },
    {
      name: `${module}.${scaleName}`,
      shape: scaleShape,
      type: scaleType,
      parts: matrices.map(({ scales, rows }) => ({ tensor: scales, firstRow: 0, rows, columns: scaleShape[1] ?? 1 })),
    },
  ];
}

/** The scales are known once the weights have been read: they are kept until they are read too. */
function roundedMatrix(
  module: string,
  { tensor, firstRow, rows, columns }: PlannedPart,
  rounding: Rounding,
  scalesPerRow: number,
): { weight: SourceTensor; scales: SourceTensor } {
  const { outputsPerRow } = rounding;
  let known: Float32Array | undefined; // NaN where they are not
  const scalesOf = (first: number, count: number): Float32Array => {
    known ??= new Float32Array(rows * scalesPerRow).fill(Number.NaN);
    return known.subarray(first * scalesPerRow, (first + count) * scalesPerRow);
  };
  const readWeight = async (first: number, count: number): Promise<Uint8Array> => {
    const [output, outputs] = [first * outputsPerRow, count * outputsPerRow];
    const values = decodeValues(await tensor.readRows(firstRow + output, outputs, 'float32'), 'float32');
    const scales = scalesOf(output, outputs);
    const bytes = rounding.round(values, columns, scales);
    if (!scales.some(Number.isNaN)) return bytes;
    throw notFinite(module, tensor);
  };
  const common = { file: tensor.file, type: undefined };
  return {
    weight: {
      ...common,
      shape: [rows / outputsPerRow, columns],
      readRows: readWeight,
      release: () => tensor.release?.(),
    },
    scales: {
      ...common,
      shape: [rows, scalesPerRow],
      async readRows(first, count, dtype = 'float32') {
        if (scalesOf(first, count).some(Number.isNaN)) {
          const row = Math.floor(first / outputsPerRow);
          await readWeight(row, Math.ceil((first + count) / outputsPerRow) - row);
        }
        return convertValues(scalesOf(first, count).slice(), dtype, tensor.file);
      },
      release() {
        known = undefined;
        tensor.release?.();
      },
    },
  };
}

/** Groups of inputs with the scale, of a few, that leaves the smallest squared error: an eighth less than with the largest alone. */
class Int4Rounding implements Rounding {
  readonly outputsPerRow = 2;
  readonly weightType = 'I8';
  readonly scaleName = 'weights_scaling_factor';

  constructor(readonly scaleType: Dtype) {}

  scaleShape(outputs: number, inputs: number): readonly number[] {
    return [outputs, inputs / GROUP_SIZE];
  }

  round(values: Float32Array, columns: number, scales: Float32Array): Uint8Array {
    for (let group = 0; group < scales.length; group++) scales[group] = bestScale(values, group * GROUP_SIZE);
    // What is stored is what counts.
    if (this.scaleType !== 'float32') scales.set(decodeValues(encodeValues(scales, this.scaleType), this.scaleType));
    const bytes = new Uint8Array(values.length / 2);
    const groups = columns / GROUP_SIZE;
    for (let pair = 0; pair < bytes.length / columns; pair++) {
      for (let group = 0; group < groups; group++) {
        const to = pair * columns + group * GROUP_SIZE;
        const low = 2 * pair * columns + group * GROUP_SIZE;
        const high = low + columns;
        const perLow = inverse(scales[2 * pair * groups + group] as number);
        const perHigh = inverse(scales[(2 * pair + 1) * groups + group] as number);
        for (let i = 0; i < GROUP_SIZE; i++) {
          const a = ((values[low + i] as number) * perLow + 8.5) | 0;
          const b = ((values[high + i] as number) * perHigh + 8.5) | 0;
          // Two's complement of what is 8 less.
          bytes[to + i] = ((a < 0 ? 0 : a > 15 ? 15 : a) | ((b < 0 ? 0 : b > 15 ? 15 : b) << 4)) ^ 0x88;
        }
      }
    }
    return bytes;
  }
}

const inverse = (scale: number): number => (scale === 0 ? 0 : 1 / scale);

/** The scale of the group that starts at `first`: the one that just reaches the largest value, or one that cuts it off. */
function bestScale(values: Float32Array, first: number): number {
  let most = 0;
  let least = 0;
  for (let i = first; i < first + GROUP_SIZE; i++) {
    const value = values[i] as number;
    if (value > most) most = value;
    else if (value < least) least = value;
  }
  const full = Math.max(most / 7.5, least / -8.5);
  if (full === 0) return values.subarray(first, first + GROUP_SIZE).some(Number.isNaN) ? Number.NaN : 0;
  const per = 1 / full;
  const [perSmall, perSmallest] = [per / SMALL, per / SMALLEST];
  let error = 0;
  let errorSmall = 0;
  let errorSmallest = 0;
  for (let i = first; i < first + GROUP_SIZE; i++) {
    const value = values[i] as number;
    let x = value * per + 8;
    let q = (x + 0.5) | 0;
    let off = x - (q > 15 ? 15 : q);
    error += off * off;
    x = value * perSmall + 8;
    q = (x + 0.5) | 0;
    off = x - (q < 0 ? 0 : q > 15 ? 15 : q);
    errorSmall += off * off;
    x = value * perSmallest + 8;
    q = (x + 0.5) | 0;
    off = x - (q < 0 ? 0 : q > 15 ? 15 : q);
    errorSmallest += off * off;
  }
  errorSmall *= SMALL * SMALL;
  errorSmallest *= SMALLEST * SMALLEST;
  if (Number.isNaN(error)) return Number.NaN;
  if (errorSmall < error) return full * (errorSmallest < errorSmall ? SMALLEST : SMALL);
  return full * (errorSmallest < error ? SMALLEST : 1);
}

const SMALL = 0.9;
const SMALLEST = 0.8;

/** One scale for each output, with the least that TensorRT-LLM takes. */
class Fp8Rounding implements Rounding {
  readonly outputsPerRow = 1;
  readonly weightType = 'F8_E4M3';
  readonly scaleName = 'per_channel_scale';
  readonly scaleType = 'float32';

  scaleShape(outputs: number): readonly number[] {
    return [outputs];
  }

  round(values: Float32Array, columns: number, scales: Float32Array): Uint8Array {
    const bytes = new Uint8Array(values.length);
    for (let row = 0; row < scales.length; row++) {
      const ours = values.subarray(row * columns, (row + 1) * columns);
      const most = largest(ours);
      if (!Number.isFinite(most)) return bytes; // the scales that are missing say so
      const scale = Math.max(Math.fround(Math.min(most, LARGEST) / FP8_LARGEST), LEAST_SCALE);
      scales[row] = scale;
      for (let i = 0; i < columns; i++) ours[i] = (ours[i] as number) / scale; // what is above LARGEST saturates
      encodeFp8(ours, bytes.subarray(row * columns, (row + 1) * columns));
    }
    return bytes;
  }
}

const LEAST_SCALE = Math.fround(1 / (FP8_LARGEST * 512));
