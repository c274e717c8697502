import type { Dtype } from '../directory/checkpoint-config.js';
import type { Quantization } from '../directory/quantization.js';
import { convertValues, type SourceTensor } from './source.js';
import type { Beside, StoredTensor } from './stored-tensor.js';

// Formats: AutoGPTQ's and gptqmodel's qweight, qzeros, scales, g_idx; AutoAWQ's "gemm"; pack-quantized of compressed-tensors; and
// TensorRT-LLM's, into which the others are turned, as `Quantization` describes it.

/** Scales and zero points of an int4 matrix, [outputs, groups]: w = (q + zero) * scale, q from -8 to 7. */
export interface Int4Groups {
  readonly groups: number;
  readonly scales: Float32Array;
  /** 8 less the zero point of unsigned weights; undefined if all are 0. */
  readonly zeros: Float32Array | undefined;
}

/** A matrix [outputs, inputs] of int4, in any of the formats. */
export interface Int4Matrix {
  readonly kind: 'int4';
  /** A multiple of 2. */
  readonly outputs: number;
  /** A multiple of 8. */
  readonly inputs: number;
  /** Inputs that share a scale. */
  readonly groupSize: number;
  /** By input, where the inputs of a group are not neighbors: GPTQ in the order of activations. */
  readonly groupOf: Int32Array | undefined;
  readonly hasZeros: boolean;
  /** The float type of its scales. */
  readonly scaleType: Dtype;
  /** What inputs are multiplied by, [inputs], if they are. */
  readonly inputScales: StoredTensor | undefined;
  /** TensorRT-LLM's X.weight, [outputs / 2, inputs]. */
  pack(): Promise<Uint8Array>;
  readGroups(): Promise<Int4Groups>;
}

export interface Int4Format {
  readonly format: 'gptq' | 'awq' | 'packed';
  /** Inputs; -1: all. */
  readonly groupSize: number;
  /** What is added to a stored zero point. */
  readonly zeroOffset: 0 | 1;
}

const FLOATS = ['F32', 'F16', 'BF16'];

/** Reads what lies beside a matrix; its values are read when they are asked for. */
export async function readInt4(
  weight: StoredTensor,
  beside: Beside,
  { format, groupSize, zeroOffset }: Int4Format,
): Promise<Int4Matrix> {
  const [rows, columns] = weight.matrixShape();
  weight.check(['I32'], [rows, columns]);
  const inputs = format === 'gptq' ? rows * 8 : format === 'awq' ? rows : columns * 8;
  const outputs = format === 'gptq' ? columns : format === 'awq' ? columns * 8 : rows;
  if (inputs % 32 !== 0 || outputs % 8 !== 0) {
    throw weight.error(`has ${inputs} inputs and ${outputs} outputs`, 'multiples of 32 and of 8');
  }
  const size = groupSize === -1 ? inputs : groupSize;
  const groups = Math.ceil(inputs / size);
  const scales = beside.need(format === 'packed' ? 'weight_scale' : 'scales');
  scales.check(FLOATS, format === 'packed' ? [outputs, groups] : [groups, outputs]);
  const zeros =
    format === 'packed'
      ? compressedZeros(beside, outputs, groups)
      : wordZeros(beside, outputs, groups, { format, zeroOffset });
  if (format === 'packed') await checkShape(beside, outputs, inputs);
  const groupOf = await readGroupOf(beside, inputs, size);
  const hasZeros = (await zeros?.areThere()) ?? false;
  const readGroups = async (): Promise<Int4Groups> => {
    const values = await scales.readFloats();
    const byOutput = format === 'packed' ? values : transpose(values, outputs);
    return { groups, scales: byOutput, zeros: hasZeros ? await zeros?.read() : undefined };
  };
  return {
    kind: 'int4',
    outputs,
    inputs,
    groupSize: size,
    groupOf,
    hasZeros,
    scaleType: scales.type ?? 'float32',
    inputScales: undefined,
    pack: () => PACK[format](weight),
    readGroups,
  };
}

/** The same of an engine, whose X.weight is as it is to be. */
export async function readEngineInt4(
  weight: StoredTensor,
  beside: Beside,
  { group_size: groupSize = 128, has_zero_point, pre_quant_scale }: Quantization,
): Promise<Int4Matrix> {
  const [pairs, inputs] = weight.matrixShape();
  const outputs = pairs * 2;
  if (inputs % groupSize !== 0) {
    throw weight.error(`has the shape [${weight.shape.join(', ')}]`, `rows of groups of ${groupSize}`);
  }
  const groups = inputs / groupSize;
  const scales = beside.need('weights_scaling_factor');
  scales.check(FLOATS, [outputs, groups]);
  const zero = has_zero_point ? beside.need('zero') : undefined;
  zero?.check(FLOATS, [groups, outputs]);
  const inputScales = pre_quant_scale ? beside.need('prequant_scaling_factor') : undefined;
  inputScales?.check(FLOATS, [inputs]);
  return {
    kind: 'int4',
    outputs,
    inputs,
    groupSize,
    groupOf: undefined,
    hasZeros: zero !== undefined,
    scaleType: scales.type ?? 'float32',
    inputScales,
    pack: () => weight.read(),
    async readGroups() {
      const values = await scales.readFloats();
      const zeros = zero && transpose(await zero.readFloats(), outputs);
      return {
        groups,
        scales: values,
        zeros: zeros?.map((each, i) => (each === 0 ? 0 : wholeZero(each / (values[i] as number)))),
      };
    },
  };
}

/** X.zero is rounded to the type of the model; zero points are whole numbers, unless another tool made them. */
const wholeZero = (zero: number): number => (Math.abs(zero - Math.round(zero)) < 0.1 ? Math.round(zero) : zero);

/** Zero points beside a matrix. */
interface StoredZeros {
  /** Whether any differs from that of symmetric weights. */
  areThere(): Promise<boolean>;
  /** [outputs, groups]. */
  read(): Promise<Float32Array>;
}

const NO_ZEROS = 0x88888888; // eight values of 8
const differs = (word: number): boolean => word !== NO_ZEROS;

/** GPTQ's and AWQ's qzeros, [groups, outputs / 8]. */
function wordZeros(
  beside: Beside,
  outputs: number,
  groups: number,
  { format, zeroOffset }: Pick<Int4Format, 'format' | 'zeroOffset'>,
): StoredZeros {
  const qzeros = beside.need('qzeros');
  qzeros.check(['I32'], [groups, outputs / 8]);
  const words = async (): Promise<Uint32Array> => {
    const stored = await qzeros.readWords(0, groups);
    // As gptqmodel does it, with what runs over into the next value: what it wrote it gets back.
    return zeroOffset === 0 ? stored : stored.map((word) => word + 0x11111111);
  };
  return {
    areThere: async () => (await words()).some(differs),
    read: async () => transpose(zerosOf(unpackWords(await words(), format === 'awq' ? AWQ_ORDER : IN_ORDER)), outputs),
  };
}

/** compressed-tensors' weight_zero_point, [outputs / 8, groups] of words, or [outputs, groups] of signed bytes. */
function compressedZeros(beside: Beside, outputs: number, groups: number): StoredZeros | undefined {
  const tensor = beside.find('weight_zero_point');
  if (!tensor) return undefined;
  if (tensor.entry.dtype === 'I8') {
    tensor.check(['I8'], [outputs, groups]);
    const read = async (): Promise<Float32Array> =>
      Float32Array.from(new Int8Array((await tensor.read()).buffer), (zero) => -zero);
    return { areThere: async () => (await read()).some((zero) => zero !== 0), read };
  }
  tensor.check(['I32'], [outputs / 8, groups]);
  return {
    areThere: async () => (await tensor.readWords(0, outputs / 8)).some(differs),
    async read() {
      const words = await tensor.readWords(0, outputs / 8);
      const zeros = new Float32Array(outputs * groups);
      for (let output = 0; output < outputs; output++) {
        for (let group = 0; group < groups; group++) {
          const word = words[Math.floor(output / 8) * groups + group] as number;
          zeros[output * groups + group] = 8 - ((word >>> (4 * (output % 8))) & 15);
        }
      }
      return zeros;
    },
  };
}

const zerosOf = (unsigned: Uint8Array): Float32Array => Float32Array.from(unsigned, (zero) => 8 - zero);

async function checkShape(beside: Beside, outputs: number, inputs: number): Promise<void> {
  const tensor = beside.find('weight_shape');
  if (!tensor) return;
  tensor.check(['I64', 'I32'], [2]);
  const bytes = (await tensor.read()).buffer;
  const shape = tensor.entry.dtype === 'I64' ? [...new BigInt64Array(bytes)].map(Number) : [...new Int32Array(bytes)];
  if (shape.join() !== `${outputs},${inputs}`) throw tensor.error(`holds ${shape.join(', ')}`, `${outputs}, ${inputs}`);
}

/** Undefined where the groups are one after the other. */
async function readGroupOf(beside: Beside, inputs: number, size: number): Promise<Int32Array | undefined> {
  const tensor = beside.find('g_idx', 'weight_g_idx');
  if (!tensor) return undefined;
  tensor.check(['I32'], [inputs]);
  const groupOf = new Int32Array((await tensor.read()).buffer);
  const wrong = groupOf.find((group) => group < 0 || group >= Math.ceil(inputs / size));
  if (wrong !== undefined) throw tensor.error(`holds ${wrong}`, `groups from 0 to ${Math.ceil(inputs / size) - 1}`);
  return groupOf.every((group, input) => group === Math.floor(input / size)) ? undefined : groupOf;
}

const WORDS_PER_READ = 1 << 21; // 8 MB

/** Rows of a tensor of words, piece by piece; each piece is a multiple of `step`, as the whole is. */
async function* piecesOf(
  tensor: StoredTensor,
  step: number,
): AsyncGenerator<{ words: Uint32Array; first: number; rows: number }> {
  const [total = 0, columns = 1] = tensor.shape;
  const rowsPerRead = Math.max(1, Math.floor(WORDS_PER_READ / columns / step)) * step;
  for (let first = 0; first < total; first += rowsPerRead) {
    const rows = Math.min(rowsPerRead, total - first);
    yield { words: await tensor.readWords(first, rows), first, rows };
  }
}

// Four bytes at a time. It turns pairs of values from 0 to 15 into two's complement of what is 8 less.
const SIGNS = 0x88888888;

/** The four values in the lower half of a word, each in a byte of its own. */
function spread(word: number): number {
  const pairs = (word | (word << 8)) & 0x00ff00ff;
  return (pairs | (pairs << 4)) & 0x0f0f0f0f;
}

/** Eight inputs of two outputs, each in a word, the first in its lowest bits: eight bytes, from `to` on. */
function packPair(low: number, high: number, packed: Uint32Array, to: number): void {
  packed[to] = (spread(low & 0xffff) | (spread(high & 0xffff) << 4)) ^ SIGNS;
  packed[to + 1] = (spread(low >>> 16) | (spread(high >>> 16) << 4)) ^ SIGNS;
}

/** GPTQ's qweight, [inputs / 8, outputs]: a word has eight inputs of one output. */
async function packGptq(qweight: StoredTensor): Promise<Uint8Array> {
  const [wordRows = 0, outputs = 0] = qweight.shape;
  const packed = new Uint32Array(outputs * wordRows);
  for await (const { words, first, rows } of piecesOf(qweight, 1)) {
    for (let pair = 0; pair < outputs / 2; pair++) {
      let at = pair * 2;
      for (let row = 0; row < rows; row++, at += outputs) {
        packPair(words[at] as number, words[at + 1] as number, packed, (pair * wordRows + first + row) * 2);
      }
    }
  }
  return new Uint8Array(packed.buffer);
}

/** compressed-tensors' weight_packed, [outputs, inputs / 8]: a word has eight inputs of one output. */
async function packCompressed(weight: StoredTensor): Promise<Uint8Array> {
  const [outputs = 0, columns = 0] = weight.shape;
  const packed = new Uint32Array(outputs * columns);
  for await (const { words, first, rows } of piecesOf(weight, 2)) {
    for (let row = 0; row < rows; row += 2) {
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        packPair(
          words[at] as number,
          words[at + columns] as number,
          packed,
          (((first + row) / 2) * columns + column) * 2,
        );
      }
    }
  }
  return new Uint8Array(packed.buffer);
}

/** AWQ's qweight, [inputs, outputs / 8]: of the eight outputs in a word, 0, 2, 4 and 6 are in its lower half, 1, 3, 5 and 7 in its upper. */
async function packAwq(qweight: StoredTensor): Promise<Uint8Array> {
  const [inputs = 0, columns = 0] = qweight.shape;
  const packed = new Uint32Array(columns * inputs);
  const stride = inputs / 4; // of an output pair
  for await (const { words, first, rows } of piecesOf(qweight, 4)) {
    // Few rows at a time: their words stay in the processor's cache while the columns pass by.
    for (let block = 0; block < rows; block += ROWS_PER_BLOCK) {
      const end = Math.min(rows, block + ROWS_PER_BLOCK);
      for (let column = 0; column < columns; column++) {
        let to = column * 4 * stride + (first + block) / 4;
        for (let row = block; row < end; row += 4, to++) {
          const at = row * columns + column;
          const a = pairsOf(words[at] as number);
          const b = pairsOf(words[at + columns] as number);
          const c = pairsOf(words[at + 2 * columns] as number);
          const d = pairsOf(words[at + 3 * columns] as number);
          // Bytes [input, pair] the other way around.
          const ab02 = (a & 0x00ff00ff) | ((b & 0x00ff00ff) << 8);
          const ab13 = ((a >>> 8) & 0x00ff00ff) | (b & 0xff00ff00);
          const cd02 = (c & 0x00ff00ff) | ((d & 0x00ff00ff) << 8);
          const cd13 = ((c >>> 8) & 0x00ff00ff) | (d & 0xff00ff00);
          packed[to] = ((ab02 & 0xffff) | (cd02 << 16)) ^ SIGNS;
          packed[to + stride] = ((ab13 & 0xffff) | (cd13 << 16)) ^ SIGNS;
          packed[to + 2 * stride] = ((ab02 >>> 16) | (cd02 & 0xffff0000)) ^ SIGNS;
          packed[to + 3 * stride] = ((ab13 >>> 16) | (cd13 & 0xffff0000)) ^ SIGNS;
        }
      }
    }
  }
  return new Uint8Array(packed.buffer);
}

/** The four pairs of outputs in a word of AWQ, each in a byte. */
const pairsOf = (word: number): number => spread(word & 0xffff) | (spread(word >>> 16) << 4);

const ROWS_PER_BLOCK = 64;

const PACK = { gptq: packGptq, awq: packAwq, packed: packCompressed } as const;

/** The eight values of each word, one after the other, in the order of `nibbles`. */
function unpackWords(words: Uint32Array, nibbles: readonly number[]): Uint8Array {
  const values = new Uint8Array(words.length * 8);
  for (let i = 0; i < words.length; i++) {
    for (let k = 0; k < 8; k++) values[i * 8 + k] = ((words[i] as number) >>> (4 * (nibbles[k] as number))) & 15;
  }
  return values;
}

const IN_ORDER = [0, 1, 2, 3, 4, 5, 6, 7] as const;
/** Where AWQ has each of the eight outputs of a word. */
const AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7] as const;

/** [rows, columns] the other way around. */
function transpose(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column] as number;
  }
  return turned;
}

/** A quantized matrix as a tensor of the source, whose rows are float: `--dtype` asks for them. */
export class Int4Tensor implements SourceTensor {
  readonly type = undefined;
  #packed: Promise<Uint8Array> | undefined; // while its rows are being read
  #groups: Promise<readonly [Int4Groups, Float32Array | undefined]> | undefined;

  constructor(
    readonly name: string,
    readonly file: string,
    readonly quantized: Int4Matrix,
  ) {}

  get shape(): readonly number[] {
    return [this.quantized.outputs, this.quantized.inputs];
  }

  /** Rows of TensorRT-LLM's X.weight. */
  async readPacked(first: number, count: number): Promise<Uint8Array> {
    const { inputs } = this.quantized;
    this.#packed ??= this.quantized.pack();
    const packed = await this.#packed;
    return packed.subarray(first * inputs, (first + count) * inputs);
  }

  async readRows(first: number, count: number, dtype: Dtype = 'float32'): Promise<Uint8Array> {
    const { inputs, groupSize, groupOf, inputScales } = this.quantized;
    this.#groups ??= Promise.all([this.quantized.readGroups(), inputScales?.readFloats()]);
    const [{ groups, scales, zeros }, factors] = await this.#groups;
    const firstPair = Math.floor(first / 2);
    const packed = await this.readPacked(firstPair, Math.ceil((first + count) / 2) - firstPair);
    const values = new Float32Array(count * inputs);
    for (let row = first; row < first + count; row++) {
      const shift = row % 2 === 0 ? 28 : 24;
      const from = (Math.floor(row / 2) - firstPair) * inputs;
      const to = (row - first) * inputs;
      for (let input = 0; input < inputs; input++) {
        const group = row * groups + (groupOf ? (groupOf[input] as number) : Math.floor(input / groupSize));
        const q = ((packed[from + input] as number) << shift) >> 28;
        values[to + input] = (q + (zeros ? (zeros[group] as number) : 0)) * (scales[group] as number);
      }
      for (let input = 0; factors && input < inputs; input++) {
        values[to + input] = (values[to + input] as number) * (factors[input] as number);
      }
    }
    return convertValues(values, dtype, `${this.file}: ${this.name}`);
  }

  release(): void {
    this.#packed = undefined;
    this.#groups = undefined;
  }
}
