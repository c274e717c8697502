import {
  boolean,
  check,
  enumerator,
  group,
  integer,
  integers,
  listOf,
  MAX_COUNT,
  type Readers,
  readAs,
} from '../base/checks.js';
import { packLists } from './token-lists.js';

/** Which requests run in a step. */
export interface SchedulerOptions {
  /**
   * `'max-utilization'` runs as many requests as fit now and may preempt some later; `'guaranteed-no-evict'` runs only
   * requests that fit to their end; `'static-batch'` starts no request until the whole batch has ended. Default: the
   * executor's: `'max-utilization'` on the CPU, `'guaranteed-no-evict'` on TensorRT-LLM.
   */
  capacityPolicy?: 'max-utilization' | 'guaranteed-no-evict' | 'static-batch' | undefined;
  /**
   * Which prompts are computed first: `'first-come-first-served'` takes the oldest, `'equal-progress'` advances all of them
   * equally. Default: the executor's.
   */
  chunkingPolicy?: 'first-come-first-served' | 'equal-progress' | undefined;
  /** Adjust the batch size while running, from the lengths of prompts and outputs. Default: false. */
  batchSizeTuning?: boolean | undefined;
  /** Adjust the number of tokens in a step in the same way. Default: false. */
  maxNumTokensTuning?: boolean | undefined;
  /** Number of past requests that both adjustments look at. Default: 128. */
  movingAverageWindow?: number | undefined;
  /**
   * Pairs of a limit and a batch size; the first pair whose limit is above what the cache has room for gives the batch size.
   * Default: the executor's.
   */
  batchSizeTable?: readonly (readonly [limit: number, batchSize: number])[] | undefined;
}

const limitAndSize = integers(1, MAX_COUNT, 2);
const isPair = (value: unknown): value is readonly [number, number] => Array.isArray(value) && value.length === 2;
const pair = readAs(check('a pair of integers from 1', isPair), (given, name) => limitAndSize.read(given, name));
const table = listOf(pair, 'pairs of integers from 1');

export const scheduler = group({
  capacityPolicy: enumerator(['max-utilization', 'guaranteed-no-evict', 'static-batch']),
  chunkingPolicy: enumerator(['first-come-first-served', 'equal-progress']),
  batchSizeTuning: boolean(),
  maxNumTokensTuning: boolean(),
  movingAverageWindow: integer(1, MAX_COUNT),
  batchSizeTable: readAs(table, (given, name) => packLists(table.read(given, name)).tokens),
} satisfies Readers<SchedulerOptions>);
