import { fraction, group, integer, MAX_COUNT, type Readers, record, text } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { Tensor } from '../base/types.js';
import { tensor } from './tensor.js';

/** A LoRA adapter. */
export interface Lora {
  /** Names the adapter to the executor's cache; 0 to 2^53 - 1. */
  id: number;
  /** Its weights, as TensorRT-LLM's converter writes them: `[modules and layers, values]`. Default: those that the cache has under `id`. */
  weights?: Tensor | undefined;
  /** What each row of `weights` is for: `[modules and layers, 3 or 4]`, `'int32'`. Default: none; it goes with `weights`. */
  config?: Tensor | undefined;
}

const adapter = record({ id: integer(0, Number.MAX_SAFE_INTEGER) }, { weights: tensor, config: tensor });

export const lora: typeof adapter = {
  ...adapter,
  read: (given, name) => {
    const read = adapter.read(given, name);
    if ((read.weights === undefined) === (read.config === undefined)) return read;
    const [there, missing] = read.weights ? ['weights', 'config'] : ['config', 'weights'];
    throw new LLMError('ERR_INVALID_OPTION', `${name}.${missing} is missing; expected it beside ${name}.${there}.`);
  },
};

/** The cache of LoRA adapters. */
export interface PeftCacheOptions {
  /** Size of the host's cache: adapters of rank 1 for one module of one layer. Default: by `hostCacheBytes`. */
  hostModuleLayers?: number | undefined;
  /** Size of the device's cache: adapters of the largest rank for one module of one layer. Default: by `deviceCacheFraction`. */
  deviceModuleLayers?: number | undefined;
  /** Rank of adapters that pages of the caches are laid out for. Default: 8. */
  optimalAdapterSize?: number | undefined;
  /** Rank of adapters at most. Default: 64. */
  maxAdapterSize?: number | undefined;
  /** Threads that put weights into the host's cache. Default: 1. */
  putWorkers?: number | undefined;
  /** Threads that bring weights to the device. Default: 1. */
  ensureWorkers?: number | undefined;
  /** CUDA streams that copy weights. Default: 1. */
  copyStreams?: number | undefined;
  /** Pages that the host's cache allocates at once. Default: 24. */
  hostPagesPerBlock?: number | undefined;
  /** Pages that the device's cache allocates at once. Default: 8. */
  devicePagesPerBlock?: number | undefined;
  /** How much of the device's memory that is free once the engine is loaded, 0 to 1. Default: the executor's. */
  deviceCacheFraction?: number | undefined;
  /** Bytes of the host's cache. Default: the executor's. */
  hostCacheBytes?: number | undefined;
  /** A directory of adapters that the load brings into the cache. Default: none. */
  loraPrefetchDir?: string | undefined;
}

const COUNT = integer(0, MAX_COUNT);
const SIZE = integer(1, MAX_COUNT);

export const peftCache = group({
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
