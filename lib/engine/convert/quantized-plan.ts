import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import { Fp8Tensor } from '../formats/fp8-matrix.js';
import { type Int4Groups, Int4Tensor } from '../formats/int4-matrix.js';
import { convertValues, type SourceTensor } from '../formats/source.js';
import type { PlannedPart, PlannedTensor } from './planned-tensor.js';

interface QuantizedPart<T extends SourceTensor> extends PlannedPart {
  readonly tensor: T;
}

/**
 * The tensors that an engine has for a quantized matrix, as `Quantization` describes them; undefined if the engine's is plain.
 * @param name of the matrix in the engine: X.weight.
 */
export function planQuantized(
  name: string,
  parts: readonly PlannedPart[],
  config: PretrainedConfig,
): PlannedTensor[] | undefined {
  const module = name.slice(0, -'.weight'.length);
  switch (config.quantization.quant_algo) {
    case 'W4A16_AWQ': {
      const int4 = parts.filter((part): part is QuantizedPart<Int4Tensor> => part.tensor instanceof Int4Tensor);
      return int4.length === 0 ? undefined : planInt4(module, int4, config);
    }
    case 'FP8':
    case 'FP8_PER_CHANNEL_PER_TOKEN': {
      const fp8 = parts.filter((part): part is QuantizedPart<Fp8Tensor> => part.tensor instanceof Fp8Tensor);
      return fp8.length === 0 ? undefined : planFp8(module, fp8, config.quantization.quant_algo);
    }
  }
  return undefined;
}

function planInt4(
  module: string,
  parts: readonly QuantizedPart<Int4Tensor>[],
  { dtype, quantization: { group_size = 128, has_zero_point } }: PretrainedConfig,
): PlannedTensor[] {
  const { inputs, inputScales } = (parts[0] as QuantizedPart<Int4Tensor>).tensor.quantized;
  const outputs = parts.reduce((sum, { rows }) => sum + rows, 0);
  const groups = inputs / group_size;
  const types = new Set(parts.map(({ tensor }) => tensor.quantized.scaleType));
  const weight = parts.map(({ tensor, firstRow, rows, columns }) => ({
    tensor: computed(tensor, [tensor.quantized.outputs / 2, inputs], (first, count) => tensor.readPacked(first, count)),
    firstRow: firstRow / 2,
    rows: rows / 2,
    columns,
  }));
  const scales = parts.map(({ tensor, firstRow, rows }) => ({
    tensor: floats(tensor, [tensor.quantized.outputs, groups], async () => (await groupsOf(tensor, group_size)).scales),
    firstRow,
    rows,
    columns: groups,
  }));
  const zero = floats((parts[0] as PlannedPart).tensor, [groups, outputs], () =>
    readZero(parts, groups, outputs, group_size),
  );
  return [
    { name: `${module}.weight`, shape: [outputs / 2, inputs], type: 'I8', parts: weight },
    {
      name: `${module}.weights_scaling_factor`,
      shape: [outputs, groups],
      type: types.size === 1 ? ([...types][0] ?? 'float32') : 'float32',
      parts: scales,
    },
    ...(has_zero_point
      ? [{ name: `${module}.zero`, shape: [groups, outputs], type: dtype, parts: [whole(zero)] }]
      : []),
    ...(inputScales
      ? [
          {
            name: `${module}.prequant_scaling_factor`,
            shape: [inputs],
            type: inputScales.type ?? dtype,
            parts: [whole(inputScales)],
          },
        ]
      : []),
  ];
}

/** Each group as smaller ones, of `size` inputs. */
async function groupsOf({ quantized }: Int4Tensor, size: number): Promise<Int4Groups> {
  const { groups, scales, zeros } = await quantized.readGroups();
  const times = quantized.inputs / size / groups;
  if (times === 1) return { groups, scales, zeros };
  const repeat = (values: Float32Array): Float32Array =>
    Float32Array.from({ length: values.length * times }, (_, i) => values[Math.floor(i / times)] as number);
  return { groups: groups * times, scales: repeat(scales), zeros: zeros && repeat(zeros) };
}

/** X.zero, [groups, outputs]. */
async function readZero(
  parts: readonly QuantizedPart<Int4Tensor>[],
  groups: number,
  outputs: number,
  groupSize: number,
): Promise<Float32Array> {
  const zero = new Float32Array(groups * outputs);
  let firstOutput = 0;
  for (const { tensor, firstRow, rows } of parts) {
    const { scales, zeros } = await groupsOf(tensor, groupSize);
    for (let row = 0; zeros && row < rows; row++) {
      for (let group = 0; group < groups; group++) {
        const at = (firstRow + row) * groups + group;
        zero[group * outputs + firstOutput + row] = (zeros[at] as number) * (scales[at] as number);
      }
    }
    firstOutput += rows;
  }
  return zero;
}

function planFp8(
  module: string,
  parts: readonly QuantizedPart<Fp8Tensor>[],
  algo: 'FP8' | 'FP8_PER_CHANNEL_PER_TOKEN',
): PlannedTensor[] {
  const [first] = parts as [QuantizedPart<Fp8Tensor>];
  const outputs = parts.reduce((sum, { rows }) => sum + rows, 0);
  const shape = [outputs, first.tensor.quantized.inputs];
  const weight: PlannedTensor = { name: `${module}.weight`, shape, type: 'F8_E4M3', parts };
  const float32 = (name: string, ...values: number[]): PlannedTensor => {
    const tensor = floats(first.tensor, [values.length], async () => Float32Array.from(values));
    return { name: `${module}.${name}`, shape: [values.length], type: 'float32', parts: [whole(tensor)] };
  };
  if (algo === 'FP8') {
    const inputScales = parts.map(({ tensor }) => tensor.quantized.inputScale ?? 1);
    return [
      weight,
      float32('weights_scaling_factor', first.tensor.quantized.scales[0] as number),
      float32('activation_scaling_factor', Math.max(...inputScales)),
    ];
  }
  const scales = parts.flatMap(({ tensor: { quantized }, firstRow, rows }) =>
    Array.from(
      { length: rows },
      (_, row) => quantized.scales[quantized.scales.length === 1 ? 0 : firstRow + row] as number,
    ),
  );
  return [weight, float32('per_channel_scale', ...scales)];
}

export const whole = (tensor: SourceTensor): PlannedPart => ({
  tensor,
  firstRow: 0,
  rows: tensor.shape.length === 1 ? 1 : (tensor.shape[0] ?? 1),
  columns: tensor.shape.at(-1) ?? 1,
});

export const computed = (
  tensor: SourceTensor,
  shape: readonly number[],
  readRows: SourceTensor['readRows'],
): SourceTensor => ({ shape, file: tensor.file, type: undefined, readRows, release: () => tensor.release?.() });

/** A tensor of float values that are read as a whole. */
export const floats = (
  tensor: SourceTensor,
  shape: readonly number[],
  read: () => Promise<Float32Array>,
): SourceTensor =>
  computed(tensor, shape, async (first, count, dtype = 'float32') => {
    const columns = shape.at(-1) ?? 1;
    return convertValues((await read()).subarray(first * columns, (first + count) * columns), dtype, tensor.file);
  });
