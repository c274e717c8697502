import type { ErrorCode } from '#lib/base/errors.js';
import type { Random } from './random.js';

/** What lies in a directory, by name. */
export type Files = Readonly<Record<string, Buffer>>;

export interface Input {
  readonly valid: Files;
  damaged(random: Random): Files;
}

export interface Reader {
  /** What it may throw: what its docstring says. */
  readonly codes: readonly ErrorCode[];
  /** Memory it may take beyond what others before it did, in MiB. Default: 64. */
  readonly maxGrowthMiB?: number;
  prepare(): Promise<Input>;
  /** Reads the files in `dir`, and asserts what holds for all that was read. */
  read(dir: string): Promise<void>;
}
