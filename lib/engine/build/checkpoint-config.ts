import type { PretrainedConfig } from '../directory/checkpoint-config.js';

/**
 * config.json of a checkpoint as trtllm-build reads it (TensorRT-LLM's `PretrainedConfig.from_json_file`): the fields of the model
 * alone, where an engine has them in `pretrained_config`. What is not here it takes the default of.
 */
export const checkpointConfig = (model: PretrainedConfig): PretrainedConfig & { share_embedding_table: boolean } => ({
  ...model,
  // By which 0.13 knows that there is no lm_head.weight; later versions see it.
  share_embedding_table: model.tie_word_embeddings,
});
