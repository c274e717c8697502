import { boolean, check, enumerator, group, integer, MAX_COUNT, type Readers, readAs } from '../base/checks.js';

/** Which requests a step takes. */
export interface SchedulerOptions {
  /**
   * `'max-utilization'`: as many as fit now, of which some may have to wait again later; `'guaranteed-no-evict'`: only what has
   * room up to its end; `'static-batch'`: no more before all of a batch have ended. Default: the executor's:
   * `'max-utilization'` on the CPU, `'guaranteed-no-evict'` on TensorRT-LLM.
   */
  capacityPolicy?: 'max-utilization' | 'guaranteed-no-evict' | 'static-batch' | undefined;
  /** Whose prompt is computed first: that of the oldest request, or all by equal parts. Default: the executor's. */
  chunkingPolicy?: 'first-come-first-served' | 'equal-progress' | undefined;
  /** Tunes the batch size while it runs, by the lengths of prompts and outputs. Default: false. */
  batchSizeTuning?: boolean | undefined;
  /** Tunes the tokens of a step by the same. Default: false. */
  maxNumTokensTuning?: boolean | undefined;
  /** Requests that both of these look back on. Default: 128. */
  movingAverageWindow?: number | undefined;
  /** Pairs of a limit and a batch size: below the limit that the cache has room for, the tuned size is this one. Default: the executor's. */
  batchSizeTable?: readonly (readonly [limit: number, batchSize: number])[] | undefined;
}

const isCount = integer(1, MAX_COUNT).holds;
const isTable = (value: unknown): value is readonly (readonly [number, number])[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isCount));

export const scheduler = group({
  capacityPolicy: enumerator(['max-utilization', 'guaranteed-no-evict', 'static-batch']),
  chunkingPolicy: enumerator(['first-come-first-served', 'equal-progress']),
  batchSizeTuning: boolean(),
  maxNumTokensTuning: boolean(),
  movingAverageWindow: integer(1, MAX_COUNT),
  batchSizeTable: readAs(check('an array of pairs of integers from 1', isTable), (table) =>
    Int32Array.from(table.flat()),
  ),
} satisfies Readers<SchedulerOptions>);
