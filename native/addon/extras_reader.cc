#include "native/addon/extras_reader.h"

#include "native/addon/shared_groups.h"

namespace addon {
namespace {

void ReadSampling(const FieldReader& fields, ExecutorSampling* sampling) {
  uint32_t* set = &sampling->set;
  fields.Number("topPDecay", SAMPLING_TOP_P_DECAY, &sampling->top_p_decay, set);
  fields.Number("topPMin", SAMPLING_TOP_P_MIN, &sampling->top_p_min, set);
  fields.Number("topPResetToken", SAMPLING_TOP_P_RESET_TOKEN, &sampling->top_p_reset_token, set);
  fields.Number("beamWidth", SAMPLING_BEAM_WIDTH, &sampling->beam_width, set);
  fields.Array("beamWidths", &sampling->beam_widths, &sampling->beam_width_count);
  fields.Number("beamDiversityRate", SAMPLING_BEAM_DIVERSITY_RATE, &sampling->beam_diversity_rate, set);
  fields.Number("lengthPenalty", SAMPLING_LENGTH_PENALTY, &sampling->length_penalty, set);
  fields.Number("earlyStopping", SAMPLING_EARLY_STOPPING, &sampling->early_stopping, set);
}

ExecutorLora ReadLora(const FieldReader& fields) {
  ExecutorLora lora{};
  lora.size = sizeof(lora);
  fields.Number("id", &lora.id);
  fields.Tensor("weights", &lora.weights);
  fields.Tensor("config", &lora.config);
  return lora;
}

ExecutorRetentionRange ReadRange(const FieldReader& fields) {
  ExecutorRetentionRange range{};
  fields.Number("start", &range.start);
  fields.Number("end", RETENTION_END, &range.end, &range.set);
  fields.Number("priority", &range.priority);
  fields.Number("durationMs", RETENTION_DURATION, &range.duration_ms, &range.set);
  return range;
}

ExecutorKvRetention ReadKvRetention(const FieldReader& fields) {
  ExecutorKvRetention retention{};
  retention.size = sizeof(retention);
  fields.Groups("ranges", ReadRange, &retention.ranges, &retention.range_count);
  fields.Number("decodePriority", KV_RETENTION_DECODE_PRIORITY, &retention.decode_priority, &retention.set);
  fields.Number("decodeDurationMs", KV_RETENTION_DECODE_DURATION, &retention.decode_duration_ms, &retention.set);
  fields.Number("transferMode", KV_RETENTION_TRANSFER_MODE, &retention.transfer_mode, &retention.set);
  fields.Text("directory", &retention.directory);
  return retention;
}

ExecutorGuided ReadGuided(const FieldReader& fields) {
  ExecutorGuided guided{};
  fields.Number("kind", &guided.kind);
  fields.Text("guide", &guided.guide);
  return guided;
}

ExecutorReasoning ReadReasoning(const FieldReader& fields) {
  ExecutorReasoning reasoning{};
  reasoning.size = sizeof(reasoning);
  fields.Array("begins", &reasoning.begins, &reasoning.begin_count);
  fields.Texts("ends", &reasoning.ends, &reasoning.end_count);
  return reasoning;
}

ExecutorDraft ReadDraft(const FieldReader& fields) {
  ExecutorDraft draft{};
  draft.size = sizeof(draft);
  fields.Array("tokens", &draft.tokens, &draft.token_count);
  fields.Number("acceptanceThreshold", 1, &draft.acceptance_threshold, &draft.has_acceptance_threshold);
  fields.Tensor("logits", &draft.logits);
  fields.Number("fastLogits", &draft.fast_logits);
  return draft;
}

}  // namespace

void ReadExtras(const FieldReader& fields, ExecutorRequest* request, ExecutorSampling* sampling,
                ExecutorOutputConfig* output) {
  ReadSampling(fields, sampling);
  fields.Number("promptLogprobsStart", OUTPUT_PROMPT_LOGPROBS_START, &output->prompt_logprobs_start, &output->flags);
  uint32_t is_embedding = 0;
  fields.Number("pooling", 1, &output->pooling, &is_embedding);
  if (is_embedding != 0) request->type = REQUEST_EMBEDDING;
  fields.Texts("additionalOutputs", &output->additional_outputs, &output->additional_output_count);
  fields.Number("priority", REQUEST_PRIORITY, &request->priority, &request->set);
  fields.BigInt("cacheSalt", REQUEST_CACHE_SALT, &request->cache_salt, &request->set);
  fields.Group("lora", ReadLora, &request->lora);
  fields.Group("lookahead", ReadLookahead, &request->lookahead);
  fields.Group("eagle", ReadEagle, &request->eagle);
  fields.Group("kvRetention", ReadKvRetention, &request->kv_retention);
  fields.Group("guided", ReadGuided, &request->guided);
  fields.Group("reasoning", ReadReasoning, &request->reasoning);
  fields.Group("draft", ReadDraft, &request->draft);
  fields.Number("promptLookup", REQUEST_PROMPT_LOOKUP, &request->prompt_lookup, &request->set);
  fields.Number("draftModel", REQUEST_DRAFT_MODEL, &request->draft_model, &request->set);
}

}  // namespace addon
