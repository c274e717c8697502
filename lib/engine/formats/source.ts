import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { LLMError, messageOf } from '../../base/errors.js';
import { fixOf } from '../../base/file-errors.js';
import { openFile } from '../../base/files.js';
import type { Dtype, PretrainedConfig, WeightType } from '../directory/checkpoint-config.js';
import { MAX_TOKENIZER_BYTES } from '../directory/generation-config.js';
import type { SourceKind } from '../directory/manifest.js';
import type { BlockType } from '../directory/quantization.js';
import { BLOCKS, decodeBlocks } from './ggml-blocks.js';
import { decodeValues, encodeHalves, encodeValues } from './numeric.js';

/** A checkpoint to convert, in any kind of file. */
export interface SourceCheckpoint {
  readonly kind: SourceKind;
  /** Absolute path of the directory or file. */
  readonly path: string;
  readonly model: LlamaModel;
  /** What the engine computes in and, but for a quantized model, stores its weights in, unless the user says otherwise. */
  readonly dtype: Dtype;
  /** By Hugging Face's names and in its layouts; those of kind 'checkpoint' by TensorRT-LLM's, as in an engine. */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** Why an engine cannot store the quantized weights as they are: a type must be asked for. */
  readonly cannotKeep?: LLMError;
  /** Sentences about what the user should know. */
  readonly warnings?: readonly string[];
  /** Writes the tokenizer, the chat template and the generation config into `dir`. */
  writeTexts(dir: string): Promise<void>;
  close(): Promise<void>;
}

export interface SourceTensor {
  readonly shape: readonly number[];
  /** The file that holds it. */
  readonly file: string;
  /** What its values are stored in; undefined if weights cannot be of the type. */
  readonly type: WeightType | undefined;
  /** `count` rows of a matrix from row `first`, row-major, little-endian; a vector is one row. Without `dtype` as they are stored. */
  readRows(first: number, count: number, dtype?: Dtype): Promise<Uint8Array>;
  /** Where the bytes lie that `readRows` would return; undefined if they lie nowhere, but have to be made. */
  placeOfRows?(first: number, count: number, dtype?: Dtype): FilePlace | undefined;
  /** Gives back the memory of what was kept from one call of `readRows` for the next. */
  release?(): void;
}

/** Bytes of a file. */
export interface FilePlace {
  readonly handle: FileHandle;
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
  /** What counts of each `rowBytes` of it, if not all. */
  readonly columns?: { readonly rowBytes: number; readonly first: number; readonly bytes: number };
}

/** What a source says of a model; the rest of `PretrainedConfig` follows. Without an architecture it is a Llama. */
export type LlamaModel = Pick<
  PretrainedConfig,
  | 'vocab_size'
  | 'hidden_size'
  | 'intermediate_size'
  | 'num_hidden_layers'
  | 'num_attention_heads'
  | 'num_key_value_heads'
  | 'head_size'
  | 'norm_epsilon'
  | 'max_position_embeddings'
  | 'rotary_base'
  | 'rotary_scaling'
  | 'tie_word_embeddings'
> &
  Partial<
    Pick<
      PretrainedConfig,
      | 'architecture'
      | 'attn_bias'
      | 'mlp_bias'
      | 'qk_layernorm'
      | 'sliding_window'
      | 'sliding_window_layers'
      | 'no_rope_layers'
      | 'quantization'
    >
  >;

const TILE_VALUES = 1 << 13; // 32 kB of float32, which stay in a core's cache from one loop to the next

/** Values in another type. What does not fit is an error, never an infinity. */
export function convertValues(values: Float32Array, dtype: Dtype, tensor: string): Uint8Array {
  if (dtype === 'float32') return encodeValues(values, dtype);
  const halves = new Uint16Array(values.length);
  for (let first = 0; first < values.length; first += TILE_VALUES) {
    const end = first + TILE_VALUES;
    convertHalves(values.subarray(first, end), halves.subarray(first, end), dtype, tensor);
  }
  return new Uint8Array(halves.buffer);
}

function convertHalves(
  values: Float32Array,
  halves: Uint16Array,
  dtype: Exclude<Dtype, 'float32'>,
  tensor: string,
): void {
  const overflow = encodeHalves(values, dtype, halves);
  if (overflow === undefined) return;
  const fix = `Convert with dtype ${dtype === 'float16' ? 'bfloat16' : 'float32'}.`;
  throw new LLMError(
    'ERR_MODEL_UNSUPPORTED',
    `${tensor} holds ${overflow}, which is out of range for ${dtype}. ${fix}`,
  );
}

/** Values of whole blocks in another type. */
export function convertBlocks(bytes: Uint8Array, type: BlockType, dtype: Dtype, tensor: string): Uint8Array {
  if (dtype === 'float32') return encodeValues(decodeBlocks(bytes, type), dtype);
  const { values: blockValues, bytes: blockBytes, decode } = BLOCKS[type];
  const count = (bytes.length / blockBytes) * blockValues;
  const halves = new Uint16Array(count);
  const values = new Float32Array(TILE_VALUES);
  for (let first = 0; first < count; first += TILE_VALUES) {
    const end = Math.min(first + TILE_VALUES, count);
    const tile = values.subarray(0, end - first);
    decode(bytes.subarray((first / blockValues) * blockBytes, (end / blockValues) * blockBytes), tile);
    convertHalves(tile, halves.subarray(first, end), dtype, tensor);
  }
  return new Uint8Array(halves.buffer);
}

export const convertBytes = (bytes: Uint8Array, from: Dtype, to: Dtype, tensor: string): Uint8Array =>
  from === to ? bytes : convertValues(decodeValues(bytes, from), to, tensor);

/** Opens a file of weights. A pipe or a device is refused, which might never answer. */
export async function openSource(path: string): Promise<FileHandle> {
  try {
    return await openFile(path);
  } catch (cause) {
    throw new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${path} cannot be opened: ${messageOf(cause)}. ${fixOf(cause, 'Check the path and its permissions.')}`,
      { cause },
    );
  }
}

/** Whether a file of the tokenizer can be copied: a file, and of no absurd size. */
export async function checkText(file: string): Promise<void> {
  const handle = await openSource(file);
  const { size } = await handle.stat().finally(() => handle.close());
  if (size <= MAX_TOKENIZER_BYTES) return;
  const fix = 'Check that it is the right file.';
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${file} has ${size} bytes; expected at most ${MAX_TOKENIZER_BYTES}. ${fix}`,
  );
}

/** Reads exactly `length` bytes into memory of their own. */
export async function readExactly(
  handle: FileHandle,
  file: string,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done).catch((cause: unknown) => {
      throw unreadable(file, cause);
    });
    if (bytesRead === 0) throw becameShorter(file);
    done += bytesRead;
  }
  return bytes;
}

/**
 * Calls `use` with the bytes of a place, piece by piece, in memory that holds the next piece afterwards. It waits for the disk, so it is
 * for a thread that has nothing else to do: there this takes half the processor time of `readExactly`.
 */
export function readInPieces(place: FilePlace, use: (piece: Uint8Array) => void): void {
  const { position, bytes, columns } = place;
  const { rowBytes } = columns ?? { rowBytes: 1 };
  const most = Math.max(1, Math.floor(PIECE_BYTES / rowBytes)) * rowBytes;
  if (memory.length < most) memory = new Uint8Array(most);
  for (let done = 0; done < bytes; done += most) {
    const piece = memory.subarray(0, Math.min(most, bytes - done));
    readNow(place, position + done, piece);
    use(columns ? keepColumns(piece, columns) : piece);
  }
}

function readNow({ handle, file }: FilePlace, position: number, piece: Uint8Array): void {
  for (let done = 0; done < piece.length; ) {
    let length: number;
    try {
      length = readSync(handle.fd, piece, done, piece.length - done, position + done);
    } catch (cause) {
      throw unreadable(file, cause);
    }
    if (length === 0) throw becameShorter(file);
    done += length;
  }
}

/** Moves what counts of each row to the front. */
function keepColumns(rows: Uint8Array, { rowBytes, first, bytes }: NonNullable<FilePlace['columns']>): Uint8Array {
  const count = rows.length / rowBytes;
  for (let row = 0; row < count; row++) {
    const from = row * rowBytes + first;
    rows.copyWithin(row * bytes, from, from + bytes);
  }
  return rows.subarray(0, count * bytes);
}

const PIECE_BYTES = 1 << 18; // stays in a processor's own cache between reading, hashing and writing
let memory = new Uint8Array(0);

const unreadable = (file: string, cause: unknown): LLMError =>
  new LLMError('ERR_SOURCE_INVALID', `${file} cannot be read: ${messageOf(cause)}. Check the disk.`, { cause });

const becameShorter = (file: string): LLMError =>
  new LLMError(
    'ERR_SOURCE_INVALID',
    `${file} became shorter while it was read. Try again when nothing is writing to it.`,
  );
