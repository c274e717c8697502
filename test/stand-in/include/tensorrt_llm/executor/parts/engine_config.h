// The groups of an ExecutorConfig that are neither the KV cache, decoding nor ranks.
#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_ENGINE_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_ENGINE_CONFIG_H_

#include <utility>

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

#if STAND_IN_1_2
class DynamicBatchConfig {
 public:
  static SizeType32 const kDefaultDynamicBatchMovingAverageWindow = 128;

  explicit DynamicBatchConfig(bool enableBatchSizeTuning = false, bool enableMaxNumTokensTuning = false,
                              SizeType32 dynamicBatchMovingAverageWindow = kDefaultDynamicBatchMovingAverageWindow,
                              std::vector<std::pair<SizeType32, SizeType32>> batchSizeTable = kDefaultBatchSizeTable)
      : enable_batch_size_tuning_(enableBatchSizeTuning),
        enable_max_num_tokens_tuning_(enableMaxNumTokensTuning),
        moving_average_window_(dynamicBatchMovingAverageWindow),
        batch_size_table_(std::move(batchSizeTable)) {}

  [[nodiscard]] SizeType32 getDynamicBatchMovingAverageWindow() const { return moving_average_window_; }
  [[nodiscard]] bool getEnableBatchSizeTuning() const { return enable_batch_size_tuning_; }
  [[nodiscard]] bool getEnableMaxNumTokensTuning() const { return enable_max_num_tokens_tuning_; }
  [[nodiscard]] std::vector<std::pair<SizeType32, SizeType32>> getBatchSizeTable() const { return batch_size_table_; }

  static std::vector<std::pair<SizeType32, SizeType32>> const kDefaultBatchSizeTable;

 private:
  bool enable_batch_size_tuning_;
  bool enable_max_num_tokens_tuning_;
  SizeType32 moving_average_window_;
  std::vector<std::pair<SizeType32, SizeType32>> batch_size_table_;
};
#endif

class SchedulerConfig {
 public:
#if STAND_IN_1_2
  explicit SchedulerConfig(
      CapacitySchedulerPolicy capacitySchedulerPolicy = CapacitySchedulerPolicy::kGUARANTEED_NO_EVICT,
      std::optional<ContextChunkingPolicy> contextChunkingPolicy = std::nullopt,
      std::optional<DynamicBatchConfig> dynamicBatchConfig = std::nullopt)
      : capacity_scheduler_policy_(capacitySchedulerPolicy),
        context_chunking_policy_(contextChunkingPolicy),
        dynamic_batch_config_(std::move(dynamicBatchConfig)) {}

  [[nodiscard]] std::optional<DynamicBatchConfig> getDynamicBatchConfig() const { return dynamic_batch_config_; }
#else
  explicit SchedulerConfig(
      CapacitySchedulerPolicy capacitySchedulerPolicy = CapacitySchedulerPolicy::kGUARANTEED_NO_EVICT,
      std::optional<ContextChunkingPolicy> contextChunkingPolicy = std::nullopt)
      : capacity_scheduler_policy_(capacitySchedulerPolicy), context_chunking_policy_(contextChunkingPolicy) {}
#endif
  [[nodiscard]] CapacitySchedulerPolicy getCapacitySchedulerPolicy() const { return capacity_scheduler_policy_; }
  [[nodiscard]] std::optional<ContextChunkingPolicy> getContextChunkingPolicy() const {
    return context_chunking_policy_;
  }

 private:
  CapacitySchedulerPolicy capacity_scheduler_policy_;
  std::optional<ContextChunkingPolicy> context_chunking_policy_;
#if STAND_IN_1_2
  std::optional<DynamicBatchConfig> dynamic_batch_config_;
#endif
};

class ExtendedRuntimePerfKnobConfig {
 public:
#if STAND_IN_1_2
  explicit ExtendedRuntimePerfKnobConfig(bool multiBlockMode = true, bool enableContextFMHAFP32Acc = false,
                                         bool cudaGraphMode = false, SizeType32 cudaGraphCacheSize = 0)
      : multi_block_mode_(multiBlockMode),
        enable_context_fmha_fp32_acc_(enableContextFMHAFP32Acc),
        cuda_graph_mode_(cudaGraphMode),
        cuda_graph_cache_size_(cudaGraphCacheSize) {}

  [[nodiscard]] bool getCudaGraphMode() const { return cuda_graph_mode_; }
  [[nodiscard]] SizeType32 getCudaGraphCacheSize() const { return cuda_graph_cache_size_; }
  void setCudaGraphMode(bool cudaGraphMode) { cuda_graph_mode_ = cudaGraphMode; }
  void setCudaGraphCacheSize(SizeType32 cacheSize) { cuda_graph_cache_size_ = cacheSize; }
#else
  explicit ExtendedRuntimePerfKnobConfig(bool multiBlockMode = true, bool enableContextFMHAFP32Acc = false)
      : multi_block_mode_(multiBlockMode), enable_context_fmha_fp32_acc_(enableContextFMHAFP32Acc) {}
#endif
  [[nodiscard]] bool getMultiBlockMode() const { return multi_block_mode_; }
  [[nodiscard]] bool getEnableContextFMHAFP32Acc() const { return enable_context_fmha_fp32_acc_; }
  void setMultiBlockMode(bool multiBlockMode) { multi_block_mode_ = multiBlockMode; }
  void setEnableContextFMHAFP32Acc(bool enableContextFMHAFP32Acc) {
    enable_context_fmha_fp32_acc_ = enableContextFMHAFP32Acc;
  }

 private:
  bool multi_block_mode_;
  bool enable_context_fmha_fp32_acc_;
#if STAND_IN_1_2
  bool cuda_graph_mode_;
  SizeType32 cuda_graph_cache_size_;
#endif
};

// Only its place in ExecutorConfig is used.
class DebugConfig {
  using StringVec = std::vector<std::string>;

 public:
#if STAND_IN_1_2
  explicit DebugConfig(bool debugInputTensors = false, bool debugOutputTensors = false, StringVec debugTensorNames = {},
                       SizeType32 debugTensorsMaxIterations = 0);
#else
  explicit DebugConfig(bool dumpInputTensors = false, bool dumpOuputTensors = false, StringVec debugTensorNames = {});
#endif
};

class PeftCacheConfig {
 public:
#if STAND_IN_1_2
  static constexpr SizeType32 kDefaultOptimalAdapterSize = 8;
  static constexpr SizeType32 kDefaultMaxAdapterSize = 64;
  static constexpr SizeType32 kDefaultMaxPagesPerBlockHost = 24;
  static constexpr SizeType32 kDefaultMaxPagesPerBlockDevice = 8;

  explicit PeftCacheConfig(SizeType32 numHostModuleLayer = 0, SizeType32 numDeviceModuleLayer = 0,
                           SizeType32 optimalAdapterSize = kDefaultOptimalAdapterSize,
                           SizeType32 maxAdapterSize = kDefaultMaxAdapterSize, SizeType32 numPutWorkers = 1,
                           SizeType32 numEnsureWorkers = 1, SizeType32 numCopyStreams = 1,
                           SizeType32 maxPagesPerBlockHost = kDefaultMaxPagesPerBlockHost,
                           SizeType32 maxPagesPerBlockDevice = kDefaultMaxPagesPerBlockDevice,
                           std::optional<float> const& deviceCachePercent = std::nullopt,
                           std::optional<size_t> const& hostCacheSize = std::nullopt,
                           std::optional<std::string> const& loraPrefetchDir = std::nullopt)
      : lora_prefetch_dir_(loraPrefetchDir),
#else
  explicit PeftCacheConfig(SizeType32 numHostModuleLayer = 0, SizeType32 numDeviceModuleLayer = 0,
                           SizeType32 optimalAdapterSize = 8, SizeType32 maxAdapterSize = 64,
                           SizeType32 numPutWorkers = 1, SizeType32 numEnsureWorkers = 1, SizeType32 numCopyStreams = 1,
                           SizeType32 maxPagesPerBlockHost = 24, SizeType32 maxPagesPerBlockDevice = 8,
                           std::optional<float> const& deviceCachePercent = std::nullopt,
                           std::optional<size_t> const& hostCacheSize = std::nullopt)
      :
#endif
        num_host_module_layer_(numHostModuleLayer),
        num_device_module_layer_(numDeviceModuleLayer),
        optimal_adapter_size_(optimalAdapterSize),
        max_adapter_size_(maxAdapterSize),
        num_put_workers_(numPutWorkers),
        num_ensure_workers_(numEnsureWorkers),
        num_copy_streams_(numCopyStreams),
        max_pages_per_block_host_(maxPagesPerBlockHost),
        max_pages_per_block_device_(maxPagesPerBlockDevice),
        device_cache_percent_(deviceCachePercent),
        host_cache_size_(hostCacheSize) {
  }

  [[nodiscard]] SizeType32 getNumHostModuleLayer() const { return num_host_module_layer_; }
  [[nodiscard]] SizeType32 getNumDeviceModuleLayer() const { return num_device_module_layer_; }
  [[nodiscard]] SizeType32 getOptimalAdapterSize() const { return optimal_adapter_size_; }
  [[nodiscard]] SizeType32 getMaxAdapterSize() const { return max_adapter_size_; }
  [[nodiscard]] SizeType32 getNumPutWorkers() const { return num_put_workers_; }
  [[nodiscard]] SizeType32 getNumEnsureWorkers() const { return num_ensure_workers_; }
  [[nodiscard]] SizeType32 getNumCopyStreams() const { return num_copy_streams_; }
  [[nodiscard]] SizeType32 getMaxPagesPerBlockHost() const { return max_pages_per_block_host_; }
  [[nodiscard]] SizeType32 getMaxPagesPerBlockDevice() const { return max_pages_per_block_device_; }
  [[nodiscard]] std::optional<float> getDeviceCachePercent() const { return device_cache_percent_; }
  [[nodiscard]] std::optional<size_t> getHostCacheSize() const { return host_cache_size_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<std::string> getLoraPrefetchDir() const { return lora_prefetch_dir_; }
#endif

 private:
#if STAND_IN_1_2
  std::optional<std::string> lora_prefetch_dir_;
#endif
  SizeType32 num_host_module_layer_;
  SizeType32 num_device_module_layer_;
  SizeType32 optimal_adapter_size_;
  SizeType32 max_adapter_size_;
  SizeType32 num_put_workers_;
  SizeType32 num_ensure_workers_;
  SizeType32 num_copy_streams_;
  SizeType32 max_pages_per_block_host_;
  SizeType32 max_pages_per_block_device_;
  std::optional<FloatType> device_cache_percent_;
  std::optional<size_t> host_cache_size_;
};

// Only its place in ExecutorConfig is used.
class LogitsPostProcessorConfig {
 public:
  explicit LogitsPostProcessorConfig(std::optional<LogitsPostProcessorMap> processorMap = std::nullopt,
                                     std::optional<LogitsPostProcessorBatched> processorBatched = std::nullopt,
                                     bool replicate = true);
};

#if STAND_IN_1_2
class CacheTransceiverConfig {
 public:
  enum class BackendType : std::uint8_t { DEFAULT = 0, MPI = 1, UCX = 2, NIXL = 3, MOONCAKE = 4 };

  explicit CacheTransceiverConfig(std::optional<BackendType> backendType = std::nullopt,
                                  std::optional<size_t> maxNumTokens = std::nullopt,
                                  std::optional<int> kvTransferTimeoutMs = std::nullopt,
                                  std::optional<int> kvTransferSenderFutureTimeoutMs = std::nullopt)
      : backend_type_(backendType),
        max_tokens_in_buffer_(maxNumTokens),
        kv_transfer_timeout_ms_(kvTransferTimeoutMs),
        kv_transfer_sender_future_timeout_ms_(kvTransferSenderFutureTimeoutMs) {}

  void setBackendType(std::optional<BackendType> backendType) { backend_type_ = backendType; }
  void setMaxTokensInBuffer(std::optional<size_t> maxTokensInBuffer) { max_tokens_in_buffer_ = maxTokensInBuffer; }
  void setKvTransferTimeoutMs(std::optional<int> kvTransferTimeoutMs) { kv_transfer_timeout_ms_ = kvTransferTimeoutMs; }
  void setKvTransferSenderFutureTimeoutMs(std::optional<int> kvTransferSenderFutureTimeoutMs) {
    kv_transfer_sender_future_timeout_ms_ = kvTransferSenderFutureTimeoutMs;
  }

  [[nodiscard]] std::optional<int> getKvTransferTimeoutMs() const { return kv_transfer_timeout_ms_; }
  [[nodiscard]] std::optional<int> getKvTransferSenderFutureTimeoutMs() const {
    return kv_transfer_sender_future_timeout_ms_;
  }
  [[nodiscard]] std::optional<size_t> getMaxTokensInBuffer() const { return max_tokens_in_buffer_; }
  [[nodiscard]] std::optional<BackendType> getBackendType() const { return backend_type_; }

 private:
  std::optional<BackendType> backend_type_;
  std::optional<size_t> max_tokens_in_buffer_;
  std::optional<int> kv_transfer_timeout_ms_;
  std::optional<int> kv_transfer_sender_future_timeout_ms_;
};
#else
SizeType32 const kDefaultIterStatsMaxIterations = 1000;
SizeType32 const kDefaultRequestStatsMaxIterations = 0;
#endif

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_ENGINE_CONFIG_H_
