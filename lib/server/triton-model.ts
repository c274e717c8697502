import type { Duration, ServedModel } from './models.js';
import { INFER_INPUTS, INFER_OUTPUTS } from './triton-infer.js';

/** The only one that a model has. */
export const VERSION = '1';

/** What `infer` takes and gives; the first dimension is that of the batch. */
export function modelMetadata({ name }: ServedModel): object {
  const described = (tensors: Readonly<Record<string, string>>) =>
    Object.entries(tensors).map(([name, datatype]) => ({ name, datatype, shape: [-1, -1] }));
  return {
    name,
    versions: [VERSION],
    platform: 'node-tensorrt-llm',
    inputs: described(INFER_INPUTS),
    outputs: described(INFER_OUTPUTS),
  };
}

/** The same in the form of Triton's model configuration, whose shapes leave out the batch. */
export function modelConfig({ name, llm }: ServedModel): object {
  const described = (tensors: Readonly<Record<string, string>>) =>
    Object.entries(tensors).map(([name, datatype]) => ({
      name,
      data_type: `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`,
      dims: [-1],
    }));
  return {
    name,
    platform: '',
    backend: 'node-tensorrt-llm',
    max_batch_size: llm.info.maxBatchSize,
    input: described(INFER_INPUTS).map((input) => ({ ...input, optional: input.name !== 'prompts' })),
    output: described(INFER_OUTPUTS),
    model_transaction_policy: { decoupled: false },
  };
}

/** Triton's statistics of a model. Those that are not measured have a count of 0. */
export function modelStatistics({ name, llm, succeeded, failed, lastEnd }: ServedModel): object {
  const unmeasured = { count: 0, ns: 0 };
  return {
    name,
    version: VERSION,
    last_inference: lastEnd,
    inference_count: succeeded.count,
    execution_count: llm.stats().steps,
    inference_stats: {
      success: durationStat(succeeded),
      fail: durationStat(failed),
      queue: unmeasured,
      compute_input: unmeasured,
      compute_infer: unmeasured,
      compute_output: unmeasured,
      cache_hit: unmeasured,
      cache_miss: unmeasured,
    },
    response_stats: {},
    batch_stats: [],
    memory_usage: [],
  };
}

const durationStat = ({ count, seconds }: Duration): object => ({ count, ns: Math.round(seconds * 1e9) });
