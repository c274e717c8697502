import * as v from 'valibot';
import { list, MAX_ITEMS, parseFields, readFields } from './body.js';
import { badField, HttpError } from './http-error.js';

/** An output in Triton's protocol, row-major. */
export interface OutputTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: readonly string[] | Float32Array;
}

/** A request in Triton's protocol. */
export interface TensorRequest {
  readonly id: string | undefined;
  /** Elements of the inputs by name, row-major. */
  readonly inputs: ReadonlyMap<string, readonly unknown[]>;
  /** Names of the outputs to give; undefined for all. */
  readonly outputs: ReadonlySet<string> | undefined;
  isBinary(output: string): boolean;
}

const dimension = v.pipe(v.number(), v.integer(), v.minValue(0));
const requestSchema = v.strictObject({
  id: v.optional(v.string()),
  model_name: v.optional(v.string()),
  model_version: v.optional(v.string()),
  parameters: v.optional(v.strictObject({ binary_data_output: v.optional(v.boolean()) })),
  inputs: list(
    v.strictObject({
      name: v.string(),
      datatype: v.string(),
      shape: list(dimension),
      data: v.optional(v.array(v.unknown())),
      parameters: v.optional(v.strictObject({ binary_data_size: v.optional(dimension) })),
    }),
  ),
  outputs: v.optional(
    list(
      v.strictObject({
        name: v.string(),
        parameters: v.optional(v.strictObject({ binary_data: v.optional(v.boolean()) })),
      }),
    ),
  ),
});
type Input = v.InferOutput<typeof requestSchema>['inputs'][number];

/**
 * Reads JSON, which the binary data of inputs may follow.
 * @param jsonBytes size of the JSON; all of the body if it is null.
 * @throws {HttpError} 400 naming what is wrong.
 */
export function readTensors(body: Buffer, jsonBytes: string | null): TensorRequest {
  const size = jsonBytes === null ? body.length : Number(jsonBytes);
  if (!Number.isInteger(size) || size <= 0 || size > body.length) {
    const message = `Inference-Header-Content-Length is ${JSON.stringify(jsonBytes)}; expected the size of the JSON.`;
    throw new HttpError(400, `${message} The body has ${body.length} bytes.`);
  }
  const { id, inputs, outputs, parameters } = readFields(parseFields(body.subarray(0, size)), requestSchema);
  let at = size;
  const read = new Map<string, unknown[]>();
  for (const input of inputs) {
    const { name, parameters: { binary_data_size: bytes } = {} } = input;
    if (bytes !== undefined && at + bytes > body.length) {
      throw badField(name, `has ${bytes} bytes of binary data; the body has ${body.length - at} left.`);
    }
    read.set(name, bytes === undefined ? valuesOf(input) : decode(input, body.subarray(at, at + bytes)));
    at += bytes ?? 0;
  }
  if (at !== body.length) throw new HttpError(400, `The body has ${body.length - at} bytes that belong to no input.`);
  const asked = outputs && new Map(outputs.map((output) => [output.name, output.parameters?.binary_data]));
  return {
    id,
    inputs: read,
    outputs: asked && new Set(asked.keys()),
    isBinary: (output) => asked?.get(output) ?? parameters?.binary_data_output ?? false,
  };
}

/** @throws {HttpError} 400 if there are too many. */
function sizeOf({ name, shape }: Input): number {
  const size = shape.reduce((product, each) => product * each, 1);
  if (size > MAX_ITEMS) throw badField(name, `has ${size} elements; expected at most ${MAX_ITEMS}.`);
  return size;
}

function valuesOf(input: Input): unknown[] {
  const { name, shape } = input;
  if (!input.data) throw badField(name, 'has no data. Add data, or binary_data_size and the bytes.');
  const values = input.data.flat(4); // nested by dimension, or not
  const expected = sizeOf(input);
  if (values.length === expected) return values;
  throw badField(name, `has ${values.length} elements; its shape [${shape.join(', ')}] has ${expected}.`);
}

type Read = (data: Buffer, at: number) => unknown;
const READERS: Readonly<Record<string, readonly [size: number, read: Read]>> = {
  BOOL: [1, (data, at) => data[at] !== 0],
  INT8: [1, (data, at) => data.readInt8(at)],
  INT16: [2, (data, at) => data.readInt16LE(at)],
  INT32: [4, (data, at) => data.readInt32LE(at)],
  INT64: [8, (data, at) => Number(data.readBigInt64LE(at))],
  UINT8: [1, (data, at) => data.readUInt8(at)],
  UINT16: [2, (data, at) => data.readUInt16LE(at)],
  UINT32: [4, (data, at) => data.readUInt32LE(at)],
  UINT64: [8, (data, at) => Number(data.readBigUInt64LE(at))],
  FP32: [4, (data, at) => data.readFloatLE(at)],
  FP64: [8, (data, at) => data.readDoubleLE(at)],
};

function decode(input: Input, data: Buffer): unknown[] {
  const { name, datatype } = input;
  const count = sizeOf(input);
  if (datatype === 'BYTES') return decodeTexts(name, count, data);
  const reader = READERS[datatype];
  if (!reader) {
    const known = [...Object.keys(READERS), 'BYTES'].join(', ');
    throw badField(name, `has the datatype ${JSON.stringify(datatype)}; expected one of ${known}.`);
  }
  const [size, read] = reader;
  if (data.length !== count * size) {
    throw badField(name, `has ${data.length} bytes; expected ${count * size} for its shape.`);
  }
  return Array.from({ length: count }, (_, i) => read(data, i * size));
}

const LENGTH_BYTES = 4;

function decodeTexts(name: string, count: number, data: Buffer): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let at = 0;
  const texts = Array.from({ length: count }, (_, i) => {
    const end = at + LENGTH_BYTES <= data.length ? at + LENGTH_BYTES + data.readUInt32LE(at) : Infinity;
    if (end > data.length) throw badField(name, `ends within element ${i}; expected ${count} elements.`);
    try {
      const text = decoder.decode(data.subarray(at + LENGTH_BYTES, end));
      at = end;
      return text;
    } catch {
      throw badField(name, `is not UTF-8 in element ${i}; expected text.`);
    }
  });
  if (at === data.length) return texts;
  throw badField(name, `has ${data.length - at} bytes after its ${count} elements; expected none.`);
}

/** The answer with `head`'s fields and the tensors, as JSON and, where asked for, binary data after it. */
export function tensorResponse(head: object, tensors: readonly OutputTensor[], request: TensorRequest): Response {
  const pieces: Buffer[] = [];
  const outputs = tensors.map(({ name, shape, data }) => {
    const described = { name, datatype: data instanceof Float32Array ? 'FP32' : 'BYTES', shape };
    if (!request.isBinary(name)) return { ...described, data: [...data] };
    const piece = encode(data);
    pieces.push(piece);
    return { ...described, parameters: { binary_data_size: piece.length } };
  });
  const json = JSON.stringify({ ...head, outputs });
  if (pieces.length === 0) return new Response(json, { headers: { 'content-type': 'application/json' } });
  const start = Buffer.from(json);
  return new Response(Buffer.concat([start, ...pieces]), {
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(start.length),
    },
  });
}

function encode(data: OutputTensor['data']): Buffer {
  if (data instanceof Float32Array) {
    const bytes = Buffer.alloc(data.length * 4);
    for (const [i, value] of data.entries()) bytes.writeFloatLE(value, i * 4);
    return bytes;
  }
  return Buffer.concat(
    data.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
