/** Value types of GGUF metadata, by the format's numbers. */
export const GGUF = { UINT8: 0, UINT32: 4, INT32: 5, FLOAT32: 6, BOOL: 7, STRING: 8, ARRAY: 9, UINT64: 10 } as const;

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const string = (text: string): Buffer => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

const f32 = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer);

export type GgufInput = string | boolean | number | { u32: number } | { u64: bigint } | readonly string[] | Int32Array;

/** A metadata value with its type in front; a plain number is a float32. */
export function typed(value: GgufInput): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(GGUF.STRING), string(value)]);
  if (typeof value === 'boolean') return Buffer.concat([u32(GGUF.BOOL), Buffer.of(value ? 1 : 0)]);
  if (typeof value === 'number') return Buffer.concat([u32(GGUF.FLOAT32), f32(value)]);
  if (value instanceof Int32Array) {
    return Buffer.concat([u32(GGUF.ARRAY), u32(GGUF.INT32), u64(value.length), Buffer.from(value.buffer)]);
  }
  if (Array.isArray(value))
    return Buffer.concat([u32(GGUF.ARRAY), u32(GGUF.STRING), u64(value.length), ...value.map(string)]);
  if ('u32' in value) return Buffer.concat([u32(GGUF.UINT32), u32(value.u32)]);
  if ('u64' in value) return Buffer.concat([u32(GGUF.UINT64), u64(value.u64)]);
  throw new TypeError('no GGUF value');
}

export interface GgufTensorInput {
  name: string;
  /** Slowest first. */
  shape: readonly (number | bigint)[];
  type: number;
  data: Uint8Array;
  /** Default: behind the tensor before. */
  offset?: number;
}

/** A whole GGUF file of version 3; `alignment` is what is used, not what is written. */
export function ggufBytes(
  metadata: Record<string, GgufInput>,
  tensors: readonly GgufTensorInput[],
  alignment = 32,
): Buffer {
  const aligned = (length: number): number => Math.ceil(length / alignment) * alignment;
  const padded = (bytes: Uint8Array): Buffer =>
    Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
  const keys = Object.entries(metadata).map(([key, value]) => Buffer.concat([string(key), typed(value)]));
  let end = 0;
  const infos = tensors.map(({ name, shape, type, data, offset = end }) => {
    end = aligned(offset + data.length);
    return Buffer.concat([string(name), u32(shape.length), ...shape.toReversed().map(u64), u32(type), u64(offset)]);
  });
  const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length), ...keys, ...infos]);
  return Buffer.concat([padded(header), ...tensors.map(({ data }) => padded(data))]);
}
