#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_KV_CACHE_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_KV_CACHE_CONFIG_H_

#include "tensorrt_llm/executor/parts/request_parts.h"
#include "tensorrt_llm/executor/types.h"
#if STAND_IN_1_2
#include "tensorrt_llm/runtime/runtimeDefaults.h"
#endif

namespace tensorrt_llm::executor {

// The constructor and the setters throw TllmException on what is out of range.
class KvCacheConfig {
 public:
#if STAND_IN_1_2
  static constexpr auto kDefaultGpuMemFraction = 0.9F;

  explicit KvCacheConfig(bool enableBlockReuse = true, std::optional<SizeType32> const& maxTokens = std::nullopt,
                         std::optional<std::vector<SizeType32>> const& maxAttentionWindowVec = std::nullopt,
                         std::optional<SizeType32> const& sinkTokenLength = std::nullopt,
                         std::optional<FloatType> const& freeGpuMemoryFraction = std::nullopt,
                         std::optional<size_t> const& hostCacheSize = std::nullopt, bool onboardBlocks = true,
                         std::optional<FloatType> const& crossKvCacheFraction = std::nullopt,
                         std::optional<RetentionPriority> secondaryOffloadMinPriority = std::nullopt,
                         size_t eventBufferMaxSize = 0, bool enablePartialReuse = true, bool copyOnPartialReuse = true,
                         bool useUvm = false, SizeType32 attentionDpEventsGatherPeriodMs = 5,
                         std::optional<tensorrt_llm::runtime::RuntimeDefaults> const& runtimeDefaults = std::nullopt,
                         uint64_t const& maxGpuTotalBytes = 0);
#else
  explicit KvCacheConfig(bool enableBlockReuse = false, std::optional<SizeType32> const& maxTokens = std::nullopt,
                         std::optional<std::vector<SizeType32>> const& maxAttentionWindowVec = std::nullopt,
                         std::optional<SizeType32> const& sinkTokenLength = std::nullopt,
                         std::optional<FloatType> const& freeGpuMemoryFraction = std::nullopt,
                         std::optional<size_t> const& hostCacheSize = std::nullopt, bool onboardBlocks = true);
#endif

  [[nodiscard]] bool getEnableBlockReuse() const { return enable_block_reuse_; }
  [[nodiscard]] std::optional<SizeType32> getMaxTokens() const { return max_tokens_; }
  [[nodiscard]] std::optional<std::vector<SizeType32>> getMaxAttentionWindowVec() const {
    return max_attention_window_vec_;
  }
  [[nodiscard]] std::optional<SizeType32> getSinkTokenLength() const { return sink_token_length_; }
  [[nodiscard]] std::optional<FloatType> getFreeGpuMemoryFraction() const { return free_gpu_memory_fraction_; }
  [[nodiscard]] std::optional<size_t> getHostCacheSize() const { return host_cache_size_; }
  [[nodiscard]] bool getOnboardBlocks() const { return onboard_blocks_; }

  void setEnableBlockReuse(bool enableBlockReuse) { enable_block_reuse_ = enableBlockReuse; }
#if STAND_IN_1_2
  void setMaxTokens(std::optional<SizeType32> maxTokens);
#else
  void setMaxTokens(SizeType32 maxTokens);
#endif
  void setMaxAttentionWindowVec(std::vector<SizeType32> maxAttentionWindowVec);
  void setSinkTokenLength(SizeType32 sinkTokenLength);
  void setFreeGpuMemoryFraction(FloatType freeGpuMemoryFraction);
  void setHostCacheSize(size_t hostCacheSize) { host_cache_size_ = hostCacheSize; }
  void setOnboardBlocks(bool onboardBlocks) { onboard_blocks_ = onboardBlocks; }

#if STAND_IN_1_2
  [[nodiscard]] bool getEnablePartialReuse() const { return enable_partial_reuse_; }
  [[nodiscard]] bool getCopyOnPartialReuse() const { return copy_on_partial_reuse_; }
  [[nodiscard]] std::optional<FloatType> getCrossKvCacheFraction() const { return cross_kv_cache_fraction_; }
  [[nodiscard]] std::optional<RetentionPriority> getSecondaryOffloadMinPriority() const {
    return secondary_offload_min_priority_;
  }
  [[nodiscard]] size_t getEventBufferMaxSize() const { return event_buffer_max_size_; }
  [[nodiscard]] bool getUseUvm() const { return use_uvm_; }
  [[nodiscard]] SizeType32 getAttentionDpEventsGatherPeriodMs() const { return attention_dp_events_gather_period_ms_; }
  [[nodiscard]] uint64_t getMaxGpuTotalBytes() const { return max_gpu_total_bytes_; }

  void setEnablePartialReuse(bool enablePartialReuse) { enable_partial_reuse_ = enablePartialReuse; }
  void setCopyOnPartialReuse(bool copyOnPartialReuse) { copy_on_partial_reuse_ = copyOnPartialReuse; }
  void setCrossKvCacheFraction(FloatType crossKvCacheFraction);
  void setSecondaryOffloadMinPriority(std::optional<RetentionPriority> secondaryOffloadMinPriority) {
    secondary_offload_min_priority_ = secondaryOffloadMinPriority;
  }
  void setEventBufferMaxSize(size_t eventBufferMaxSize) { event_buffer_max_size_ = eventBufferMaxSize; }
  void setUseUvm(bool useUvm) { use_uvm_ = useUvm; }
  void setAttentionDpEventsGatherPeriodMs(SizeType32 attentionDpEventsGatherPeriodMs);
  void setMaxGpuTotalBytes(uint64_t maxGpuTotalBytes) { max_gpu_total_bytes_ = maxGpuTotalBytes; }
#endif

 private:
  bool enable_block_reuse_;
  std::optional<SizeType32> max_tokens_;
  std::optional<std::vector<SizeType32>> max_attention_window_vec_;
  std::optional<SizeType32> sink_token_length_;
  std::optional<FloatType> free_gpu_memory_fraction_;
  std::optional<size_t> host_cache_size_;
  bool onboard_blocks_;
#if STAND_IN_1_2
  std::optional<FloatType> cross_kv_cache_fraction_;
  std::optional<RetentionPriority> secondary_offload_min_priority_;
  size_t event_buffer_max_size_;
  bool enable_partial_reuse_;
  bool copy_on_partial_reuse_;
  bool use_uvm_;
  SizeType32 attention_dp_events_gather_period_ms_;
  uint64_t max_gpu_total_bytes_;
#endif
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_KV_CACHE_CONFIG_H_
