import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toFloat16 } from '#lib/engine/formats/numeric.js';
import { type TinyLlamaSpec, type TinyTensor, tinyLlamaTensors, writeTinyLlama } from './tiny-llama.js';

export interface TypedTensor {
  name: string;
  /** By safetensors' names. */
  dtype: string;
  shape: readonly number[];
  data: ArrayBufferView;
}

export const FORMATS = ['gptq', 'gptq_v2', 'awq', 'packed', 'fp8', 'fp8_channel'] as const;
/** How the matrices of the layers are stored; 'packed' and 'fp8_channel' are of compressed-tensors, 'fp8' is of ModelOpt. */
export type Format = (typeof FORMATS)[number];

export const GROUP = 32;

const CONFIGS: Readonly<Record<Format, object>> = {
  gptq: { quant_method: 'gptq', bits: 4, group_size: GROUP, desc_act: false, sym: false, checkpoint_format: 'gptq' },
  gptq_v2: {
    quant_method: 'gptq',
    bits: 4,
    group_size: GROUP,
    desc_act: false,
    sym: false,
    checkpoint_format: 'gptq_v2',
  },
  awq: { quant_method: 'awq', bits: 4, group_size: GROUP, zero_point: true, version: 'gemm' },
  packed: {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        input_activations: null,
        output_activations: null,
        weights: { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: GROUP, dynamic: false },
      },
    },
    ignore: ['lm_head'],
    kv_cache_scheme: null,
    global_compression_ratio: 1.5,
  },
  fp8: {
    quant_method: 'modelopt',
    quant_algo: 'FP8',
    kv_cache_scheme: { dynamic: false, num_bits: 8, type: 'float' },
    config_groups: {
      group_0: {
        input_activations: { dynamic: false, num_bits: 8, type: 'float' },
        weights: { dynamic: false, num_bits: 8, type: 'float' },
        targets: ['Linear'],
      },
    },
    ignore: ['lm_head'],
    producer: { name: 'modelopt', version: '0.29.0' },
  },
  fp8_channel: {
    quant_method: 'compressed-tensors',
    format: 'float-quantized',
    quantization_status: 'frozen', // as older ones have it, whose weights are compressed all the same
    config_groups: {
      group_0: {
        targets: ['Linear'],
        input_activations: { num_bits: 8, type: 'float', symmetric: true, strategy: 'token', dynamic: true },
        weights: { num_bits: 8, type: 'float', symmetric: true, strategy: 'channel', dynamic: false },
      },
    },
    ignore: ['lm_head'],
  },
};

/** Writes a tiny model as a Hugging Face directory whose layers are quantized, all but the modules that `plain` matches. */
export async function writeTinyQuantized(
  dir: string,
  spec: TinyLlamaSpec,
  format: Format,
  plain?: RegExp,
): Promise<void> {
  await writeTinyLlama(dir, { ...spec, fields: { ...spec.fields, quantization_config: CONFIGS[format] } });
  await writeTyped(join(dir, 'model.safetensors'), quantizedTensors(spec, format, plain));
}

export function quantizedTensors(spec: TinyLlamaSpec, format: Format, plain?: RegExp): TypedTensor[] {
  return tinyLlamaTensors(spec).flatMap((tensor): TypedTensor[] => {
    const { name, shape, data } = tensor;
    const module = /^(model\.layers\..*_proj)\.weight$/.exec(name)?.[1];
    if (module === undefined || plain?.test(module)) return [{ name, dtype: 'F32', shape, data }];
    if (format === 'fp8' || format === 'fp8_channel') return fp8Tensors(module, tensor, format);
    return int4Tensors(module, tensor, format);
  });
}

/** Unsigned codes, [outputs, inputs], with scales and zero points, [outputs, groups]. */
function quantizeInt4({ shape, data }: TinyTensor, symmetric: boolean) {
  const [outputs = 0, inputs = 0] = shape;
  const groups = inputs / GROUP;
  const codes = new Uint8Array(data.length);
  const scales = new Float32Array(outputs * groups);
  const zeros = new Uint8Array(outputs * groups);
  for (let group = 0; group < outputs * groups; group++) {
    const values = data.subarray(group * GROUP, (group + 1) * GROUP);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const scale = symmetric ? Math.max(-low, high) / 7.5 : (high - low) / 15;
    scales[group] = scale;
    const zero = symmetric ? 8 : Math.min(15, Math.max(0, Math.round(-low / scale)));
    zeros[group] = zero;
    for (const [i, value] of values.entries()) {
      codes[group * GROUP + i] = Math.min(15, Math.max(0, Math.round(value / scale) + zero));
    }
  }
  return { outputs, inputs, groups, codes, zeros, scales: toFloat16(scales) };
}

/** Words of eight values each, which `at` gives by their index. */
const words = (count: number, at: (word: number, place: number) => number): Uint32Array =>
  Uint32Array.from({ length: count }, (_, word) => {
    let value = 0;
    for (let place = 7; place >= 0; place--) value = (value << 4) | at(word, place);
    return value >>> 0;
  });

const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

function int4Tensors(
  module: string,
  tensor: TinyTensor,
  format: Exclude<Format, 'fp8' | 'fp8_channel'>,
): TypedTensor[] {
  const { outputs, inputs, groups, codes, zeros, scales } = quantizeInt4(tensor, format === 'packed');
  const code = (output: number, input: number): number => codes[output * inputs + input] as number;
  if (format === 'packed') {
    const packed = words((outputs * inputs) / 8, (word, place) => codes[word * 8 + place] as number);
    return [
      { name: `${module}.weight_packed`, dtype: 'I32', shape: [outputs, inputs / 8], data: packed },
      { name: `${module}.weight_scale`, dtype: 'F16', shape: [outputs, groups], data: scales },
      {
        name: `${module}.weight_shape`,
        dtype: 'I64',
        shape: [2],
        data: BigInt64Array.of(BigInt(outputs), BigInt(inputs)),
      },
    ];
  }
  const turned = Uint16Array.from(scales, (_, i) => scales[(i % outputs) * groups + Math.floor(i / outputs)] as number);
  const place = (i: number): number => (format === 'awq' ? (AWQ_ORDER[i] as number) : i);
  const columns = outputs / 8;
  const qzeros = words(groups * columns, (word, i) => {
    const output = (word % columns) * 8 + place(i);
    return zeros[output * groups + Math.floor(word / columns)] as number;
  });
  const qweight =
    format === 'awq'
      ? words(inputs * columns, (word, i) => code((word % columns) * 8 + place(i), Math.floor(word / columns)))
      : words((inputs / 8) * outputs, (word, i) => code(word % outputs, Math.floor(word / outputs) * 8 + i));
  const stored = format === 'gptq' ? qzeros.map((word) => word - 0x11111111) : qzeros;
  return [
    {
      name: `${module}.qweight`,
      dtype: 'I32',
      shape: format === 'awq' ? [inputs, columns] : [inputs / 8, outputs],
      data: qweight,
    },
    { name: `${module}.qzeros`, dtype: 'I32', shape: [groups, columns], data: stored },
    { name: `${module}.scales`, dtype: 'F16', shape: [groups, outputs], data: turned },
    ...(format === 'gptq'
      ? [
          {
            name: `${module}.g_idx`,
            dtype: 'I32',
            shape: [inputs],
            data: Int32Array.from({ length: inputs }, (_, input) => Math.floor(input / GROUP)),
          },
        ]
      : []),
  ];
}

/** The byte of the nearest value of E4M3, of 256. */
function toFp8(value: number): number {
  const size = Math.min(Math.abs(value), 448);
  const exponent = Math.max(-6, Math.floor(Math.log2(size || 2 ** -9)));
  const eighths = Math.round(size / 2 ** (exponent - 3)); // 16 carries into the exponent
  return (value < 0 ? 128 : 0) | (exponent === -6 && eighths < 8 ? eighths : (exponent + 6) * 8 + eighths);
}

function fp8Tensors(module: string, { shape, data }: TinyTensor, format: 'fp8' | 'fp8_channel'): TypedTensor[] {
  const [outputs = 0, inputs = 0] = shape;
  const most = (values: Float32Array): number => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / 448;
  const scales =
    format === 'fp8'
      ? Float32Array.of(Math.fround(0.004)) // of all, as ModelOpt has one for q, k and v
      : Float32Array.from({ length: outputs }, (_, row) => most(data.subarray(row * inputs, (row + 1) * inputs)));
  const bytes = Uint8Array.from(data, (value, i) =>
    toFp8(value / (scales[format === 'fp8' ? 0 : Math.floor(i / inputs)] as number)),
  );
  return [
    { name: `${module}.weight`, dtype: 'F8_E4M3', shape, data: bytes },
    { name: `${module}.weight_scale`, dtype: 'F32', shape: format === 'fp8' ? [] : [outputs, 1], data: scales },
    ...(format === 'fp8'
      ? [{ name: `${module}.input_scale`, dtype: 'F32', shape: [], data: Float32Array.of(0.01) }]
      : []),
    ...(format === 'fp8' && /self_attn\.[kv]_proj$/.test(module)
      ? [
          {
            name: `${module}.${module.endsWith('k_proj') ? 'k' : 'v'}_scale`,
            dtype: 'F32',
            shape: [],
            data: Float32Array.of(module.endsWith('k_proj') ? 0.5 : 0.25),
          },
        ]
      : []),
  ];
}

export async function writeTyped(path: string, tensors: readonly TypedTensor[]): Promise<void> {
  let end = 0;
  const header = tensors.map(({ name, dtype, shape, data }) => {
    const begin = end;
    end += data.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const text = JSON.stringify(Object.fromEntries(header));
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const data = tensors.map(({ data: view }) => Buffer.from(view.buffer, view.byteOffset, view.byteLength));
  await writeFile(path, Buffer.concat([length, json, ...data]));
}
