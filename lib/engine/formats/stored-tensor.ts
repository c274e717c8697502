import { LLMError } from '../../base/errors.js';
import type { Dtype } from '../directory/checkpoint-config.js';
import { BYTES_PER_VALUE, decodeValues } from './numeric.js';
import { dtypeOfName, type SafetensorsEntry, type SafetensorsFile } from './safetensors.js';
import { convertBytes, type FilePlace, readExactly, type SourceTensor } from './source.js';

/** A tensor of a safetensors file, of any type. */
export class StoredTensor implements SourceTensor {
  constructor(
    readonly name: string,
    private readonly safetensors: SafetensorsFile,
    readonly entry: SafetensorsEntry,
  ) {}

  get shape(): readonly number[] {
    return this.entry.shape;
  }

  get file(): string {
    return this.safetensors.path;
  }

  get type(): Dtype | undefined {
    return dtypeOfName(this.entry.dtype);
  }

  async readRows(first: number, count: number, dtype?: Dtype): Promise<Uint8Array> {
    const { type } = this;
    if (!type) {
      throw new LLMError(
        'ERR_MODEL_UNSUPPORTED',
        `${this.file}: ${this.name} is ${this.entry.dtype}; expected F32, F16 or BF16. Use another checkpoint of the model.`,
      );
    }
    const rowBytes = (this.shape.at(-1) ?? 1) * BYTES_PER_VALUE[type];
    const bytes = await this.read(first * rowBytes, count * rowBytes);
    return convertBytes(bytes, type, dtype ?? type, `${this.file}: ${this.name}`);
  }

  placeOfRows(first: number, count: number, dtype = this.type): FilePlace | undefined {
    if (dtype === undefined || dtype !== this.type) return undefined;
    const rowBytes = (this.shape.at(-1) ?? 1) * BYTES_PER_VALUE[dtype];
    const { handle, path: file } = this.safetensors;
    return { handle, file, position: this.entry.position + first * rowBytes, bytes: count * rowBytes };
  }

  /** Bytes of the tensor; from the start of their buffer. */
  read(position = 0, length = this.entry.bytes - position): Promise<Uint8Array> {
    return readExactly(this.safetensors.handle, this.file, this.entry.position + position, length);
  }

  /** Rows of 32-bit words. */
  async readWords(first: number, count: number): Promise<Uint32Array> {
    const rowBytes = (this.shape.at(-1) ?? 1) * 4;
    return new Uint32Array((await this.read(first * rowBytes, count * rowBytes)).buffer);
  }

  /** All values of a tensor of floats, which must be finite. */
  async readFloats(): Promise<Float32Array> {
    if (!this.type) throw this.error(`is ${this.entry.dtype}`, 'F32, F16 or BF16');
    const values = decodeValues(await this.read(), this.type);
    const wrong = values.find((value) => !Number.isFinite(value));
    if (wrong !== undefined) throw this.error(`holds ${wrong}`, 'finite numbers');
    return values;
  }

  /** The value of a tensor that has one. */
  async readFloat(): Promise<number> {
    const [value, ...more] = await this.readFloats();
    if (value !== undefined && more.length === 0) return value;
    throw this.error(`has the shape [${this.shape.join(', ')}]`, 'one value');
  }

  /** Of a tensor that is a matrix. */
  matrixShape(): readonly [rows: number, columns: number] {
    const [rows, columns, ...more] = this.shape;
    if (rows && columns && more.length === 0) return [rows, columns];
    throw this.error(`has the shape [${this.shape.join(', ')}]`, 'a matrix');
  }

  /** Throws unless the tensor has one of these types and this shape. */
  check(dtypes: readonly string[], shape: readonly number[]): void {
    if (!dtypes.includes(this.entry.dtype)) throw this.error(`is ${this.entry.dtype}`, dtypes.join(' or '));
    if (this.shape.join() === shape.join()) return;
    throw this.error(`has the shape [${this.shape.join(', ')}]`, `[${shape.join(', ')}], by the tensors beside it`);
  }

  error(found: string, expected: string): LLMError {
    const fix = 'The file is damaged, or of another kind than its config says.';
    return new LLMError('ERR_SOURCE_INVALID', `${this.file}: ${this.name} ${found}; expected ${expected}. ${fix}`);
  }
}

/** What lies beside a quantized matrix, under the name of its module. */
export class Beside {
  constructor(
    private readonly module: string,
    private readonly weight: StoredTensor,
    private readonly stored: ReadonlyMap<string, StoredTensor>,
    /** Gets the names that belong to quantized matrices. */
    private readonly used: Set<string>,
  ) {
    used.add(weight.name);
  }

  /** The first of these that there is. */
  find(...names: readonly string[]): StoredTensor | undefined {
    for (const name of names) {
      const tensor = this.stored.get(`${this.module}.${name}`);
      if (!tensor) continue;
      this.used.add(tensor.name);
      return tensor;
    }
    return undefined;
  }

  need(...names: readonly string[]): StoredTensor {
    const tensor = this.find(...names);
    if (tensor) return tensor;
    throw this.weight.error('is quantized', `${this.module}.${names.join(' or ')} beside it`);
  }
}
