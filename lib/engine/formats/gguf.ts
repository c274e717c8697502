import { isUtf8 } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { describeUnread, TENSOR_TYPES } from './gguf-tensors.js';
import { openSource, readExactly } from './source.js';

// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.

type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;
/** Numbers of 64 bits are numbers here too where they are exact, else the file is refused. */
export type GgufValue = number | boolean | string | readonly string[] | NumericArray | readonly GgufValue[];

export interface GgufTensor {
  /** A key of `TENSOR_TYPES`. */
  readonly type: number;
  /** Slowest first, as everywhere else; GGUF itself has them the other way round. */
  readonly shape: readonly number[];
  /** Position in the file, and length, in bytes. */
  readonly position: number;
  readonly bytes: number;
}

/** A tensor as the header describes it, before its place is checked. */
interface Description {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  /** From the start of the values. */
  readonly offset: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

export interface GgufFile extends GgufHeader {
  readonly path: string;
  readonly handle: FileHandle;
}

const FIRST_READ_BYTES = 8 << 20; // holds the metadata of most models
const MAX_HEADER_BYTES = 256 << 20;
const MAX_TENSORS = 100_000;
/** What the metadata may take in memory: values take more there than in a file, and an empty list most of all. */
const MAX_METADATA_BYTES = 128 << 20;
const BYTES_OF_STRING = 40; // beside its characters
const BYTES_OF_LIST = 200;
const SLICE_MS = 5; // of the event loop at a time
const VALUES_PER_LOOK = 256;

/**
 * Opens a GGUF file and checks its header; the caller closes `handle`. No length in the file is believed before it is checked.
 * @throws {LLMError} `ERR_SOURCE_INVALID` for what the format forbids, `ERR_MODEL_UNSUPPORTED` for an unknown tensor type.
 */
export async function openGgufFile(path: string): Promise<GgufFile> {
  const handle = await openSource(path);
  try {
    const { size } = await handle.stat();
    // Only parsing shows where the header ends: read more and parse again until it is complete.
    for (let length = FIRST_READ_BYTES; ; length *= 4) {
      const bytes = await readExactly(handle, path, 0, Math.min(length, size, MAX_HEADER_BYTES));
      const header = await new GgufReader(path, bytes, size).header();
      if (header) return { path, handle, ...header };
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const STRING = 8;
const ARRAY = 9;
const BOOL = 7;
const NUMERIC_ARRAYS = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  [BOOL]: Uint8Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
} as const;
const isNumeric = (type: number): type is keyof typeof NUMERIC_ARRAYS => Object.hasOwn(NUMERIC_ARRAYS, type);

const MAX_NESTING = 4;
const MAX_DIMENSIONS = 4;
/** Thrown if the header is longer than the bytes read so far. */
const NEED_MORE = Symbol('the header goes on');

/** Reads the header. Where it may take long it is a generator, which stops now and then so that others get the event loop. */
class GgufReader {
  #at = 0;
  #bytesLeft = MAX_METADATA_BYTES;
  readonly #view: DataView;

  constructor(
    readonly path: string,
    readonly bytes: Uint8Array,
    readonly fileSize: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The header, or undefined if it is longer than the bytes given. */
  async header(): Promise<GgufHeader | undefined> {
    try {
      const reading = this.#readHeader();
      let sliceEnd = performance.now() + SLICE_MS;
      for (;;) {
        const { done, value } = reading.next();
        if (done) return value;
        if (performance.now() < sliceEnd) continue;
        await setImmediate();
        sliceEnd = performance.now() + SLICE_MS;
      }
    } catch (error) {
      if (error === NEED_MORE) return undefined;
      throw error;
    }
  }

  #invalid(found: string): LLMError {
    return new LLMError(
      'ERR_SOURCE_INVALID',
      `${this.path}: ${found}. The file is damaged or not a GGUF file. Copy or download it again.`,
    );
  }

  *#readHeader(): Generator<void, GgufHeader> {
    if (this.fileSize < 24) throw this.#invalid(`the file has ${this.fileSize} bytes; a GGUF header alone has 24`);
    const magic = this.#take(4, 'the magic number');
    if (String.fromCharCode(...magic) !== 'GGUF') throw this.#invalid('the file does not start with "GGUF"');
    const version = this.#uint32('the version');
    if (version !== 2 && version !== 3) throw this.#unsupportedVersion(version);
    const tensorCount = this.#count('the tensor count', 24);
    if (tensorCount > MAX_TENSORS)
      throw this.#invalid(`it has ${tensorCount} tensors; expected at most ${MAX_TENSORS}`);
    const metadataCount = this.#count('the metadata count', 13);
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < metadataCount; i++) {
      if (i % VALUES_PER_LOOK === 0) yield;
      const key = this.#string(`metadata key ${i}`);
      if (metadata.has(key)) throw this.#invalid(`metadata ${key} occurs twice`);
      metadata.set(key, yield* this.#value(this.#uint32(`the type of ${key}`), key, 0));
      this.#keep(BYTES_OF_LIST);
    }
    const described: Description[] = [];
    for (let i = 0; i < tensorCount; i++) {
      if (i % VALUES_PER_LOOK === 0) yield;
      described.push(this.#tensor(i));
    }
    const alignment = this.#alignment(metadata);
    return { metadata, tensors: this.#place(described, Math.ceil(this.#at / alignment) * alignment, alignment) };
  }

  #unsupportedVersion(version: number): LLMError {
    const found = version === 0x03000000 || version === 0x02000000 ? 'big-endian' : `of version ${version}`;
    return new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${this.path} is a GGUF file ${found}; expected version 2 or 3, little-endian. Convert it with llama.cpp's tools.`,
    );
  }

  #tensor(index: number): Description {
    const name = this.#string(`the name of tensor ${index}`);
    const dimensions = this.#uint32(`the dimensions of ${name}`);
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      throw this.#invalid(`tensor ${name} has ${dimensions} dimensions; expected 1 to ${MAX_DIMENSIONS}`);
    }
    const shape = Array.from({ length: dimensions }, () => this.#uint64(`a dimension of ${name}`)).reverse();
    const type = this.#uint32(`the type of ${name}`);
    return { name, shape, type, offset: this.#uint64(`the offset of ${name}`) };
  }

  /** Checks that the tensors lie apart from each other and inside the file. */
  #place(described: readonly Description[], start: number, alignment: number): Map<string, GgufTensor> {
    const tensors = new Map<string, GgufTensor>();
    let end = 0;
    for (const { name, shape, type, offset } of described.toSorted((a, b) => a.offset - b.offset)) {
      if (tensors.has(name)) throw this.#invalid(`tensor ${name} occurs twice`);
      const bytes = this.#tensorBytes(name, shape, type);
      if (offset % alignment !== 0) {
        throw this.#invalid(`tensor ${name} is at offset ${offset}, not a multiple of the alignment ${alignment}`);
      }
      if (offset < end) {
        throw this.#invalid(`tensor ${name} at offset ${offset} overlaps the one before it, which ends at ${end}`);
      }
      end = offset + bytes;
      if (start + end > this.fileSize) {
        throw this.#invalid(`tensor ${name} ends at byte ${start + end}, but the file has ${this.fileSize}`);
      }
      tensors.set(name, { type, shape, position: start + offset, bytes });
    }
    return tensors;
  }

  #tensorBytes(name: string, shape: readonly number[], type: number): number {
    const format = TENSOR_TYPES.get(type);
    if (!format) {
      throw new LLMError('ERR_MODEL_UNSUPPORTED', `${this.path}: tensor ${name} ${describeUnread(type)}`);
    }
    const columns = shape.at(-1) ?? 1;
    if (columns % format.blockValues !== 0) {
      throw this.#invalid(
        `tensor ${name} has rows of ${columns} values; ${format.name} needs a multiple of ${format.blockValues}`,
      );
    }
    const bytes = shape.reduce((product, size) => product * size, 1 / format.blockValues) * format.blockBytes;
    if (!Number.isSafeInteger(bytes) || bytes === 0) {
      throw this.#invalid(`tensor ${name} has the shape [${shape.join(', ')}]`);
    }
    return bytes;
  }

  #alignment(metadata: ReadonlyMap<string, GgufValue>): number {
    const alignment = metadata.get('general.alignment') ?? 32;
    if (typeof alignment === 'number' && alignment >= 8 && alignment <= 1 << 20 && alignment % 8 === 0) {
      return alignment;
    }
    throw this.#invalid(`general.alignment is ${show(alignment)}; expected a multiple of 8`);
  }

  *#value(type: number, key: string, nesting: number): Generator<void, GgufValue> {
    if (type === STRING) return this.#string(key);
    if (type === ARRAY) return yield* this.#array(key, nesting);
    if (!isNumeric(type)) throw this.#invalid(`${key} has the unknown type ${type}`);
    const value = this.#numbers(type, 1, key)[0];
    if (type === BOOL) return value !== 0;
    if (typeof value === 'number') return value;
    const exact = Number(value);
    if (!Number.isSafeInteger(exact)) throw this.#invalid(`${key} is ${value}; expected a number below 2^53`);
    return exact;
  }

  *#array(key: string, nesting: number): Generator<void, GgufValue> {
    this.#keep(BYTES_OF_LIST);
    const type = this.#uint32(`the element type of ${key}`);
    if (isNumeric(type)) {
      return this.#numbers(type, this.#count(`the length of ${key}`, NUMERIC_ARRAYS[type].BYTES_PER_ELEMENT), key);
    }
    if (nesting === MAX_NESTING) throw this.#invalid(`${key} has arrays nested deeper than ${MAX_NESTING}`);
    if (type !== STRING && type !== ARRAY) throw this.#invalid(`${key} has elements of the unknown type ${type}`);
    const count = this.#count(`the length of ${key}`, type === STRING ? 8 : 12);
    const items: GgufValue[] = [];
    for (let i = 0; i < count; i++) {
      if (i % VALUES_PER_LOOK === 0) yield;
      items.push(type === STRING ? this.#string(key) : yield* this.#array(key, nesting + 1));
    }
    return items;
  }

  /** Counts what a value takes in memory, before it is made. */
  #keep(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft >= 0) return;
    throw this.#invalid(`the metadata takes more than ${MAX_METADATA_BYTES >> 20} MiB of memory`);
  }

  #numbers(type: keyof typeof NUMERIC_ARRAYS, count: number, key: string): NumericArray {
    const NumbersOf = NUMERIC_ARRAYS[type];
    this.#keep(count * NumbersOf.BYTES_PER_ELEMENT);
    const { buffer } = this.#take(count * NumbersOf.BYTES_PER_ELEMENT, key).slice(); // a copy is aligned
    return new NumbersOf(buffer);
  }

  #string(what: string): string {
    const bytes = this.#take(this.#count(`the length of ${what}`, 1), what);
    this.#keep(BYTES_OF_STRING + bytes.length);
    if (!isUtf8(bytes)) throw this.#invalid(`${what} is not UTF-8`);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  }

  /** A count of things of at least `minBytes` each; no more than the rest of the file can hold. */
  #count(what: string, minBytes: number): number {
    const count = this.#uint64(what);
    const left = this.fileSize - this.#at;
    if (count * minBytes > left) throw this.#invalid(`${what} is ${count}, but only ${left} bytes are left`);
    if (count * minBytes > MAX_HEADER_BYTES) throw this.#tooLong();
    return count;
  }

  #uint32(what: string): number {
    const at = this.#at;
    this.#take(4, what);
    return this.#view.getUint32(at, true);
  }

  #uint64(what: string): number {
    const at = this.#at;
    this.#take(8, what);
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#invalid(`${what} is ${value}`);
    return Number(value);
  }

  #take(length: number, what: string): Uint8Array {
    const end = this.#at + length;
    if (end > this.fileSize) throw this.#invalid(`the file ends inside ${what}`);
    if (end > MAX_HEADER_BYTES) throw this.#tooLong();
    if (end > this.bytes.length) throw NEED_MORE;
    const taken = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #tooLong(): LLMError {
    return this.#invalid(`the header is longer than ${MAX_HEADER_BYTES >> 20} MiB`);
  }
}
