// The fields of what a host sends back (executor/response.h, statistics.h, kv_events.h and ExecutorInfo).
#ifndef ISOLATION_RESPONSE_FIELDS_H_
#define ISOLATION_RESPONSE_FIELDS_H_

#include "native/isolation/type_fields.h"

namespace isolation {

// As in type_fields.h: a size that changes asks for a field that must be sent.
static_assert(sizeof(ExecutorRowDetails) == 160);
static_assert(sizeof(ExecutorBatch) == 104);
static_assert(sizeof(ExecutorRequestStats) == 48);
static_assert(sizeof(ExecutorStats) == 216);
static_assert(sizeof(ExecutorInfo) == 112);
static_assert(sizeof(ExecutorKvBlock) == 40);
static_assert(sizeof(ExecutorKvEvent) == 88);
static_assert(sizeof(ExecutorKvEvents) == 16);

template <typename Wire>
void Fields(Wire& wire, ExecutorRowDetails& details) {
  wire.Values(details.set, details.prompt_tokens, details.cached_tokens, details.queue_ms, details.first_token_ms,
              details.total_ms, details.stop_token, details.kv_blocks_allocated, details.kv_blocks_reused,
              details.kv_blocks_missed, details.draft_tokens, details.draft_tokens_accepted, details.prompt_top_count,
              details.additional_output_count, details.embedding_size, details.last_token_ms);
  wire.Group(details.error);
  wire.Group(details.context_logits);
  wire.Group(details.generation_logits);
  wire.Array(details.prompt_logprobs, details.prompt_tokens);
  const uint64_t prompt_top = uint64_t{details.prompt_tokens} * details.prompt_top_count;
  Needed(wire, details.prompt_top_tokens, prompt_top);
  Needed(wire, details.prompt_top_logprobs, prompt_top);
  wire.Groups(details.additional_outputs, details.additional_output_count);
  wire.Need(details.additional_output_count == 0 || details.additional_outputs != nullptr);
  wire.Group(details.context_phase);
  Needed(wire, details.embedding, details.embedding_size);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorBatch& batch) {
  wire.Values(batch.row_count, batch.step);
  Needed(wire, batch.request_ids, batch.row_count);
  Needed(wire, batch.sequences, batch.row_count);
  Needed(wire, batch.finish, batch.row_count);
  Needed(wire, batch.flags, batch.row_count);
  wire.Array(batch.token_offsets, uint64_t{batch.row_count} + 1);
  CheckOffsets(batch.token_offsets, batch.row_count);
  const uint32_t tokens = batch.token_offsets[batch.row_count];
  Needed(wire, batch.tokens, tokens);
  wire.Array(batch.logprobs, tokens);
  wire.Array(batch.top_offsets, uint64_t{tokens} + 1);
  if (batch.top_offsets != nullptr) CheckOffsets(batch.top_offsets, tokens);
  const uint32_t tops = batch.top_offsets == nullptr ? 0 : batch.top_offsets[tokens];
  Needed(wire, batch.top_tokens, tops);
  Needed(wire, batch.top_logprobs, tops);
  wire.GroupPointers(batch.details, batch.row_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorRequestStats& request) {
  wire.Values(request.id, request.stage, request.prompt_tokens_computed, request.generated_tokens, request.scheduled,
              request.paused, request.kv_blocks_allocated, request.kv_blocks_reused, request.kv_blocks_missed,
              request.decoded_tokens_per_step);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorStats& stats) {
  wire.Values(stats.active_requests, stats.queued_requests, stats.max_active_requests, stats.steps,
              stats.completed_requests, stats.new_active_requests, stats.step_ms, stats.queue_ms, stats.max_batch_size,
              stats.max_num_tokens, stats.device_memory_bytes, stats.host_memory_bytes, stats.pinned_memory_bytes,
              stats.kv_blocks, stats.kv_blocks_free, stats.kv_blocks_used, stats.tokens_per_block,
              stats.kv_blocks_allocated, stats.kv_blocks_allocated_new, stats.kv_blocks_reused, stats.kv_blocks_missed,
              stats.scheduled_requests, stats.context_requests, stats.generation_requests, stats.paused_requests,
              stats.context_tokens, stats.micro_batch, stats.decoded_tokens_per_step, stats.draft_tokens,
              stats.draft_tokens_accepted, stats.preemptions, stats.request_count, stats.draft_ms);
  wire.Groups(stats.requests, stats.request_count);
  wire.Need(stats.request_count == 0 || stats.requests != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, StatsAnswer& answer) {
  Fields(wire, answer.error);
  Fields(wire, answer.stats);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvBlock& block) {
  wire.Values(block.hash, block.lora_id, block.set, block.priority, block.cache_level, block.token_count);
  Needed(wire, block.tokens, block.token_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvEvent& event) {
  wire.Values(event.id, event.type, event.set, event.window_size, event.level_count, event.parent_hash,
              event.block_count, event.hash_count, event.hash, event.old_cache_level, event.new_cache_level,
              event.old_priority, event.new_priority);
  Needed(wire, event.level_blocks, event.level_count);
  wire.Groups(event.blocks, event.block_count);
  wire.Need(event.block_count == 0 || event.blocks != nullptr);
  Needed(wire, event.hashes, event.hash_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvEvents& events) {
  wire.Values(events.event_count);
  wire.Groups(events.events, events.event_count);
  wire.Need(events.event_count == 0 || events.events != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorInfo& info) {
  wire.Values(info.vocab_size, info.capabilities, info.max_batch_size, info.max_num_tokens, info.max_input_len,
              info.max_seq_len, info.max_beam_width, info.tensor_parallel_size, info.tokens_per_block, info.kv_blocks,
              info.weight_bytes, info.kv_cache_bytes, info.rank, info.hidden_size, info.guided_after_reasoning);
  wire.Text(info.name);
  wire.Text(info.version);
  wire.Text(info.device);
  wire.Text(info.data_type);
  wire.Need(info.name != nullptr && info.version != nullptr && info.device != nullptr && info.data_type != nullptr);
}

}  // namespace isolation

#endif  // ISOLATION_RESPONSE_FIELDS_H_
