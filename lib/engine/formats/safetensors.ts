import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { endOfString, isJsonObject, type JsonFields, parseJsonObject } from '../../base/json.js';
import type { Dtype } from '../directory/checkpoint-config.js';
import type { FileFacts } from '../directory/manifest.js';
import { openSource, readExactly } from './source.js';

// Format: https://github.com/huggingface/safetensors#format. A header's length as uint64, the header in JSON, the values.
// The bounds are far above what files of weights have; a header in memory takes several times its bytes in the file.
const MAX_HEADER_BYTES = 32 << 20;
const MAX_TENSORS = 100_000;
const MAX_VALUES = 10_000; // of a field: a tensor's sizes, or a file's own notes
const SLICE_MS = 5; // of the event loop at a time
const METADATA = '__metadata__';
const BYTES_PER_ELEMENT: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};
export const NAME_OF_DTYPE: Readonly<Record<Dtype, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

export const dtypeOfName = (name: string): Dtype | undefined =>
  (Object.keys(NAME_OF_DTYPE) as Dtype[]).find((dtype) => NAME_OF_DTYPE[dtype] === name);

export interface SafetensorsEntry {
  /** By the format's names, such as `BF16`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Position in the file, and length, in bytes. */
  readonly position: number;
  readonly bytes: number;
}

/** An open safetensors file whose header has been checked; the values are read piece by piece. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    readonly entries: ReadonlyMap<string, SafetensorsEntry>,
    /** The file's own notes. */
    readonly metadata: ReadonlyMap<string, string>,
    readonly handle: FileHandle,
  ) {}

  /**
   * @throws {LLMError} `ERR_SOURCE_INVALID` for any header that the format forbids, `ERR_MODEL_UNSUPPORTED` for an unknown
   *   dtype, each naming the tensor; `ERR_SOURCE_NOT_FOUND`.
   */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await openSource(path);
    try {
      const { entries, metadata } = await readHeader(handle, path);
      return new SafetensorsFile(path, entries, metadata, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

const FIX = 'The file is damaged or not a safetensors file. Copy or download it again.';
const invalid = (path: string, found: string): LLMError =>
  new LLMError('ERR_SOURCE_INVALID', `${path}: ${found}. ${FIX}`);

async function readHeader(handle: FileHandle, path: string): Promise<Pick<SafetensorsFile, 'entries' | 'metadata'>> {
  const { size } = await handle.stat();
  if (size < 8) throw invalid(path, `the file has ${size} bytes; expected a header's length in the first 8`);
  const length = Buffer.from(await readExactly(handle, path, 0, 8)).readBigUInt64LE();
  const limit = Math.min(MAX_HEADER_BYTES, size - 8);
  if (length > BigInt(limit)) throw invalid(path, `the header's length is ${length}; expected at most ${limit} bytes`);
  const bytes = await readExactly(handle, path, 8, Number(length));
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(path, 'the header is not UTF-8');
  }
  const dataStart = 8 + Number(length);
  const entries: [name: string, entry: SafetensorsEntry][] = [];
  let metadata = new Map<string, string>();
  let sliceEnd = performance.now() + SLICE_MS;
  for (const field of fieldsOf(text, path)) {
    const [name] = Object.keys(field.object) as [string];
    if (name === METADATA) metadata = readMetadata(field);
    else entries.push([name, checkEntry(field, name, dataStart)]);
    if (entries.length > MAX_TENSORS) throw invalid(path, `the header has more than ${MAX_TENSORS} tensors`);
    if (performance.now() < sliceEnd) continue;
    await setImmediate();
    sliceEnd = performance.now() + SLICE_MS;
  }
  checkPlaces(entries, path, { dataStart, fileSize: size });
  return { entries: new Map(entries), metadata };
}

/** The fields of the header, each as an object of its own: parsed as a whole, a long header would hold up the event loop. */
function* fieldsOf(text: string, path: string): Generator<JsonFields> {
  const context = { file: path, code: 'ERR_SOURCE_INVALID', fix: FIX } as const;
  const expect = (at: number, characters: string): string => {
    const char = text[at] ?? 'nothing';
    if (characters.includes(char)) return char;
    throw invalid(path, `the header is not valid JSON: it has ${show(char)} at ${at}; expected one of ${characters}`);
  };
  const names = new Set<string>();
  let at = skipSpace(text, 0);
  if (text[at] !== '{') throw invalid(path, 'the header is not a JSON object');
  at = skipSpace(text, at + 1);
  for (let char = expect(at, '"}'); char !== '}'; ) {
    const nameEnd = endOfString(text, at) + 1;
    const colon = skipSpace(text, nameEnd);
    expect(colon, ':');
    const valueEnd = endOfValue(text, colon + 1, path);
    const field = parseJsonObject(`{${text.slice(at, valueEnd)}}`, context);
    const [name] = Object.keys(field.object) as [string];
    if (names.has(name)) throw invalid(path, `the header has "${name}" twice`);
    names.add(name);
    yield field;
    at = skipSpace(text, valueEnd);
    char = expect(at, ',}');
    if (char === '}') break;
    at = skipSpace(text, at + 1);
    expect(at, '"');
  }
  at = skipSpace(text, at + 1);
  if (at < text.length) throw invalid(path, `the header is not valid JSON: it goes on after its end, at ${at}`);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/**
 * Where a field's value ends: before a comma or a bracket that is not its own. Refuses what `JSON.parse` would not tell or
 * what takes much more memory than text: a name given twice, deep nesting, and many values.
 */
function endOfValue(text: string, start: number, path: string): number {
  const names: Set<string>[] = [];
  let values = 0;
  let lastString = '';
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      const end = endOfString(text, at);
      lastString = text.slice(at, end + 1);
      at = end;
    } else if (char === ':') {
      const name = decodedString(lastString);
      if (names.at(-1)?.has(name)) throw invalid(path, `the header has "${name}" twice`);
      names.at(-1)?.add(name);
    } else if (char === '{' || char === '[') {
      if (names.push(new Set()) > 2) throw invalid(path, 'the header is nested too deep for tensors');
    } else if (char === '}' || char === ']') {
      if (names.length === 0) return at;
      names.pop();
    } else if (char === ',') {
      if (names.length === 0) return at;
      if (++values > MAX_VALUES) throw invalid(path, `a field of the header has more than ${MAX_VALUES} values`);
    }
  }
  return text.length;
}

/** Escapes resolved, so that "a" and "\u0061" are one name; a bad escape is left to JSON.parse of the whole. */
function decodedString(string: string): string {
  try {
    return String(JSON.parse(string));
  } catch {
    return string;
  }
}

/** Checks that the tensors lie one behind the other, up to the end of the file, and sorts them by their places. */
function checkPlaces(
  entries: [name: string, entry: SafetensorsEntry][],
  file: string,
  { dataStart, fileSize }: { dataStart: number; fileSize: number },
): void {
  entries.sort(([, a], [, b]) => a.position - b.position || a.bytes - b.bytes);
  let end = dataStart;
  for (const [name, { position, bytes }] of entries) {
    if (position < end) {
      throw invalid(
        file,
        `tensor ${name} starts at byte ${position - dataStart} of the values, inside the tensor before it`,
      );
    }
    if (position > end) throw invalid(file, `${position - end} bytes before tensor ${name} belong to no tensor`);
    end = position + bytes;
    if (end > fileSize) throw invalid(file, `tensor ${name} ends at byte ${end}, but the file has ${fileSize}`);
  }
  if (end !== fileSize) throw invalid(file, `the tensors end at byte ${end}, but the file has ${fileSize}`);
}

function readMetadata(header: JsonFields): Map<string, string> {
  if (!isJsonObject(header.object[METADATA])) throw header.error(METADATA, 'an object of strings');
  const metadata = header.child(METADATA);
  return new Map(Object.keys(metadata.object).map((name) => [name, metadata.string(name)]));
}

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function checkEntry(header: JsonFields, name: string, dataStart: number): SafetensorsEntry {
  if (!isJsonObject(header.object[name])) throw header.error(name, 'an object with dtype, shape and data_offsets');
  const entry = header.child(name);
  const dtype = entry.string('dtype');
  const { shape, data_offsets: offsets } = entry.object;
  if (!Array.isArray(shape) || !shape.every(isSize)) throw entry.error('shape', 'a list of sizes');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw entry.error('data_offsets', 'two byte positions');
  }
  const [begin, end] = offsets as [number, number];
  const bytesPerElement = Object.hasOwn(BYTES_PER_ELEMENT, dtype) ? BYTES_PER_ELEMENT[dtype] : undefined;
  if (bytesPerElement === undefined) {
    throw entry.error('dtype', `one of ${Object.keys(BYTES_PER_ELEMENT).join(', ')}`, 'ERR_MODEL_UNSUPPORTED');
  }
  const bytes = shape.reduce((product: number, size: number) => product * size, bytesPerElement);
  if (!Number.isSafeInteger(bytes)) throw entry.error('shape', 'a product below 2^53 bytes');
  if (end - begin !== bytes) throw entry.error('data_offsets', `${bytes} bytes, for ${dtype} [${shape.join(', ')}]`);
  return { dtype, shape, position: dataStart + begin, bytes };
}

export interface SafetensorsPlan {
  readonly name: string;
  /** By the format's names. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** SHA-256 of bytes that come one after another; `update` has read them when it returns. */
export interface Sha256 {
  update(bytes: Uint8Array): unknown;
  digest(encoding: 'hex'): string;
}

/** What a safetensors file begins with, and how long it is. */
export interface SafetensorsLayout {
  readonly header: Uint8Array;
  readonly bytes: number;
}

/** The layout of a file of these tensors, with these notes in its header. */
export function layOutFile(
  plan: readonly SafetensorsPlan[],
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  let end = 0;
  const entries = plan.map(({ name, dtype, shape }) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, BYTES_PER_ELEMENT[dtype] ?? 0);
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const fields = {
    ...(Object.keys(metadata).length > 0 && { [METADATA]: metadata }),
    ...Object.fromEntries(entries),
  };
  const json = Buffer.from(JSON.stringify(fields));
  const padded = Math.ceil(json.length / 8) * 8; // values start aligned, so that a reader can map them
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return { header, bytes: header.length + end };
}

/** Writes a safetensors file front to back, so that a tensor need never be in memory as a whole. */
export class SafetensorsWriter {
  #bytes = 0;
  private constructor(
    private readonly handle: FileHandle,
    private readonly hash: Sha256,
  ) {}

  /** Writes the header. The values of all tensors follow by `write`, in the order of the plan. */
  static async create(
    path: string,
    { header }: SafetensorsLayout,
    hash: Sha256 = createHash('sha256'),
  ): Promise<SafetensorsWriter> {
    const handle = await open(path, 'wx');
    try {
      const writer = new SafetensorsWriter(handle, hash);
      await writer.write(header);
      return writer;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const writing = this.#writeAll(bytes);
    this.hash.update(bytes); // while another thread writes them
    await writing;
    this.#bytes += bytes.length;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await this.handle.write(bytes, done, bytes.length - done)).bytesWritten;
    }
  }

  /** Likewise, for a thread that has nothing else to do. */
  writeNow(bytes: Uint8Array): void {
    this.hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.handle.fd, bytes, done, bytes.length - done);
    this.#bytes += bytes.length;
  }

  get bytesWritten(): number {
    return this.#bytes;
  }

  facts(): FileFacts {
    return { bytes: this.#bytes, sha256: this.hash.digest('hex') };
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
