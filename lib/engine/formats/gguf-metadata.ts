import { show } from '../../base/checks.js';
import { type ErrorCode, LLMError } from '../../base/errors.js';
import type { GgufFile } from './gguf.js';

/** The metadata of a GGUF file, read key by key; what has the wrong type is an error naming file and key. */
export class GgufMetadata {
  constructor(private readonly gguf: Pick<GgufFile, 'path' | 'metadata'>) {}

  error(key: string, expected: string, code: ErrorCode = 'ERR_SOURCE_INVALID'): LLMError {
    const value = this.gguf.metadata.get(key);
    const found = value === undefined ? 'missing' : show(value);
    return new LLMError(
      code,
      `${this.gguf.path}: ${key} is ${found}; expected ${expected}. Use another GGUF of the model.`,
    );
  }

  has(key: string): boolean {
    return this.gguf.metadata.has(key);
  }

  keys(): IterableIterator<string> {
    return this.gguf.metadata.keys();
  }

  integer(key: string, { min = 0, fallback }: { min?: number; fallback?: number } = {}): number {
    const value = this.gguf.metadata.get(key) ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value < 2 ** 31) return value;
    throw this.error(key, `an integer from ${min}`);
  }

  /** A float32 above 0, as the decimal number its author wrote. */
  positive(key: string, { fallback }: { fallback?: number } = {}): number {
    const value = this.gguf.metadata.get(key) ?? fallback;
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return shortestFloat32(value);
    throw this.error(key, 'a number above 0');
  }

  boolean(key: string, { fallback }: { fallback: boolean }): boolean {
    const value = this.gguf.metadata.get(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.error(key, 'true or false');
  }

  string(key: string): string | undefined {
    const value = this.gguf.metadata.get(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.error(key, 'a string');
  }

  strings(key: string): readonly string[] {
    const value = this.gguf.metadata.get(key);
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
    throw this.error(key, 'an array of strings');
  }

  integers(key: string): Int32Array | Uint32Array {
    const value = this.gguf.metadata.get(key);
    if (value instanceof Int32Array || value instanceof Uint32Array) return value;
    throw this.error(key, 'an array of 32-bit integers');
  }

  numbers(key: string): Float32Array | Int32Array {
    const value = this.gguf.metadata.get(key);
    const isNumbers = value instanceof Float32Array || value instanceof Int32Array;
    if (isNumbers && value.every(Number.isFinite)) return value;
    throw this.error(key, 'an array of 32-bit numbers');
  }
}

/** The shortest decimal that is the same float32: 9.999999747378752e-6 was 1e-5 when it was written. */
function shortestFloat32(value: number): number {
  const digits = [6, 7, 8, 9].find((count) => Math.fround(Number(value.toPrecision(count))) === value);
  return digits === undefined ? value : Number(value.toPrecision(digits));
}
