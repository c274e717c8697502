#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_EXECUTOR_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_EXECUTOR_CONFIG_H_

#include <utility>

#include "tensorrt_llm/executor/parts/decoding_config.h"
#include "tensorrt_llm/executor/parts/engine_config.h"
#include "tensorrt_llm/executor/parts/kv_cache_config.h"
#include "tensorrt_llm/executor/parts/parallel_config.h"

namespace tensorrt_llm::executor {

// The constructor and the setters throw TllmException on what is out of range.
class ExecutorConfig {
 public:
#if STAND_IN_1_2
  static constexpr uint64_t kDefaultMaxSeqIdleMicroseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::minutes(3)).count();
  static constexpr SizeType32 kDefaultIterStatsMaxIterations = 1000;
  static constexpr SizeType32 kDefaultRequestStatsMaxIterations = 0;

  explicit ExecutorConfig(
      SizeType32 maxBeamWidth = 1, SchedulerConfig schedulerConfig = SchedulerConfig(),
      KvCacheConfig kvCacheConfig = KvCacheConfig(), bool enableChunkedContext = true, bool normalizeLogProbs = true,
      SizeType32 iterStatsMaxIterations = kDefaultIterStatsMaxIterations,
      SizeType32 requestStatsMaxIterations = kDefaultRequestStatsMaxIterations,
      BatchingType batchingType = BatchingType::kINFLIGHT, std::optional<SizeType32> maxBatchSize = std::nullopt,
      std::optional<SizeType32> maxNumTokens = std::nullopt,
      std::optional<ParallelConfig> parallelConfig = std::nullopt,
      std::optional<PeftCacheConfig> const& peftCacheConfig = std::nullopt,
      std::optional<LogitsPostProcessorConfig> logitsPostProcessorConfig = std::nullopt,
      std::optional<DecodingConfig> decodingConfig = std::nullopt, bool useGpuDirectStorage = false,
      float gpuWeightsPercent = 1, std::optional<SizeType32> maxQueueSize = std::nullopt,
      ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig = ExtendedRuntimePerfKnobConfig(),
      std::optional<DebugConfig> debugConfig = std::nullopt, SizeType32 recvPollPeriodMs = 0,
      uint64_t maxSeqIdleMicroseconds = kDefaultMaxSeqIdleMicroseconds,
      std::optional<SpeculativeDecodingConfig> specDecConfig = std::nullopt,
      std::optional<GuidedDecodingConfig> guidedDecodingConfig = std::nullopt,
      std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs = std::nullopt,
      std::optional<CacheTransceiverConfig> cacheTransceiverConfig = std::nullopt, bool gatherGenerationLogits = false,
      bool promptTableOffloading = false, bool enableTrtOverlap = false,
      bool failFastOnAttentionWindowTooLarge = false);
#else
  explicit ExecutorConfig(
      SizeType32 maxBeamWidth = 1, SchedulerConfig const& schedulerConfig = SchedulerConfig(),
      KvCacheConfig const& kvCacheConfig = KvCacheConfig(), bool enableChunkedContext = false,
      bool normalizeLogProbs = true, SizeType32 iterStatsMaxIterations = kDefaultIterStatsMaxIterations,
      SizeType32 requestStatsMaxIterations = kDefaultRequestStatsMaxIterations,
      BatchingType batchingType = BatchingType::kINFLIGHT, std::optional<SizeType32> maxBatchSize = std::nullopt,
      std::optional<SizeType32> maxNumTokens = std::nullopt,
      std::optional<ParallelConfig> parallelConfig = std::nullopt,
      std::optional<PeftCacheConfig> const& peftCacheConfig = std::nullopt,
      std::optional<LogitsPostProcessorConfig> logitsPostProcessorConfig = std::nullopt,
      std::optional<DecodingConfig> decodingConfig = std::nullopt, float gpuWeightsPercent = 1,
      std::optional<SizeType32> maxQueueSize = std::nullopt,
      ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig = ExtendedRuntimePerfKnobConfig(),
      std::optional<DebugConfig> debugConfig = std::nullopt, SizeType32 recvPollPeriodMs = 0,
      uint64_t maxSeqIdleMicroseconds = 180000000);
#endif

  [[nodiscard]] SizeType32 getMaxBeamWidth() const { return max_beam_width_; }
  [[nodiscard]] SchedulerConfig getSchedulerConfig() const { return scheduler_config_; }
  [[nodiscard]] KvCacheConfig getKvCacheConfig() const { return kv_cache_config_; }
  [[nodiscard]] bool getEnableChunkedContext() const { return enable_chunked_context_; }
  [[nodiscard]] bool getNormalizeLogProbs() const { return normalize_log_probs_; }
  [[nodiscard]] SizeType32 getIterStatsMaxIterations() const { return iter_stats_max_iterations_; }
  [[nodiscard]] SizeType32 getRequestStatsMaxIterations() const { return request_stats_max_iterations_; }
  [[nodiscard]] BatchingType getBatchingType() const { return batching_type_; }
  [[nodiscard]] std::optional<SizeType32> getMaxBatchSize() const { return max_batch_size_; }
  [[nodiscard]] std::optional<SizeType32> getMaxNumTokens() const { return max_num_tokens_; }
  [[nodiscard]] std::optional<ParallelConfig> getParallelConfig() const { return parallel_config_; }
  [[nodiscard]] std::optional<PeftCacheConfig> getPeftCacheConfig() const { return peft_cache_config_; }
  [[nodiscard]] std::optional<LogitsPostProcessorConfig> getLogitsPostProcessorConfig() const {
    return logits_post_processor_config_;
  }
  [[nodiscard]] std::optional<DecodingConfig> getDecodingConfig() const { return decoding_config_; }
#if STAND_IN_1_2
  [[nodiscard]] bool getUseGpuDirectStorage() const { return use_gpu_direct_storage_; }
#endif
  [[nodiscard]] float getGpuWeightsPercent() const { return gpu_weights_percent_; }
  [[nodiscard]] std::optional<SizeType32> getMaxQueueSize() const { return max_queue_size_; }
  [[nodiscard]] ExtendedRuntimePerfKnobConfig getExtendedRuntimePerfKnobConfig() const {
    return extended_runtime_perf_knob_config_;
  }
  [[nodiscard]] std::optional<DebugConfig> getDebugConfig() const { return debug_config_; }
  [[nodiscard]] SizeType32 getRecvPollPeriodMs() const { return recv_poll_period_ms_; }
  [[nodiscard]] uint64_t getMaxSeqIdleMicroseconds() const { return max_seq_idle_microseconds_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<SpeculativeDecodingConfig> getSpecDecConfig() const { return spec_dec_config_; }
  [[nodiscard]] std::optional<GuidedDecodingConfig> getGuidedDecodingConfig() const { return guided_decoding_config_; }
  [[nodiscard]] std::optional<std::vector<AdditionalModelOutput>> getAdditionalModelOutputs() const {
    return additional_model_outputs_;
  }
  [[nodiscard]] std::optional<CacheTransceiverConfig> getCacheTransceiverConfig() const {
    return cache_transceiver_config_;
  }
  [[nodiscard]] bool getGatherGenerationLogits() const { return gather_generation_logits_; }
  [[nodiscard]] bool getPromptTableOffloading() const { return prompt_table_offloading_; }
  [[nodiscard]] bool getEnableTrtOverlap() const { return enable_trt_overlap_; }
  [[nodiscard]] bool getFailFastOnAttentionWindowTooLarge() const { return fail_fast_on_attention_window_too_large_; }
#endif

  void setMaxBeamWidth(SizeType32 maxBeamWidth);
  void setSchedulerConfig(SchedulerConfig const& schedulerConfig) { scheduler_config_ = schedulerConfig; }
  void setKvCacheConfig(KvCacheConfig const& kvCacheConfig) { kv_cache_config_ = kvCacheConfig; }
  void setEnableChunkedContext(bool enableChunkedContext) { enable_chunked_context_ = enableChunkedContext; }
  void setNormalizeLogProbs(bool normalizeLogProbs) { normalize_log_probs_ = normalizeLogProbs; }
  void setIterStatsMaxIterations(SizeType32 iterStatsMaxIterations) {
    iter_stats_max_iterations_ = iterStatsMaxIterations;
  }
  void setRequestStatsMaxIterations(SizeType32 requestStatsMaxIterations) {
    request_stats_max_iterations_ = requestStatsMaxIterations;
  }
  void setBatchingType(BatchingType batchingType) { batching_type_ = batchingType; }
  void setMaxBatchSize(SizeType32 maxBatchSize);
  void setMaxNumTokens(SizeType32 maxNumTokens);
  void setParallelConfig(ParallelConfig const& parallelConfig) { parallel_config_ = parallelConfig; }
  void setPeftCacheConfig(PeftCacheConfig const& peftCacheConfig) { peft_cache_config_ = peftCacheConfig; }
  void setLogitsPostProcessorConfig(LogitsPostProcessorConfig const& logitsPostProcessorConfig) {
    logits_post_processor_config_ = logitsPostProcessorConfig;
  }
  void setDecodingConfig(DecodingConfig const& decodingConfig) { decoding_config_ = decodingConfig; }
#if STAND_IN_1_2
  void setUseGpuDirectStorage(bool const& useGpuDirectStorage) { use_gpu_direct_storage_ = useGpuDirectStorage; }
#endif
  void setGpuWeightsPercent(float const& gpuWeightsPercent) { gpu_weights_percent_ = gpuWeightsPercent; }
  void setMaxQueueSize(std::optional<SizeType32> const& maxQueueSize) { max_queue_size_ = maxQueueSize; }
  void setExtendedRuntimePerfKnobConfig(ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig) {
    extended_runtime_perf_knob_config_ = extendedRuntimePerfKnobConfig;
  }
  void setDebugConfig(DebugConfig const& debugConfig) { debug_config_ = debugConfig; }
  void setRecvPollPeriodMs(SizeType32 const& recvPollPeriodMs) { recv_poll_period_ms_ = recvPollPeriodMs; }
  void setMaxSeqIdleMicroseconds(uint64_t maxSeqIdleMicroseconds) {
    max_seq_idle_microseconds_ = maxSeqIdleMicroseconds;
  }
#if STAND_IN_1_2
  void setSpecDecConfig(SpeculativeDecodingConfig const& specDecConfig) { spec_dec_config_ = specDecConfig; }
  void setGuidedDecodingConfig(GuidedDecodingConfig const& guidedDecodingConfig) {
    guided_decoding_config_ = guidedDecodingConfig;
  }
  void setAdditionalModelOutputs(std::vector<AdditionalModelOutput> const& additionalModelOutputs) {
    additional_model_outputs_ = additionalModelOutputs;
  }
  void setCacheTransceiverConfig(CacheTransceiverConfig const& cacheTransceiverConfig) {
    cache_transceiver_config_ = cacheTransceiverConfig;
  }
  void setGatherGenerationLogits(bool gatherGenerationLogits) { gather_generation_logits_ = gatherGenerationLogits; }
  void setPromptTableOffloading(bool promptTableOffloading) { prompt_table_offloading_ = promptTableOffloading; }
  void setEnableTrtOverlap(bool enableTrtOverlap) { enable_trt_overlap_ = enableTrtOverlap; }
  void setFailFastOnAttentionWindowTooLarge(bool failFastOnAttentionWindowTooLarge) {
    fail_fast_on_attention_window_too_large_ = failFastOnAttentionWindowTooLarge;
  }
#endif

 private:
  SizeType32 max_beam_width_;
  SchedulerConfig scheduler_config_;
  KvCacheConfig kv_cache_config_;
  bool enable_chunked_context_;
  bool normalize_log_probs_;
  SizeType32 iter_stats_max_iterations_;
  SizeType32 request_stats_max_iterations_;
  BatchingType batching_type_;
  std::optional<SizeType32> max_batch_size_;
  std::optional<SizeType32> max_num_tokens_;
  std::optional<ParallelConfig> parallel_config_;
  std::optional<PeftCacheConfig> peft_cache_config_;
  std::optional<LogitsPostProcessorConfig> logits_post_processor_config_;
  std::optional<DecodingConfig> decoding_config_;
#if STAND_IN_1_2
  bool use_gpu_direct_storage_;
#endif
  float gpu_weights_percent_;
  std::optional<SizeType32> max_queue_size_;
  ExtendedRuntimePerfKnobConfig extended_runtime_perf_knob_config_;
  std::optional<DebugConfig> debug_config_;
  SizeType32 recv_poll_period_ms_;
  uint64_t max_seq_idle_microseconds_;
#if STAND_IN_1_2
  std::optional<SpeculativeDecodingConfig> spec_dec_config_;
  std::optional<GuidedDecodingConfig> guided_decoding_config_;
  std::optional<std::vector<AdditionalModelOutput>> additional_model_outputs_;
  std::optional<CacheTransceiverConfig> cache_transceiver_config_;
  bool gather_generation_logits_;
  bool prompt_table_offloading_;
  bool enable_trt_overlap_;
  bool fail_fast_on_attention_window_too_large_;
#endif
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_EXECUTOR_CONFIG_H_
