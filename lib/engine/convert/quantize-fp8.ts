import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import { encodeFp8 } from '../formats/fp8-matrix.js';
import { decodeValues } from '../formats/numeric.js';
import type { SourceTensor } from '../formats/source.js';
import type { InputMaxima } from './calibrate.js';
import { type PlannedPart, type PlannedTensor, rowsPerRead } from './planned-tensor.js';
import { computed, floats, whole } from './quantized-plan.js';

export const FP8_LARGEST = 448;

/** Where a layer's maxima have that of a module's inputs. */
const PLACES: Readonly<Record<string, number>> = {
  'attention.qkv': 0,
  'attention.dense': 1,
  'mlp.fc': 2,
  'mlp.gate': 2,
  'mlp.proj': 3,
};

/** Plans to store a layer's matrix in FP8, with one scale for its weights and one for its inputs. */
export function fp8Matrix(
  { module, layer }: { readonly module: string; readonly layer: number },
  { shape, parts }: PlannedTensor,
  model: PretrainedConfig,
  inputMaxima: readonly InputMaxima[] | undefined,
): PlannedTensor[] {
  const place = PLACES[module.split('.').slice(-2).join('.')] ?? -1;
  let scale: Promise<number> | undefined;
  const weightScale = (): Promise<number> => {
    scale ??= largestOf(module, parts, model.head_size).then(scaleOf);
    return scale;
  };
  const weights = parts.map((part): PlannedPart => {
    const { tensor, firstRow, rows, columns } = part;
    const weight = computed(tensor, [rows, columns], async (first, count) => {
      const perUnit = await weightScale();
      const values = decodeValues(await tensor.readRows(firstRow + first, count, 'float32'), 'float32');
      for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / perUnit;
      const bytes = new Uint8Array(values.length);
      encodeFp8(values, bytes);
      return bytes;
    });
    return { tensor: weight, firstRow: 0, rows, columns };
  });
  const factor = (name: string, read: () => Promise<number>): PlannedTensor => {
    const { tensor } = parts[0] as PlannedPart;
    const one = floats(tensor, [1], async () => Float32Array.of(await read()));
    return { name: `${module}.${name}`, shape: [1], type: 'float32', parts: [whole(one)] };
  };
  return [
    { name: `${module}.weight`, shape, type: 'F8_E4M3', parts: weights },
    factor('weights_scaling_factor', weightScale),
    factor('activation_scaling_factor', async () => {
      const most = inputMaxima?.[layer]?.[place];
      if (most === undefined) throw new LLMError('ERR_INTERNAL', `${module} was not calibrated.`);
      return scaleOf(most);
    }),
  ];
}

const scaleOf = (most: number): number => (most === 0 ? 1 : Math.fround(most / FP8_LARGEST));

async function largestOf(module: string, parts: readonly PlannedPart[], headSize: number): Promise<number> {
  let most = 0;
  for (const { tensor, firstRow, rows, columns } of parts) {
    const step = rowsPerRead(columns, headSize);
    for (let row = 0; row < rows; row += step) {
      const bytes = await tensor.readRows(firstRow + row, Math.min(step, rows - row), 'float32');
      most = Math.max(most, largest(decodeValues(bytes, 'float32')));
    }
    tensor.release?.();
    if (!Number.isFinite(most)) throw notFinite(module, tensor);
  }
  return most;
}

/** Without sign; not finite if a value is not. */
export function largest(values: Float32Array): number {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let most = 0;
  for (let i = 0; i < words.length; i++) {
    const size = (words[i] as number) & 0x7fffffff;
    if (size > most) most = size;
  }
  return new Float32Array(Uint32Array.of(most).buffer)[0] as number;
}

export const notFinite = (module: string, { file }: SourceTensor): LLMError =>
  new LLMError(
    'ERR_SOURCE_INVALID',
    `${file} has weights of ${module} that are not finite; expected numbers. Use another checkpoint of the model.`,
  );
