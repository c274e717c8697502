import type { WeightType } from '../directory/checkpoint-config.js';
import type { SourceTensor } from '../formats/source.js';

/** A tensor of the engine: the rows of one or more tensors of the source, one after another. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** What its values are stored in, by safetensors' names if by none of ours; blocks and bytes are what its parts are stored in. */
  readonly type: WeightType | 'I8' | 'F8_E4M3';
  readonly parts: readonly PlannedPart[];
}

export interface Rows {
  readonly firstRow: number;
  /** A vector is one row, or one column. */
  readonly rows: number;
  readonly columns: number;
}

export interface PlannedPart extends Rows {
  readonly tensor: SourceTensor;
}

const VALUES_PER_READ = 1 << 22; // 16 MB of float32

/** How many rows are read at once: whole heads, because the rows of Q and K trade places within a head in some sources. */
export const rowsPerRead = (columns: number, headSize: number): number =>
  Math.max(1, Math.floor(VALUES_PER_READ / columns / headSize)) * headSize;
