// The fields of a request to a host (executor/request.h).
#ifndef ISOLATION_REQUEST_FIELDS_H_
#define ISOLATION_REQUEST_FIELDS_H_

#include "native/isolation/type_fields.h"

namespace isolation {

// As in type_fields.h: a size that changes asks for a field that must be sent.
static_assert(sizeof(ExecutorSampling) == 104);
static_assert(sizeof(ExecutorOutputConfig) == 40);
static_assert(sizeof(ExecutorLora) == 32);
static_assert(sizeof(ExecutorRetentionRange) == 24);
static_assert(sizeof(ExecutorKvRetention) == 48);
static_assert(sizeof(ExecutorGuided) == 16);
static_assert(sizeof(ExecutorDraft) == 40);
static_assert(sizeof(ExecutorLogitBias) == 24);
static_assert(sizeof(ExecutorMultimodal) == 72);
static_assert(sizeof(ExecutorRequest) == 264);

template <typename Wire>
void Fields(Wire& wire, ExecutorSampling& sampling) {
  wire.Values(sampling.set, sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, sampling.seed,
              sampling.min_tokens, sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty,
              sampling.prompt_ignore_length, sampling.no_repeat_ngram_size, sampling.n, sampling.beam_width,
              sampling.beam_diversity_rate, sampling.length_penalty, sampling.early_stopping, sampling.top_p_min,
              sampling.top_p_reset_token, sampling.top_p_decay, sampling.beam_width_count, sampling.best_of);
  Needed(wire, sampling.beam_widths, sampling.beam_width_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorOutputConfig& output) {
  wire.Values(output.flags, output.top_logprobs, output.top_prompt_logprobs, output.additional_output_count,
              output.prompt_logprobs_start, output.pooling);
  NeededTexts(wire, output.additional_outputs, output.additional_output_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorLora& lora) {
  wire.Values(lora.id);
  wire.Group(lora.weights);
  wire.Group(lora.config);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorRetentionRange& range) {
  wire.Values(range.set, range.start, range.end, range.priority, range.duration_ms);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvRetention& retention) {
  wire.Values(retention.set, retention.range_count, retention.decode_priority, retention.decode_duration_ms,
              retention.transfer_mode);
  wire.Groups(retention.ranges, retention.range_count);
  wire.Need(retention.range_count == 0 || retention.ranges != nullptr);
  wire.Text(retention.directory);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorGuided& guided) {
  wire.Values(guided.kind);
  wire.Text(guided.guide);
  wire.Need(guided.kind == GUIDE_JSON || guided.guide != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorReasoning& reasoning) {
  wire.Values(reasoning.begin_count, reasoning.end_count);
  Needed(wire, reasoning.begins, reasoning.begin_count);
  NeededTexts(wire, reasoning.ends, reasoning.end_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorDraft& draft) {
  wire.Values(draft.has_acceptance_threshold, draft.token_count, draft.acceptance_threshold, draft.fast_logits);
  Needed(wire, draft.tokens, draft.token_count);
  wire.Group(draft.logits);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorLogitBias& bias) {
  wire.Values(bias.count);
  Needed(wire, bias.tokens, bias.count);
  Needed(wire, bias.values, bias.count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorMultimodal& multimodal, uint32_t token_count) {
  wire.Values(multimodal.input_count, multimodal.mrope_position_delta);
  wire.Group(multimodal.prompt_table);
  wire.Array(multimodal.token_extra_ids, token_count);
  wire.Group(multimodal.embedding);
  wire.Group(multimodal.mrope_cos_sin);
  Needed(wire, multimodal.hashes, uint64_t{multimodal.input_count} * 8);
  Needed(wire, multimodal.positions, multimodal.input_count);
  Needed(wire, multimodal.lengths, multimodal.input_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorRequest& request) {
  wire.Values(request.set, request.id, request.token_count, request.max_tokens, request.streaming, request.end_id_count,
              request.pad_id, request.priority, request.timeout_ms, request.cache_salt, request.language_adapter,
              request.type, request.prompt_lookup, request.draft_model);
  Needed(wire, request.tokens, request.token_count);
  Needed(wire, request.end_ids, request.end_id_count);
  Fields(wire, request.stop_tokens);
  Fields(wire, request.bad_tokens);
  Fields(wire, request.logit_bias);
  wire.Array(request.position_ids, request.token_count);
  wire.Group(request.sampling);
  wire.Group(request.output);
  wire.Group(request.lora);
  wire.Group(request.lookahead);
  wire.Group(request.eagle);
  wire.Group(request.kv_retention);
  wire.Group(request.guided);
  wire.Group(request.draft);
  wire.Group(request.multimodal, request.token_count);
  wire.Group(request.context_phase);
  wire.Group(request.reasoning);
}

template <typename Wire>
void Fields(Wire& wire, IdList& list) {
  wire.Values(list.count);
  Needed(wire, list.ids, list.count);
}

}  // namespace isolation

#endif  // ISOLATION_REQUEST_FIELDS_H_
