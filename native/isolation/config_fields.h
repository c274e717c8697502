// The fields of the config of a host (executor/config.h). The callbacks are not sent: messages take their place.
#ifndef ISOLATION_CONFIG_FIELDS_H_
#define ISOLATION_CONFIG_FIELDS_H_

#include "native/isolation/type_fields.h"

namespace isolation {

// As in type_fields.h: a size that changes asks for a field that must be sent.
static_assert(sizeof(ExecutorSchedulerConfig) == 40);
static_assert(sizeof(ExecutorKvCacheConfig) == 96);
static_assert(sizeof(ExecutorParallelConfig) == 56);
static_assert(sizeof(ExecutorPeftCacheConfig) == 64);
static_assert(sizeof(ExecutorPromptLookup) == 16);
static_assert(sizeof(ExecutorDraftModel) == 24);
static_assert(sizeof(ExecutorDecodingConfig) == 72);
static_assert(sizeof(ExecutorGuidedDecodingConfig) == 72);
static_assert(sizeof(ExecutorPerfConfig) == 36);
static_assert(sizeof(ExecutorTransceiverConfig) == 24);
static_assert(sizeof(ExecutorConfig) == 200);

template <typename Wire>
void Fields(Wire& wire, ExecutorSchedulerConfig& scheduler) {
  wire.Values(scheduler.set, scheduler.capacity_policy, scheduler.chunking_policy, scheduler.batch_size_tuning,
              scheduler.max_num_tokens_tuning, scheduler.moving_average_window, scheduler.batch_size_table_count);
  Needed(wire, scheduler.batch_size_table, uint64_t{scheduler.batch_size_table_count} * 2);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorKvCacheConfig& cache) {
  wire.Values(cache.set, cache.block_reuse, cache.max_tokens, cache.sink_tokens, cache.onboard_blocks,
              cache.free_memory_fraction, cache.cross_fraction, cache.host_bytes, cache.max_bytes,
              cache.offload_min_priority, cache.event_buffer_size, cache.partial_reuse, cache.copy_on_partial_reuse,
              cache.uvm, cache.events_gather_period_ms, cache.max_attention_window_count, cache.dtype);
  Needed(wire, cache.max_attention_windows, cache.max_attention_window_count);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorParallelConfig& parallel) {
  wire.Values(parallel.set, parallel.mode, parallel.nodes, parallel.spawn_processes, parallel.device_id_count,
              parallel.participant_id_count);
  Needed(wire, parallel.device_ids, parallel.device_id_count);
  Needed(wire, parallel.participant_ids, parallel.participant_id_count);
  wire.Text(parallel.worker_path);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorPeftCacheConfig& peft) {
  wire.Values(peft.set, peft.host_module_layers, peft.device_module_layers, peft.optimal_adapter_size,
              peft.max_adapter_size, peft.put_workers, peft.ensure_workers, peft.copy_streams,
              peft.host_pages_per_block, peft.device_pages_per_block, peft.device_cache_fraction,
              peft.host_cache_bytes);
  wire.Text(peft.lora_prefetch_dir);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorPromptLookup& lookup) {
  wire.Values(lookup.set, lookup.max_draft_tokens, lookup.max_matching_ngram);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorDraftModel& model) {
  wire.Values(model.set, model.max_draft_tokens);
  wire.Text(model.engine_dir);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorDecodingConfig& decoding) {
  wire.Values(decoding.mode, decoding.fast_logits);
  wire.Group(decoding.lookahead);
  wire.Group(decoding.eagle);
  Fields(wire, decoding.medusa_choices);
  wire.Group(decoding.prompt_lookup);
  wire.Group(decoding.draft_model);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorGuidedDecodingConfig& guided) {
  wire.Values(guided.backend, guided.vocabulary_count, guided.stop_token_count, guided.optional);
  wire.Texts(guided.vocabulary, guided.vocabulary_count);
  wire.Text(guided.tokenizer_json);
  Needed(wire, guided.stop_tokens, guided.stop_token_count);
  wire.Values(guided.token_count);
  if (guided.token_count == 0) return;
  Needed(wire, guided.token_offsets, uint64_t{guided.token_count} + 1);
  Needed(wire, guided.token_special, guided.token_count);
  Needed(wire, guided.token_bytes, guided.token_offsets[guided.token_count]);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorPerfConfig& perf) {
  wire.Values(perf.set, perf.multi_block_mode, perf.context_fmha_fp32_accumulation, perf.cuda_graph,
              perf.cuda_graph_cache, perf.gpu_direct_storage, perf.prompt_table_offloading, perf.trt_overlap);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorTransceiverConfig& transceiver) {
  wire.Values(transceiver.set, transceiver.backend, transceiver.max_tokens, transceiver.timeout_ms,
              transceiver.sender_timeout_ms);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorConfig& config) {
  wire.Values(config.set, config.max_batch_size, config.max_num_tokens, config.max_seq_len, config.max_beam_width,
              config.max_queue_size, config.threads, config.chunked_context, config.normalize_logprobs,
              config.gpu_weights_fraction, config.receive_poll_period_ms, config.max_sequence_idle_ms,
              config.gather_generation_logits, config.fail_fast_on_attention_window, config.iteration_stats,
              config.request_stats, config.tensor_parallel_size, config.additional_output_count, config.load_format,
              config.batch_invariant);
  wire.Text(config.engine_dir);
  NeededTexts(wire, config.additional_outputs, config.additional_output_count);
  Needed(wire, config.additional_output_context, config.additional_output_count);
  wire.Group(config.scheduler);
  wire.Group(config.kv_cache);
  wire.Group(config.parallel);
  wire.Group(config.peft_cache);
  wire.Group(config.decoding);
  wire.Group(config.guided_decoding);
  wire.Group(config.perf);
  wire.Group(config.transceiver);
}

template <typename Wire>
void Fields(Wire& wire, HostConfig& host) {
  wire.Text(host.executor_path);
  wire.Group(host.config);
  wire.Need(host.executor_path != nullptr && host.config != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, LoadProgress& progress) {
  wire.Values(progress.done);
}

template <typename Wire>
void Fields(Wire& wire, LogLine& line) {
  wire.Values(line.level);
  wire.Text(line.text);
  wire.Need(line.text != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, ShutdownOrder& order) {
  wire.Values(order.deadline_ms);
}

}  // namespace isolation

#endif  // ISOLATION_CONFIG_FIELDS_H_
