import { fraction, integer, invalidOption, MAX_COUNT, type Readers, record, text } from '../base/checks.js';
import type { Tensor } from '../base/types.js';
import { tensor } from './tensor.js';

/** A LoRA adapter. */
export interface Lora {
  /** Identifies the adapter in the executor's cache; 0 to 2^53 - 1. */
  id: number;
  /** The weights, in the format of TensorRT-LLM's converter: `[modules and layers, values]`. Default: those cached under `id`. */
  weights?: Tensor | undefined;
  /** What each row of `weights` belongs to: `[modules and layers, 3 or 4]`, `'int32'`. Default: none; required with `weights`. */
  config?: Tensor | undefined;
}

const adapter = record({ id: integer(0, Number.MAX_SAFE_INTEGER) }, { weights: tensor, config: tensor });

export const lora: typeof adapter = {
  ...adapter,
  read: (given, name) => {
    const read = adapter.read(given, name);
    if ((read.weights === undefined) === (read.config === undefined)) return read;
    const [there, missing] = read.weights ? ['weights', 'config'] : ['config', 'weights'];
    throw invalidOption(`${name}.${missing}`, `is missing; expected it with ${name}.${there}.`);
  },
};

/** The cache of LoRA adapters. */
export interface PeftCacheOptions {
  /** Size of the host cache, as a number of adapters of rank 1 for one module of one layer. Default: from `hostCacheBytes`. */
  hostModuleLayers?: number | undefined;
  /**
   * Size of the device cache, as a number of adapters of the maximum rank for one module of one layer. Default: from
   * `deviceCacheFraction`.
   */
  deviceModuleLayers?: number | undefined;
  /** Adapter rank that the cache pages are laid out for. Default: 8. */
  optimalAdapterSize?: number | undefined;
  /** Maximum adapter rank. Default: 64. */
  maxAdapterSize?: number | undefined;
  /** Threads that copy weights into the host cache. Default: 1. */
  putWorkers?: number | undefined;
  /** Threads that copy weights to the device. Default: 1. */
  ensureWorkers?: number | undefined;
  /** CUDA streams that copy weights. Default: 1. */
  copyStreams?: number | undefined;
  /** Pages that the host cache allocates at a time. Default: 24. */
  hostPagesPerBlock?: number | undefined;
  /** Pages that the device cache allocates at a time. Default: 8. */
  devicePagesPerBlock?: number | undefined;
  /** Fraction of the device memory that is free once the engine is loaded, 0 to 1. Default: the executor's. */
  deviceCacheFraction?: number | undefined;
  /** Size of the host cache in bytes. Default: the executor's. */
  hostCacheBytes?: number | undefined;
  /** Directory of adapters to put into the cache at load. Default: none. */
  loraPrefetchDir?: string | undefined;
}

const COUNT = integer(0, MAX_COUNT);
const SIZE = integer(1, MAX_COUNT);

/** Without an option it asks for the cache all the same, with the defaults. */
export const peftCache = record({}, {
  hostModuleLayers: COUNT,
  deviceModuleLayers: COUNT,
  optimalAdapterSize: SIZE,
  maxAdapterSize: SIZE,
  putWorkers: SIZE,
  ensureWorkers: SIZE,
  copyStreams: SIZE,
  hostPagesPerBlock: SIZE,
  devicePagesPerBlock: SIZE,
  deviceCacheFraction: fraction(),
  hostCacheBytes: integer(0, Number.MAX_SAFE_INTEGER),
  loraPrefetchDir: text(),
} satisfies Readers<PeftCacheOptions>);
