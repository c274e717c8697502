#include "native/addon/config_reader.h"

#include "native/addon/shared_groups.h"

namespace addon {
namespace {

ExecutorSchedulerConfig ReadScheduler(const FieldReader& fields) {
  ExecutorSchedulerConfig scheduler{};
  scheduler.size = sizeof(scheduler);
  uint32_t* set = &scheduler.set;
  fields.Number("capacityPolicy", SCHEDULER_CAPACITY_POLICY, &scheduler.capacity_policy, set);
  fields.Number("chunkingPolicy", SCHEDULER_CHUNKING_POLICY, &scheduler.chunking_policy, set);
  fields.Number("batchSizeTuning", SCHEDULER_BATCH_SIZE_TUNING, &scheduler.batch_size_tuning, set);
  fields.Number("maxNumTokensTuning", SCHEDULER_MAX_NUM_TOKENS_TUNING, &scheduler.max_num_tokens_tuning, set);
  fields.Number("movingAverageWindow", SCHEDULER_MOVING_AVERAGE_WINDOW, &scheduler.moving_average_window, set);
  uint32_t numbers = 0;
  fields.Array("batchSizeTable", &scheduler.batch_size_table, &numbers);
  scheduler.batch_size_table_count = numbers / 2;
  return scheduler;
}

ExecutorKvCacheConfig ReadKvCache(const FieldReader& fields) {
  ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  uint32_t* set = &kv.set;
  fields.Number("maxTokens", KV_CACHE_MAX_TOKENS, &kv.max_tokens, set);
  fields.Number("maxBytes", KV_CACHE_MAX_BYTES, &kv.max_bytes, set);
  fields.Number("freeMemoryFraction", KV_CACHE_FREE_MEMORY_FRACTION, &kv.free_memory_fraction, set);
  fields.Number("blockReuse", KV_CACHE_BLOCK_REUSE, &kv.block_reuse, set);
  fields.Number("partialReuse", KV_CACHE_PARTIAL_REUSE, &kv.partial_reuse, set);
  fields.Number("copyOnPartialReuse", KV_CACHE_COPY_ON_PARTIAL_REUSE, &kv.copy_on_partial_reuse, set);
  fields.Number("hostBytes", KV_CACHE_HOST_BYTES, &kv.host_bytes, set);
  fields.Number("onboardBlocks", KV_CACHE_ONBOARD_BLOCKS, &kv.onboard_blocks, set);
  fields.Number("offloadMinPriority", KV_CACHE_OFFLOAD_MIN_PRIORITY, &kv.offload_min_priority, set);
  fields.Array("maxAttentionWindows", &kv.max_attention_windows, &kv.max_attention_window_count);
  fields.Number("sinkTokens", KV_CACHE_SINK_TOKENS, &kv.sink_tokens, set);
  fields.Number("uvm", KV_CACHE_UVM, &kv.uvm, set);
  fields.Number("dtype", KV_CACHE_DTYPE, &kv.dtype, set);
  fields.Number("eventBufferSize", KV_CACHE_EVENT_BUFFER, &kv.event_buffer_size, set);
  return kv;
}

ExecutorParallelConfig ReadParallel(const FieldReader& fields) {
  ExecutorParallelConfig parallel{};
  parallel.size = sizeof(parallel);
  fields.Number("mode", PARALLEL_MODE, &parallel.mode, &parallel.set);
  fields.Array("deviceIds", &parallel.device_ids, &parallel.device_id_count);
  fields.Array("participantIds", &parallel.participant_ids, &parallel.participant_id_count);
  fields.Number("nodes", PARALLEL_NODES, &parallel.nodes, &parallel.set);
  fields.Text("workerPath", &parallel.worker_path);
  fields.Number("spawnProcesses", PARALLEL_SPAWN, &parallel.spawn_processes, &parallel.set);
  return parallel;
}

ExecutorPeftCacheConfig ReadPeftCache(const FieldReader& fields) {
  ExecutorPeftCacheConfig peft{};
  peft.size = sizeof(peft);
  uint32_t* set = &peft.set;
  fields.Number("hostModuleLayers", PEFT_HOST_MODULE_LAYERS, &peft.host_module_layers, set);
  fields.Number("deviceModuleLayers", PEFT_DEVICE_MODULE_LAYERS, &peft.device_module_layers, set);
  fields.Number("optimalAdapterSize", PEFT_OPTIMAL_ADAPTER_SIZE, &peft.optimal_adapter_size, set);
  fields.Number("maxAdapterSize", PEFT_MAX_ADAPTER_SIZE, &peft.max_adapter_size, set);
  fields.Number("putWorkers", PEFT_PUT_WORKERS, &peft.put_workers, set);
  fields.Number("ensureWorkers", PEFT_ENSURE_WORKERS, &peft.ensure_workers, set);
  fields.Number("copyStreams", PEFT_COPY_STREAMS, &peft.copy_streams, set);
  fields.Number("hostPagesPerBlock", PEFT_HOST_PAGES_PER_BLOCK, &peft.host_pages_per_block, set);
  fields.Number("devicePagesPerBlock", PEFT_DEVICE_PAGES_PER_BLOCK, &peft.device_pages_per_block, set);
  fields.Number("deviceCacheFraction", PEFT_DEVICE_CACHE_FRACTION, &peft.device_cache_fraction, set);
  fields.Number("hostCacheBytes", PEFT_HOST_CACHE_BYTES, &peft.host_cache_bytes, set);
  fields.Text("loraPrefetchDir", &peft.lora_prefetch_dir);
  return peft;
}

ExecutorPromptLookup ReadPromptLookup(const FieldReader& fields) {
  ExecutorPromptLookup lookup{};
  lookup.size = sizeof(lookup);
  fields.Number("maxDraftTokens", PROMPT_LOOKUP_MAX_DRAFT_TOKENS, &lookup.max_draft_tokens, &lookup.set);
  fields.Number("maxMatchingNgram", PROMPT_LOOKUP_MAX_MATCHING_NGRAM, &lookup.max_matching_ngram, &lookup.set);
  return lookup;
}

ExecutorDraftModel ReadDraftModel(const FieldReader& fields) {
  ExecutorDraftModel model{};
  model.size = sizeof(model);
  fields.Text("engineDir", &model.engine_dir);
  fields.Number("maxDraftTokens", DRAFT_MODEL_MAX_DRAFT_TOKENS, &model.max_draft_tokens, &model.set);
  return model;
}

ExecutorDecodingConfig ReadDecoding(const FieldReader& fields) {
  ExecutorDecodingConfig decoding{};
  decoding.size = sizeof(decoding);
  fields.Number("mode", &decoding.mode);
  fields.Group("lookahead", ReadLookahead, &decoding.lookahead);
  fields.Group("eagle", ReadEagle, &decoding.eagle);
  fields.TokenLists("medusaChoices", &decoding.medusa_choices);
  fields.Number("fastLogits", &decoding.fast_logits);
  fields.Group("promptLookup", ReadPromptLookup, &decoding.prompt_lookup);
  fields.Group("draftModel", ReadDraftModel, &decoding.draft_model);
  return decoding;
}

ExecutorGuidedDecodingConfig ReadGuidedDecoding(const FieldReader& fields) {
  ExecutorGuidedDecodingConfig guided{};
  guided.size = sizeof(guided);
  fields.Number("backend", &guided.backend);
  fields.Number("optional", &guided.optional);
  fields.Texts("vocabulary", &guided.vocabulary, &guided.vocabulary_count);
  fields.Text("tokenizerJson", &guided.tokenizer_json);
  fields.Array("stopTokens", &guided.stop_tokens, &guided.stop_token_count);
  return guided;
}

ExecutorPerfConfig ReadPerf(const FieldReader& fields) {
  ExecutorPerfConfig perf{};
  perf.size = sizeof(perf);
  uint32_t* set = &perf.set;
  fields.Number("multiBlockMode", PERF_MULTI_BLOCK_MODE, &perf.multi_block_mode, set);
  fields.Number("contextFmhaFp32Accumulation", PERF_CONTEXT_FMHA_FP32_ACCUMULATION,
                &perf.context_fmha_fp32_accumulation, set);
  fields.Number("cudaGraph", PERF_CUDA_GRAPH, &perf.cuda_graph, set);
  fields.Number("cudaGraphCache", PERF_CUDA_GRAPH_CACHE, &perf.cuda_graph_cache, set);
  fields.Number("gpuDirectStorage", PERF_GPU_DIRECT_STORAGE, &perf.gpu_direct_storage, set);
  fields.Number("trtOverlap", PERF_TRT_OVERLAP, &perf.trt_overlap, set);
  return perf;
}

struct AdditionalOutput {
  const char* name;
  uint8_t context;
};

AdditionalOutput ReadAdditionalOutput(const FieldReader& fields) {
  AdditionalOutput output{};
  fields.Text("name", &output.name);
  fields.Number("context", &output.context);
  return output;
}

void ReadAdditionalOutputs(const FieldReader& fields, Owner* owner, ExecutorConfig* config) {
  const AdditionalOutput* outputs = nullptr;
  fields.Groups("additionalOutputs", ReadAdditionalOutput, &outputs, &config->additional_output_count);
  auto& names = *owner->Store(std::vector<const char*>());
  auto& contexts = *owner->Store(std::vector<uint8_t>());
  for (uint32_t i = 0; i < config->additional_output_count; ++i) {
    names.push_back(outputs[i].name);
    contexts.push_back(outputs[i].context);
  }
  config->additional_outputs = names.data();
  config->additional_output_context = contexts.data();
}

}  // namespace

ExecutorConfig ReadConfig(const Napi::Object& options, Owner* owner) {
  const FieldReader fields(options, owner);
  ExecutorConfig config{};
  config.size = sizeof(config);
  uint32_t* set = &config.set;
  fields.Text("engineDir", &config.engine_dir);
  fields.Number("threads", CONFIG_THREADS, &config.threads, set);
  fields.Number("maxBatchSize", CONFIG_MAX_BATCH_SIZE, &config.max_batch_size, set);
  fields.Number("maxNumTokens", CONFIG_MAX_NUM_TOKENS, &config.max_num_tokens, set);
  fields.Number("maxSeqLen", CONFIG_MAX_SEQ_LEN, &config.max_seq_len, set);
  fields.Number("maxQueueSize", CONFIG_MAX_QUEUE_SIZE, &config.max_queue_size, set);
  fields.Number("maxBeamWidth", CONFIG_MAX_BEAM_WIDTH, &config.max_beam_width, set);
  fields.Number("chunkedContext", CONFIG_CHUNKED_CONTEXT, &config.chunked_context, set);
  fields.Number("tensorParallelSize", CONFIG_TENSOR_PARALLEL_SIZE, &config.tensor_parallel_size, set);
  fields.Number("gatherGenerationLogits", CONFIG_GATHER_GENERATION_LOGITS, &config.gather_generation_logits, set);
  fields.Number("normalizeLogprobs", CONFIG_NORMALIZE_LOGPROBS, &config.normalize_logprobs, set);
  fields.Number("gpuWeightsFraction", CONFIG_GPU_WEIGHTS_FRACTION, &config.gpu_weights_fraction, set);
  fields.Number("receivePollPeriodMs", CONFIG_RECEIVE_POLL_PERIOD, &config.receive_poll_period_ms, set);
  fields.Number("maxSequenceIdleMs", CONFIG_MAX_SEQUENCE_IDLE, &config.max_sequence_idle_ms, set);
  fields.Number("requestStats", CONFIG_REQUEST_STATS, &config.request_stats, set);
  fields.Number("failFastOnAttentionWindow", CONFIG_FAIL_FAST_ON_ATTENTION_WINDOW,
                &config.fail_fast_on_attention_window, set);
  fields.Number("loadFormat", CONFIG_LOAD_FORMAT, &config.load_format, set);
  fields.Number("batchInvariant", CONFIG_BATCH_INVARIANT, &config.batch_invariant, set);
  ReadAdditionalOutputs(fields, owner, &config);
  fields.Group("scheduler", ReadScheduler, &config.scheduler);
  fields.Group("kvCache", ReadKvCache, &config.kv_cache);
  fields.Group("parallel", ReadParallel, &config.parallel);
  fields.Group("peftCache", ReadPeftCache, &config.peft_cache);
  fields.Group("decoding", ReadDecoding, &config.decoding);
  fields.Group("guidedDecoding", ReadGuidedDecoding, &config.guided_decoding);
  fields.Group("perf", ReadPerf, &config.perf);
  return config;
}

}  // namespace addon
