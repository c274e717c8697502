import { LLMError } from '../../base/errors.js';
import { type JsonFields, parseJsonObject } from '../../base/json.js';
import type { Dtype } from '../directory/checkpoint-config.js';
import { BYTES_PER_VALUE } from './numeric.js';
import { readWhole, type SourceFiles } from './source-files.js';

// Format: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html, as Megatron Core writes it: uncompressed, in C order, and
// with "bfloat16" where NumPy has no name for the type.

/** NumPy's names, and Megatron Core's. */
const DTYPE_OF_NAME: Readonly<Record<string, Dtype>> = { bfloat16: 'bfloat16', '<f2': 'float16', '<f4': 'float32' };
const MAX_METADATA_BYTES = 1 << 20;

/** An array of one to three axes, whose chunk files all exist and have the right size. */
export interface ZarrArray {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** How messages name it. */
  readonly label: string;
  /** `count` rows from row `first` of layer `layer`, all columns, as stored. A missing axis has size 1. */
  readRows(layer: number, first: number, count: number): Promise<Uint8Array>;
}

/** Sizes along the axes layer, row and column. */
type Axes = readonly [number, number, number];

/** Opens the array in the directory `key`. Its axes are rows and columns, or only columns; before them, if `first` says so, layers. */
export async function openZarr(files: SourceFiles, key: string, first: 'layers' | 'rows'): Promise<ZarrArray> {
  const name = `${key}/.zarray`;
  const stacked = first === 'layers';
  const fields = await readMetadata(files, name);
  const dtype = checkEncoding(fields);
  const shape = sizesOf(fields, 'shape');
  const chunkShape = sizesOf(fields, 'chunks');
  if (chunkShape.length !== shape.length) throw fields.error('chunks', `as many sizes as shape, ${shape.length}`);
  const isNested = fields.string('dimension_separator', { fallback: '.' }) === '/';
  const chunkName = (indices: readonly number[]): string => `${key}/${indices.join(isNested ? '/' : '.')}`;
  const bytesPerChunk = chunkShape.reduce((product, size) => product * size, BYTES_PER_VALUE[dtype]);
  if (!Number.isSafeInteger(bytesPerChunk)) throw fields.error('chunks', 'a product below 2^53 bytes');
  await checkChunks(files, fields, { shape, chunkShape, bytesPerChunk, chunkName });

  const axes = stacked ? shape.length : shape.length + 1;
  if (axes < 2 || axes > 3) throw fields.error('shape', stacked ? '2 or 3 sizes' : '1 or 2 sizes');
  const widen = (sizes: readonly number[], filler: number): Axes => {
    const [layer, rest] = stacked ? [sizes[0] as number, sizes.slice(1)] : [filler, sizes];
    return rest.length === 1 ? [layer, filler, rest[0] as number] : [layer, rest[0] as number, rest[1] as number];
  };
  const narrow = ([layer, row, column]: Axes): number[] => [
    ...(stacked ? [layer] : []),
    ...(axes === 3 ? [row] : []),
    column,
  ];
  const [, , columns] = widen(shape, 1);
  const [layersPerChunk, rowsPerChunk, columnsPerChunk] = widen(chunkShape, 1);
  const bytesPerValue = BYTES_PER_VALUE[dtype];

  /** Reads rows that lie in one row of the chunk grid. */
  async function readFromChunks(layer: number, firstRow: number, count: number, out: Uint8Array): Promise<void> {
    const inChunk = (layer % layersPerChunk) * rowsPerChunk + (firstRow % rowsPerChunk);
    const rowBytes = columnsPerChunk * bytesPerValue;
    for (let column = 0; column < columns; column += columnsPerChunk) {
      const indices: Axes = [
        Math.floor(layer / layersPerChunk),
        Math.floor(firstRow / rowsPerChunk),
        Math.floor(column / columnsPerChunk),
      ];
      const bytes = await files.read(chunkName(narrow(indices)), inChunk * rowBytes, count * rowBytes);
      if (columnsPerChunk === columns) {
        out.set(bytes);
        return;
      }
      const used = Math.min(columnsPerChunk, columns - column) * bytesPerValue; // a chunk at the edge has more than the array
      for (let row = 0; row < count; row++) {
        out.set(bytes.subarray(row * rowBytes, row * rowBytes + used), (row * columns + column) * bytesPerValue);
      }
    }
  }

  return {
    shape,
    dtype,
    label: files.label(key),
    async readRows(layer, firstRow, count) {
      const out = new Uint8Array(count * columns * bytesPerValue);
      for (let done = 0; done < count; ) {
        const row = firstRow + done;
        const rows = Math.min(count - done, rowsPerChunk - (row % rowsPerChunk));
        const start = done * columns * bytesPerValue;
        await readFromChunks(layer, row, rows, out.subarray(start, start + rows * columns * bytesPerValue));
        done += rows;
      }
      return out;
    },
  };
}

async function readMetadata(files: SourceFiles, name: string): Promise<JsonFields> {
  const context = {
    file: files.label(name),
    code: 'ERR_SOURCE_INVALID',
    fix: 'Copy the checkpoint again, or save it again with NeMo.',
  } as const;
  const bytes = await readWhole(files, name, MAX_METADATA_BYTES, context.fix);
  return parseJsonObject(bytes.toString('utf8'), context);
}

/** Only what Megatron Core writes. */
function checkEncoding(fields: JsonFields): Dtype {
  fields.oneOf('zarr_format', [2]);
  fields.oneOf('order', ['C']);
  for (const name of ['compressor', 'filters']) {
    const value = fields.object[name];
    if (fields.has(name) && !(Array.isArray(value) && value.length === 0)) {
      throw fields.error(name, 'null: compressed arrays are not read', 'ERR_MODEL_UNSUPPORTED');
    }
  }
  fields.oneOf('dimension_separator', ['.', '/'], { fallback: '.' });
  return DTYPE_OF_NAME[fields.oneOf('dtype', Object.keys(DTYPE_OF_NAME))] as Dtype;
}

function sizesOf(fields: JsonFields, name: string): number[] {
  const value = fields.object[name];
  const isSize = (size: unknown): size is number => Number.isSafeInteger(size) && Number(size) > 0;
  if (Array.isArray(value) && value.length >= 1 && value.length <= 3 && value.every(isSize)) return value;
  throw fields.error(name, 'a list of 1 to 3 sizes above 0');
}

interface ChunkGrid {
  readonly shape: readonly number[];
  readonly chunkShape: readonly number[];
  readonly bytesPerChunk: number;
  chunkName(indices: readonly number[]): string;
}

/** To zarr a missing chunk is full of `fill_value`. Megatron Core writes every chunk, so a missing one is lost. */
async function checkChunks(files: SourceFiles, fields: JsonFields, grid: ChunkGrid): Promise<void> {
  const counts = grid.shape.map((size, axis) => Math.ceil(size / (grid.chunkShape[axis] as number)));
  const total = counts.reduce((product, count) => product * count, 1);
  const { fix } = fields.context;
  for (let chunk = 0; chunk < total; chunk++) {
    let left = chunk;
    const indices = counts.toReversed().map((count) => {
      const index = left % count;
      left = Math.floor(left / count);
      return index;
    });
    const name = grid.chunkName(indices.reverse());
    const shapes = `shape [${grid.shape.join(', ')}] in chunks of [${grid.chunkShape.join(', ')}]`;
    if (!files.names.has(name)) {
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${files.label(name)} is missing; expected ${total} chunks for the ${shapes}. ${fix}`,
      );
    }
    const size = await files.size(name);
    if (size !== grid.bytesPerChunk) {
      throw new LLMError(
        'ERR_SOURCE_INVALID',
        `${files.label(name)} has ${size} bytes; expected ${grid.bytesPerChunk}, for the ${shapes}. ${fix}`,
      );
    }
  }
}
