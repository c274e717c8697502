import { join } from 'node:path';
import { DTYPES, type Dtype, type PretrainedConfig } from '../directory/checkpoint-config.js';
import type { FileFacts } from '../directory/manifest.js';
import { BLOCKS, isBlockType } from '../formats/ggml-blocks.js';
import {
  layOutFile,
  NAME_OF_DTYPE,
  type SafetensorsLayout,
  type SafetensorsPlan,
  SafetensorsWriter,
} from '../formats/safetensors.js';
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
  const layouts = ranks.map(layoutOf);
  const total = layouts.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const [rank, layout] of layouts.entries()) {
    const name = `rank${rank}.safetensors`;
    const hashThread = hasThread && layout.bytes > LARGE_BYTES ? await HashThread.start() : undefined;
    let writer: SafetensorsWriter | undefined;
    try {
      const opened = await SafetensorsWriter.create(join(dir, name), layout, hashThread);
      writer = opened;
      await writeWeights(opened, ranks[rank] ?? [], head_size, hasThread, () => {
        signal?.throwIfAborted();
        onProgress?.({ stage: 'convert', done: before + opened.bytesWritten, total });
      });
      facts[name] = opened.facts();
    } finally {
      await writer?.close();
      await hashThread?.close();
    }
    before += layout.bytes;
  }
  return facts;
}

/** From here on a thread that hashes saves more time than its start takes. */
const LARGE_BYTES = 1 << 27;

function layoutOf(plan: readonly PlannedTensor[]): SafetensorsLayout {
  const blockTypes = plan.flatMap(({ name, type }) => (isBlockType(type) ? [[name, type] as const] : []));
  return layOutFile(plan.map(storedTensor), Object.fromEntries(blockTypes));
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
