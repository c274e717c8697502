import { join } from 'node:path';
import { DTYPES, type Dtype, type PretrainedConfig } from '../directory/checkpoint-config.js';
import type { FileFacts } from '../directory/manifest.js';
import { BLOCKS, isBlockType } from '../formats/ggml-blocks.js';
import { NAME_OF_DTYPE, type SafetensorsPlan, SafetensorsWriter } from '../formats/safetensors.js';
import { type FilePlace, readInPieces } from '../formats/source.js';
import type { ConversionEvents } from './conversion-thread.js';
import { HashThread } from './hash-thread.js';
import { type PlannedPart, type PlannedTensor, rowsPerRead } from './planned-tensor.js';

/** How a tensor stands in the file of weights; `Quantization` says how a quantized one does. */
function storedTensor({ name, shape, type }: PlannedTensor): SafetensorsPlan {
  if (isDtype(type)) return { name, dtype: NAME_OF_DTYPE[type], shape };
  if (!isBlockType(type)) return { name, dtype: type, shape };
  const { values, bytes } = BLOCKS[type];
  return { name, dtype: 'U8', shape: shape.with(-1, ((shape.at(-1) ?? 0) / values) * bytes) };
}

/**
 * Writes the file of each rank, and returns their facts by name.
 * @param hasThread whether it may wait for the disk, because the thread does nothing else.
 */
export async function writeRanks(
  dir: string,
  ranks: readonly (readonly PlannedTensor[])[],
  { head_size }: PretrainedConfig,
  hasThread: boolean,
  { signal, onProgress }: ConversionEvents,
): Promise<Record<string, FileFacts>> {
  const facts: Record<string, FileFacts> = {};
  const writers: SafetensorsWriter[] = [];
  const sum = (part: (writer: SafetensorsWriter) => number): number =>
    writers.reduce((total, writer) => total + part(writer), 0);
  const [only = [], ...others] = ranks;
  const isLarge = others.length === 0 && valuesIn(only) > LARGE_VALUES;
  const hashThread = hasThread && isLarge ? await HashThread.start() : undefined;
  try {
    for (const [rank, plan] of ranks.entries()) {
      writers.push(await createWriter(join(dir, `rank${rank}.safetensors`), plan, hashThread));
    }
    const total = sum(({ bytesPlanned }) => bytesPlanned);
    for (const [rank, writer] of writers.entries()) {
      await writeWeights(writer, ranks[rank] ?? [], head_size, hasThread, () => {
        signal?.throwIfAborted();
        onProgress?.({ stage: 'convert', done: sum(({ bytesWritten }) => bytesWritten), total });
      });
      facts[`rank${rank}.safetensors`] = writer.facts();
    }
  } finally {
    for (const writer of writers) await writer.close();
    await hashThread?.close();
  }
  return facts;
}

/** From here on a thread that hashes saves more time than its start takes. */
const LARGE_VALUES = 1 << 26;

const valuesIn = (plan: readonly PlannedTensor[]): number =>
  plan.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);

function createWriter(
  file: string,
  plan: readonly PlannedTensor[],
  hash: HashThread | undefined,
): Promise<SafetensorsWriter> {
  const blockTypes = plan.flatMap(({ name, type }) => (isBlockType(type) ? [[name, type] as const] : []));
  return SafetensorsWriter.create(file, plan.map(storedTensor), Object.fromEntries(blockTypes), hash);
}

async function writeWeights(
  writer: SafetensorsWriter,
  plan: readonly PlannedTensor[],
  headSize: number,
  hasThread: boolean,
  onPiece: () => void,
): Promise<void> {
  for (const { type, parts } of plan) {
    const dtype = isDtype(type) ? type : undefined;
    for (const part of parts) {
      const place = hasThread ? part.tensor.placeOfRows?.(part.firstRow, part.rows, dtype) : undefined;
      if (place) copyBytes(place, writer, onPiece);
      else await copyRows(part, dtype, headSize, writer, onPiece);
      part.tensor.release?.();
    }
  }
}

const BYTES_BETWEEN_PIECES = 1 << 23;

function copyBytes(place: FilePlace, writer: SafetensorsWriter, onPiece: () => void): void {
  let next = writer.bytesWritten + BYTES_BETWEEN_PIECES;
  readInPieces(place, (piece) => {
    writer.writeNow(piece);
    if (writer.bytesWritten < next) return;
    next += BYTES_BETWEEN_PIECES;
    onPiece();
  });
  onPiece();
}

async function copyRows(
  { tensor, firstRow, rows, columns }: PlannedPart,
  dtype: Dtype | undefined,
  headSize: number,
  writer: SafetensorsWriter,
  onPiece: () => void,
): Promise<void> {
  const step = rowsPerRead(columns, headSize);
  const read = (row: number): Promise<Uint8Array> | undefined => {
    if (row >= rows) return undefined;
    const reading = tensor.readRows(firstRow + row, Math.min(step, rows - row), dtype);
    reading.catch(() => {}); // nobody awaits it if a write fails
    return reading;
  };
  let reading = read(0);
  for (let row = step; reading; row += step) {
    const bytes = await reading;
    reading = read(row); // the next piece is read while this one is hashed and written
    await writer.write(bytes);
    onPiece();
  }
}

const isDtype = (type: PlannedTensor['type']): type is Dtype =>
  (DTYPES as readonly PlannedTensor['type'][]).includes(type);
