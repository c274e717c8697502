import { LLMError } from '../../base/errors.js';
import type { Dtype } from '../directory/checkpoint-config.js';
import type { Quantization } from '../directory/quantization.js';
import { convertValues, type SourceTensor } from './source.js';
import type { Beside, StoredTensor } from './stored-tensor.js';

/** A matrix [outputs, inputs] of FP8 (E4M3, finite): w = value * scale, of the matrix or of each output. */
export interface Fp8Matrix {
  readonly kind: 'fp8';
  readonly outputs: number;
  readonly inputs: number;
  readonly weight: StoredTensor;
  /** One value, or one for each output. */
  readonly scales: Float32Array;
  /** By which inputs are divided before they are rounded to FP8, if that is the same for all. */
  readonly inputScale: number | undefined;
}

/** Reads the scales beside a matrix; transformers' own FP8 calls them otherwise. */
export async function readFp8(weight: StoredTensor, beside: Beside): Promise<Fp8Matrix> {
  const [outputs, inputs] = weight.matrixShape();
  const scale = beside.need('weight_scale', 'weight_scale_inv');
  const isOne = scale.shape.length === 0 || scale.shape.join() === '1';
  if (!isOne && scale.shape.join() !== `${outputs}` && scale.shape.join() !== `${outputs},1`) {
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${scale.file}: ${scale.name} has the shape [${scale.shape.join(', ')}], scales for blocks of the matrix; expected one for the matrix or for ` +
        `each of its ${outputs} outputs. Convert the model it was made from, or another version of it.`,
    );
  }
  beside.find('input_scale_ub');
  const inputScale = beside.find('input_scale', 'activation_scale');
  return {
    kind: 'fp8',
    outputs,
    inputs,
    weight,
    scales: await scale.readFloats(),
    inputScale: await inputScale?.readFloat(),
  };
}

/** The same of an engine. */
export async function readEngineFp8(
  weight: StoredTensor,
  beside: Beside,
  { quant_algo }: Quantization,
): Promise<Fp8Matrix> {
  const [outputs, inputs] = weight.matrixShape();
  const matrix = { kind: 'fp8', outputs, inputs, weight } as const;
  if (quant_algo === 'FP8') {
    const scale = await beside.need('weights_scaling_factor').readFloat();
    const inputScale = await beside.find('activation_scaling_factor')?.readFloat();
    return { ...matrix, scales: Float32Array.of(scale), inputScale };
  }
  const scales = beside.need('per_channel_scale');
  scales.check(['F32', 'F16', 'BF16'], [outputs]);
  return { ...matrix, scales: await scales.readFloats(), inputScale: undefined };
}

let values: Float32Array | undefined;

/** The value of each of the 256 bytes: a sign, 4 bits of exponent with bias 7, 3 of mantissa; 0x7f and 0xff are NaN. */
export function fp8Values(): Float32Array {
  values ??= Float32Array.from({ length: 256 }, (_, byte) => {
    const sign = byte < 128 ? 1 : -1;
    const exponent = (byte >> 3) & 15;
    const mantissa = byte & 7;
    if (exponent === 15 && mantissa === 7) return Number.NaN;
    return sign * (exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10));
  });
  return values;
}

const near = new Float32Array(1);
const nearWord = new Uint32Array(near.buffer);

/** Rounds to the nearest value that has a byte, ties to even; what is larger than 448 becomes 448. */
export function encodeFp8(floats: Float32Array, bytes: Uint8Array): void {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 24) & 0x80;
    const size = word & 0x7fffffff;
    if (size >= 0x3c800000) {
      // From 2^-6 on: subtract the difference of the exponent biases, 120, and round away 20 bits.
      const byte = (size - 0x3c000000 + 0x7ffff + ((size >>> 20) & 1)) >>> 20;
      bytes[i] = sign | (size > 0x7f800000 ? 0x7f : byte > 0x7e ? 0x7e : byte);
    } else {
      near[0] = Math.abs(floats[i] as number) + 0x4000; // whose last bit is 2^-9, as that of the smallest values
      bytes[i] = sign | ((nearWord[0] as number) & 0xf);
    }
  }
}

/** A quantized matrix as a tensor of the source, whose rows are float: `--dtype` asks for them. */
export class Fp8Tensor implements SourceTensor {
  readonly type = undefined;

  constructor(
    readonly name: string,
    readonly quantized: Fp8Matrix,
  ) {}

  get shape(): readonly number[] {
    return [this.quantized.outputs, this.quantized.inputs];
  }

  get file(): string {
    return this.quantized.weight.file;
  }

  async readRows(first: number, count: number, dtype?: Dtype): Promise<Uint8Array> {
    const { inputs, scales, weight } = this.quantized;
    const bytes = await weight.read(first * inputs, count * inputs);
    if (dtype === undefined) return bytes;
    const table = fp8Values();
    const floats = new Float32Array(bytes.length);
    for (let row = 0; row < count; row++) {
      const scale = scales[scales.length === 1 ? 0 : first + row] as number;
      for (let i = row * inputs; i < (row + 1) * inputs; i++) floats[i] = (table[bytes[i] as number] as number) * scale;
    }
    return convertValues(floats, dtype, `${this.file}: ${this.name}`);
  }
}
