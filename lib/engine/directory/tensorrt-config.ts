import type { JsonFields } from '../../base/json.js';
import type { EngineConfig } from './checkpoint-config.js';

/** What is read of config.json, whatever kind of weights it describes. */
export interface ModelFacts {
  /** As Hugging Face names it: `'LlamaForCausalLM'`. */
  readonly architecture: string;
  readonly vocabSize: number;
  /** Ranks: `tp_size * pp_size * cp_size`. */
  readonly worldSize: number;
  /** Of a checkpoint. */
  readonly config?: EngineConfig;
}

const MAX_RANKS = 1024;

/**
 * Reads `config.json` as trtllm-build writes it. Whether TensorRT-LLM runs such a model, it says itself.
 * @throws {LLMError} `ERR_ENGINE_CONFIG` for a field that is missing or wrong.
 */
export function readTensorRtConfig(config: JsonFields): ModelFacts {
  const model = config.child('pretrained_config');
  const mapping = model.child('mapping');
  const size = (name: string): number => mapping.integer(name, { min: 1, max: MAX_RANKS, fallback: 1 });
  const worldSize = size('tp_size') * size('pp_size') * size('cp_size');
  if (worldSize > MAX_RANKS) throw mapping.error('tp_size', `a size that makes ${MAX_RANKS} ranks at most`);
  return { architecture: model.string('architecture'), vocabSize: model.integer('vocab_size', { min: 1 }), worldSize };
}
