#include "native/tensorrt_llm/config.h"

#include <utility>
#include <vector>

#include "native/executor/cpp/copy_sized.h"
#include "native/tensorrt_llm/decoding_config.h"
#include "native/tensorrt_llm/parallel_config.h"

namespace adapter {
namespace {

using executor::CopySized;
using executor::OptionFailure;

template <typename T, typename = void>
constexpr bool kHasStaticBatch = false;
template <typename T>
constexpr bool kHasStaticBatch<T, std::void_t<decltype(T::kSTATIC_BATCH)>> = true;

// With its tuners; null: unset.
template <typename DynamicBatch = tle::DynamicBatchConfig>
tle::SchedulerConfig MakeScheduler(const ExecutorSchedulerConfig& given) {
  const tle::SchedulerConfig defaults;
  if (given.set & SCHEDULER_CAPACITY_POLICY && given.capacity_policy == CAPACITY_STATIC_BATCH &&
      !kHasStaticBatch<tle::CapacitySchedulerPolicy>)
    ThrowLacks({"scheduler.capacity_policy", "0.14", "'static-batch'"});
  const auto capacity = given.set & SCHEDULER_CAPACITY_POLICY
                            ? static_cast<tle::CapacitySchedulerPolicy>(given.capacity_policy)
                            : defaults.getCapacitySchedulerPolicy();
  std::optional<tle::ContextChunkingPolicy> chunking;
  if (given.set & SCHEDULER_CHUNKING_POLICY) chunking = static_cast<tle::ContextChunkingPolicy>(given.chunking_policy);
  constexpr uint32_t kTuning =
      SCHEDULER_BATCH_SIZE_TUNING | SCHEDULER_MAX_NUM_TOKENS_TUNING | SCHEDULER_MOVING_AVERAGE_WINDOW;
  if (!(given.set & kTuning) && given.batch_size_table_count == 0) return tle::SchedulerConfig(capacity, chunking);

  using Table = std::vector<std::pair<tle::SizeType32, tle::SizeType32>>;
  if constexpr (kCanMake<DynamicBatch, bool, bool, tle::SizeType32, Table>) {
    const DynamicBatch base;
    Table table = base.getBatchSizeTable();
    if (given.batch_size_table_count > 0) table.clear();
    for (uint32_t i = 0; i < given.batch_size_table_count; ++i)
      table.emplace_back(given.batch_size_table[2 * i], given.batch_size_table[2 * i + 1]);
    const auto window = given.set & SCHEDULER_MOVING_AVERAGE_WINDOW
                            ? static_cast<tle::SizeType32>(given.moving_average_window)
                            : base.getDynamicBatchMovingAverageWindow();
    return tle::SchedulerConfig(
        capacity, chunking,
        DynamicBatch(given.set & SCHEDULER_BATCH_SIZE_TUNING && given.batch_size_tuning != 0,
                     given.set & SCHEDULER_MAX_NUM_TOKENS_TUNING && given.max_num_tokens_tuning != 0, window, table));
  } else {
    ThrowLacks({given.set & SCHEDULER_BATCH_SIZE_TUNING       ? "scheduler.batch_size_tuning"
                : given.set & SCHEDULER_MAX_NUM_TOKENS_TUNING ? "scheduler.max_num_tokens_tuning"
                : given.set & SCHEDULER_MOVING_AVERAGE_WINDOW ? "scheduler.moving_average_window"
                                                              : "scheduler.batch_size_table",
                "0.16"});
  }
}

tle::KvCacheConfig MakeKvCache(const ExecutorKvCacheConfig& given) {
  tle::KvCacheConfig kv;
  const auto is_set = [&](uint32_t bit) { return (given.set & bit) != 0; };
  if (is_set(KV_CACHE_BLOCK_REUSE)) kv.setEnableBlockReuse(given.block_reuse != 0);
  if (is_set(KV_CACHE_MAX_TOKENS)) kv.setMaxTokens(static_cast<tle::SizeType32>(given.max_tokens));
  if (is_set(KV_CACHE_SINK_TOKENS)) kv.setSinkTokenLength(static_cast<tle::SizeType32>(given.sink_tokens));
  if (is_set(KV_CACHE_FREE_MEMORY_FRACTION))
    kv.setFreeGpuMemoryFraction(static_cast<float>(given.free_memory_fraction));
  if (is_set(KV_CACHE_HOST_BYTES)) kv.setHostCacheSize(given.host_bytes);
  if (is_set(KV_CACHE_ONBOARD_BLOCKS)) kv.setOnboardBlocks(given.onboard_blocks != 0);
  if (given.max_attention_window_count > 0)
    kv.setMaxAttentionWindowVec(
        {given.max_attention_windows, given.max_attention_windows + given.max_attention_window_count});
  if (is_set(KV_CACHE_CROSS_FRACTION))
    Need(kv, {"kv_cache.cross_fraction", "0.14"}, [&](auto& c) -> decltype(c.setCrossKvCacheFraction(0.f)) {
      c.setCrossKvCacheFraction(static_cast<float>(given.cross_fraction));
    });
  if (is_set(KV_CACHE_OFFLOAD_MIN_PRIORITY))
    Need(kv, {"kv_cache.offload_min_priority", "0.15"}, [&](auto& c) -> decltype(c.setSecondaryOffloadMinPriority(0)) {
      c.setSecondaryOffloadMinPriority(static_cast<tle::SizeType32>(given.offload_min_priority));
    });
  if (is_set(KV_CACHE_EVENT_BUFFER))
    Need(kv, {"kv_cache.event_buffer_size", "0.15"},
         [&](auto& c) -> decltype(c.setEventBufferMaxSize(0)) { c.setEventBufferMaxSize(given.event_buffer_size); });
  if (is_set(KV_CACHE_PARTIAL_REUSE))
    Need(kv, {"kv_cache.partial_reuse", "0.19"}, [&](auto& c) -> decltype(c.setEnablePartialReuse(true)) {
      c.setEnablePartialReuse(given.partial_reuse != 0);
    });
  if (is_set(KV_CACHE_COPY_ON_PARTIAL_REUSE))
    Need(kv, {"kv_cache.copy_on_partial_reuse", "0.19"}, [&](auto& c) -> decltype(c.setCopyOnPartialReuse(true)) {
      c.setCopyOnPartialReuse(given.copy_on_partial_reuse != 0);
    });
  if (is_set(KV_CACHE_UVM))
    Need(kv, {"kv_cache.uvm", "1.0"}, [&](auto& c) -> decltype(c.setUseUvm(true)) { c.setUseUvm(given.uvm != 0); });
  if (is_set(KV_CACHE_EVENTS_GATHER_PERIOD))
    Need(kv, {"kv_cache.events_gather_period_ms", "1.1"},
         [&](auto& c) -> decltype(c.setAttentionDpEventsGatherPeriodMs(0)) {
           c.setAttentionDpEventsGatherPeriodMs(static_cast<tle::SizeType32>(given.events_gather_period_ms));
         });
  if (is_set(KV_CACHE_MAX_BYTES))
    Need(kv, {"kv_cache.max_bytes", "1.1"},
         [&](auto& c) -> decltype(c.setMaxGpuTotalBytes(0)) { c.setMaxGpuTotalBytes(given.max_bytes); });
  if (is_set(KV_CACHE_DTYPE) && given.dtype != KV_DTYPE_AUTO)
    throw OptionFailure(EXECUTOR_UNSUPPORTED, "kv_cache.dtype",
                        " is 'int8'; expected 'auto', because a TensorRT engine has the type of its KV cache built in. "
                        "Remove it, or build the engine with kv_cache_quant_algo.");
  return kv;
}

// It has no setters; the order of its arguments has not changed, one was added at the end.
template <typename Peft = tle::PeftCacheConfig>
Peft MakePeftCache(const ExecutorPeftCacheConfig& given) {
  const Peft base;
  const auto size = [&](uint32_t bit, uint32_t value, tle::SizeType32 otherwise) {
    return given.set & bit ? static_cast<tle::SizeType32>(value) : otherwise;
  };
  std::optional<float> device_cache;
  if (given.set & PEFT_DEVICE_CACHE_FRACTION) device_cache = given.device_cache_fraction;
  std::optional<size_t> host_cache;
  if (given.set & PEFT_HOST_CACHE_BYTES) host_cache = given.host_cache_bytes;
  const auto make = [&](auto... last) {
    return Peft(size(PEFT_HOST_MODULE_LAYERS, given.host_module_layers, base.getNumHostModuleLayer()),
                size(PEFT_DEVICE_MODULE_LAYERS, given.device_module_layers, base.getNumDeviceModuleLayer()),
                size(PEFT_OPTIMAL_ADAPTER_SIZE, given.optimal_adapter_size, base.getOptimalAdapterSize()),
                size(PEFT_MAX_ADAPTER_SIZE, given.max_adapter_size, base.getMaxAdapterSize()),
                size(PEFT_PUT_WORKERS, given.put_workers, base.getNumPutWorkers()),
                size(PEFT_ENSURE_WORKERS, given.ensure_workers, base.getNumEnsureWorkers()),
                size(PEFT_COPY_STREAMS, given.copy_streams, base.getNumCopyStreams()),
                size(PEFT_HOST_PAGES_PER_BLOCK, given.host_pages_per_block, base.getMaxPagesPerBlockHost()),
                size(PEFT_DEVICE_PAGES_PER_BLOCK, given.device_pages_per_block, base.getMaxPagesPerBlockDevice()),
                device_cache, host_cache, last...);
  };
  if (given.lora_prefetch_dir == nullptr) return make();
  if constexpr (Has<Peft>([](auto& c) -> decltype(void(c.getLoraPrefetchDir())) {}))
    return make(std::optional<std::string>(given.lora_prefetch_dir));
  ThrowLacks({"peft_cache.lora_prefetch_dir", "0.19"});
}

void SetPerf(const ExecutorPerfConfig& given, tle::ExecutorConfig* config) {
  tle::ExtendedRuntimePerfKnobConfig knobs;
  if (given.set & PERF_MULTI_BLOCK_MODE) knobs.setMultiBlockMode(given.multi_block_mode != 0);
  if (given.set & PERF_CONTEXT_FMHA_FP32_ACCUMULATION)
    knobs.setEnableContextFMHAFP32Acc(given.context_fmha_fp32_accumulation != 0);
  if (given.set & PERF_CUDA_GRAPH)
    Need(knobs, {"perf.cuda_graph", "0.14"},
         [&](auto& k) -> decltype(k.setCudaGraphMode(true)) { k.setCudaGraphMode(given.cuda_graph != 0); });
  if (given.set & PERF_CUDA_GRAPH_CACHE)
    Need(knobs, {"perf.cuda_graph_cache", "0.14"}, [&](auto& k) -> decltype(k.setCudaGraphCacheSize(0)) {
      k.setCudaGraphCacheSize(static_cast<tle::SizeType32>(given.cuda_graph_cache));
    });
  config->setExtendedRuntimePerfKnobConfig(knobs);
  if (given.set & PERF_GPU_DIRECT_STORAGE)
    Need(*config, {"perf.gpu_direct_storage", "1.0"}, [&](auto& c) -> decltype(c.setUseGpuDirectStorage(true)) {
      c.setUseGpuDirectStorage(given.gpu_direct_storage != 0);
    });
  if (given.set & PERF_PROMPT_TABLE_OFFLOADING)
    Need(*config, {"perf.prompt_table_offloading", "1.0"}, [&](auto& c) -> decltype(c.setPromptTableOffloading(true)) {
      c.setPromptTableOffloading(given.prompt_table_offloading != 0);
    });
  if (given.set & PERF_TRT_OVERLAP)
    Need(*config, {"perf.trt_overlap", "1.0"},
         [&](auto& c) -> decltype(c.setEnableTrtOverlap(true)) { c.setEnableTrtOverlap(given.trt_overlap != 0); });
}

template <typename Config, typename Transceiver = tle::CacheTransceiverConfig>
void SetTransceiver(const ExecutorTransceiverConfig& given, Config* config) {
  if constexpr (kIsComplete<Transceiver>) {
    Transceiver transceiver;
    // Its enumerators grew at the end, in the order of the contract's.
    transceiver.setBackendType(static_cast<typename Transceiver::BackendType>(given.backend));
    if (given.set & TRANSCEIVER_MAX_TOKENS) transceiver.setMaxTokensInBuffer(size_t{given.max_tokens});
    if (given.set & TRANSCEIVER_TIMEOUT)
      Need(transceiver, {"transceiver.timeout_ms", "1.1"}, [&](auto& t) -> decltype(t.setKvTransferTimeoutMs(0)) {
        t.setKvTransferTimeoutMs(static_cast<int>(given.timeout_ms));
      });
    if (given.set & TRANSCEIVER_SENDER_TIMEOUT)
      Need(transceiver, {"transceiver.sender_timeout_ms", "1.2"},
           [&](auto& t) -> decltype(t.setKvTransferSenderFutureTimeoutMs(0)) {
             t.setKvTransferSenderFutureTimeoutMs(static_cast<int>(given.sender_timeout_ms));
           });
    config->setCacheTransceiverConfig(transceiver);
  } else {
    ThrowLacks({"transceiver", "1.0"});
  }
}

// From 1.0 on each name says whether it is gathered for the prompt too; before, the request alone says that.
template <typename Config>
void SetAdditionalOutputs(const ExecutorConfig& given, Config* config) {
  constexpr auto has_outputs = [](auto& c) -> decltype(void(c.getAdditionalModelOutputs())) {};
  constexpr auto has_names = [](auto& c) -> decltype(void(c.setAdditionalOutputNames({}))) {};
  if constexpr (Has<Config>(has_outputs)) {
    typename decltype(config->getAdditionalModelOutputs())::value_type outputs;
    for (uint32_t i = 0; i < given.additional_output_count; ++i)
      outputs.emplace_back(given.additional_outputs[i], given.additional_output_context[i] != 0);
    config->setAdditionalModelOutputs(outputs);
  } else if constexpr (Has<Config>(has_names)) {
    config->setAdditionalOutputNames(
        {given.additional_outputs, given.additional_outputs + given.additional_output_count});
  } else {
    ThrowLacks({"additional_outputs", "0.17"});
  }
}

void CheckSizes(const ExecutorConfig& given, const Engine& engine) {
  if (given.set & CONFIG_THREADS)
    throw OptionFailure(EXECUTOR_UNSUPPORTED, "threads",
                        " is set; expected it unset, because TensorRT-LLM computes on the GPU. Remove it.");
  if (given.set & CONFIG_LOAD_FORMAT && given.load_format != LOAD_FORMAT_AUTO)
    throw OptionFailure(
        EXECUTOR_UNSUPPORTED, "load_format",
        " is 'dummy'; expected 'auto', because a TensorRT engine holds its weights. Remove it, or load a "
        "checkpoint with executor: 'cpu' or 'cuda'.");
  if (given.set & CONFIG_BATCH_INVARIANT && given.batch_invariant != 0)
    throw OptionFailure(
        EXECUTOR_UNSUPPORTED, "batch_invariant",
        " is true; expected false, because TensorRT-LLM chooses its kernels by the batch. Remove it, or "
        "load a checkpoint with executor: 'cpu' or 'cuda'.");
  const auto check = [&](uint32_t bit, const char* field, uint32_t value, int largest) {
    if (given.set & bit && (value < 1 || value > static_cast<uint32_t>(largest)))
      throw OptionFailure(EXECUTOR_INVALID_OPTION, field,
                          " is " + std::to_string(value) + "; expected 1 to " + std::to_string(largest) +
                              ", which the engine was built for. Lower it, or build the engine for more.");
  };
  check(CONFIG_MAX_BATCH_SIZE, "max_batch_size", given.max_batch_size, engine.max_batch_size);
  check(CONFIG_MAX_NUM_TOKENS, "max_num_tokens", given.max_num_tokens, engine.max_num_tokens);
  check(CONFIG_MAX_SEQ_LEN, "max_seq_len", given.max_seq_len, engine.max_seq_len);
  check(CONFIG_MAX_BEAM_WIDTH, "max_beam_width", given.max_beam_width, engine.max_beam_width);
}

}  // namespace

tle::ExecutorConfig MakeExecutorConfig(const ExecutorConfig& given, const Engine& engine,
                                       const std::string& library_dir) {
  CheckSizes(given, engine);
  tle::ExecutorConfig config;
  const auto is_set = [&](uint32_t bit) { return (given.set & bit) != 0; };
  const auto size = [](uint32_t value) { return static_cast<tle::SizeType32>(value); };
  if (is_set(CONFIG_MAX_BATCH_SIZE)) config.setMaxBatchSize(size(given.max_batch_size));
  if (is_set(CONFIG_MAX_NUM_TOKENS)) config.setMaxNumTokens(size(given.max_num_tokens));
  config.setMaxBeamWidth(is_set(CONFIG_MAX_BEAM_WIDTH) ? size(given.max_beam_width) : engine.max_beam_width);
  if (is_set(CONFIG_CHUNKED_CONTEXT)) config.setEnableChunkedContext(given.chunked_context != 0);
  if (is_set(CONFIG_NORMALIZE_LOGPROBS)) config.setNormalizeLogProbs(given.normalize_logprobs != 0);
  if (is_set(CONFIG_GPU_WEIGHTS_FRACTION)) config.setGpuWeightsPercent(given.gpu_weights_fraction);
  if (is_set(CONFIG_RECEIVE_POLL_PERIOD)) config.setRecvPollPeriodMs(size(given.receive_poll_period_ms));
  if (is_set(CONFIG_MAX_SEQUENCE_IDLE)) config.setMaxSeqIdleMicroseconds(uint64_t{given.max_sequence_idle_ms} * 1000);
  if (is_set(CONFIG_ITERATION_STATS)) config.setIterStatsMaxIterations(size(given.iteration_stats));
  if (is_set(CONFIG_REQUEST_STATS)) config.setRequestStatsMaxIterations(size(given.request_stats));
  if (is_set(CONFIG_GATHER_GENERATION_LOGITS))
    Need(config, {"gather_generation_logits", "0.19"}, [&](auto& c) -> decltype(c.setGatherGenerationLogits(true)) {
      c.setGatherGenerationLogits(given.gather_generation_logits != 0);
    });
  else
    IfHas(config, [&](auto& c) -> decltype(c.setGatherGenerationLogits(true)) {
      c.setGatherGenerationLogits(engine.gather_generation_logits);
    });
  if (is_set(CONFIG_FAIL_FAST_ON_ATTENTION_WINDOW))
    Need(config, {"fail_fast_on_attention_window", "1.0"},
         [&](auto& c) -> decltype(c.setFailFastOnAttentionWindowTooLarge(true)) {
           c.setFailFastOnAttentionWindowTooLarge(given.fail_fast_on_attention_window != 0);
         });
  if (given.additional_output_count > 0) SetAdditionalOutputs(given, &config);
  if (given.scheduler != nullptr) config.setSchedulerConfig(MakeScheduler(CopySized(given.scheduler)));
  if (given.kv_cache != nullptr) config.setKvCacheConfig(MakeKvCache(CopySized(given.kv_cache)));
  if (given.peft_cache != nullptr) config.setPeftCacheConfig(MakePeftCache(CopySized(given.peft_cache)));
  if (given.decoding != nullptr) SetDecoding(CopySized(given.decoding), &config);
  if (given.guided_decoding != nullptr) SetGuidedDecoding(CopySized(given.guided_decoding), &config);
  if (given.perf != nullptr) SetPerf(CopySized(given.perf), &config);
  if (given.transceiver != nullptr) SetTransceiver(CopySized(given.transceiver), &config);
  if (is_set(CONFIG_TENSOR_PARALLEL_SIZE) &&
      given.tensor_parallel_size != static_cast<uint32_t>(engine.tensor_parallel_size))
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "tensor_parallel_size",
                        " is " + std::to_string(given.tensor_parallel_size) + "; expected " +
                            std::to_string(engine.tensor_parallel_size) +
                            ", which the engine was built for. Remove it, or build the engine again.");
  config.setParallelConfig(MakeParallel(CopySized(given.parallel), engine, library_dir));
  // By default each end of the link to the workers polls for messages without a pause, which takes a whole core.
  const bool orchestrates = config.getParallelConfig()->getCommunicationMode() == tle::CommunicationMode::kORCHESTRATOR;
  if (orchestrates && !is_set(CONFIG_RECEIVE_POLL_PERIOD)) config.setRecvPollPeriodMs(1);
  return config;
}

}  // namespace adapter
