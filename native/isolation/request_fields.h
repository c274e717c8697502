// The fields of what is asked of a host (executor/request.h).
#ifndef ISOLATION_REQUEST_FIELDS_H_
#define ISOLATION_REQUEST_FIELDS_H_

#include "native/isolation/type_fields.h"

namespace isolation {

// As in type_fields.h: a size that changes asks for a field that must be sent.
static_assert(sizeof(ExecutorSampling) == 104);
static_assert(sizeof(ExecutorOutputConfig) == 32);
static_assert(sizeof(ExecutorLora) == 32);
static_assert(sizeof(ExecutorRetentionRange) == 24);
static_assert(sizeof(ExecutorKvRetention) == 48);
static_assert(sizeof(ExecutorGuided) == 16);
static_assert(sizeof(ExecutorExternalDraft) == 40);
static_assert(sizeof(ExecutorMultimodal) == 72);
static_assert(sizeof(ExecutorRequest) == 232);

template <typename Wire>
void Fields(Wire& wire, ExecutorSampling& sampling) {
  wire.Values(sampling.set, sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, sampling.seed,
              sampling.min_tokens, sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty,
              sampling.prompt_ignore_length, sampling.no_repeat_ngram, sampling.sequences, sampling.beam_width,
              sampling.beam_diversity_rate, sampling.length_penalty, sampling.early_stopping, sampling.top_p_min,
              sampling.top_p_reset_token, sampling.top_p_decay, sampling.beam_width_count);
  wire.Array(sampling.beam_widths, sampling.beam_width_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorOutputConfig& output) {
  wire.Values(output.flags, output.top_logprobs, output.prompt_logprobs, output.additional_output_count);
  wire.Texts(output.additional_outputs, output.additional_output_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorLora& lora) {
  wire.Values(lora.task_id);
  wire.Group(lora.weights);
  wire.Group(lora.config);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorRetentionRange& range) {
  wire.Values(range.set, range.token_start, range.token_end, range.priority, range.duration_ms);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvRetention& retention) {
  wire.Values(retention.set, retention.range_count, retention.decode_priority, retention.decode_duration_ms,
              retention.transfer_mode);
  wire.Groups(retention.ranges, retention.range_count);
  wire.Text(retention.directory);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorGuided& guided) {
  wire.Values(guided.kind);
  wire.Text(guided.guide);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorExternalDraft& draft) {
  wire.Values(draft.has_acceptance_threshold, draft.token_count, draft.acceptance_threshold, draft.fast_logits);
  wire.Array(draft.tokens, draft.token_count);
  wire.Group(draft.logits);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorMultimodal& multimodal, uint32_t token_count) {
  wire.Values(multimodal.input_count, multimodal.mrope_position_delta);
  wire.Group(multimodal.prompt_table);
  wire.Array(multimodal.token_extra_ids, token_count);
  wire.Group(multimodal.embedding);
  wire.Group(multimodal.mrope_cos_sin);
  wire.Array(multimodal.hashes, uint64_t{multimodal.input_count} * 8);
  wire.Array(multimodal.positions, multimodal.input_count);
  wire.Array(multimodal.lengths, multimodal.input_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorRequest& request) {
  wire.Values(request.set, request.id, request.token_count, request.max_tokens, request.streaming, request.end_id_count,
              request.bias_count, request.pad_id, request.priority, request.time_limit_ms, request.cache_salt,
              request.language_adapter, request.type);
  wire.Array(request.tokens, request.token_count);
  wire.Array(request.end_ids, request.end_id_count);
  Fields(wire, request.stop_words);
  Fields(wire, request.bad_words);
  wire.Array(request.bias_tokens, request.bias_count);
  wire.Array(request.bias_values, request.bias_count);
  wire.Array(request.position_ids, request.token_count);
  wire.Group(request.sampling);
  wire.Group(request.output);
  wire.Group(request.lora);
  wire.Group(request.lookahead);
  wire.Group(request.eagle);
  wire.Group(request.kv_retention);
  wire.Group(request.guided);
  wire.Group(request.external_draft);
  wire.Group(request.multimodal, request.token_count);
  wire.Group(request.context_phase);
}

template <typename Wire>
void Fields(Wire& wire, IdList& list) {
  wire.Values(list.count);
  wire.Array(list.ids, list.count);
}

}  // namespace isolation

#endif  // ISOLATION_REQUEST_FIELDS_H_
