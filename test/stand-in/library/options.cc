// What option classes refuse, as NVIDIA's do; the rest of them is in their headers.
#include <filesystem>

#include "check.h"
#include "tensorrt_llm/executor/executor.h"

namespace tensorrt_llm::executor {
namespace {

using stand_in::Check;
using stand_in::Throw;

}  // namespace

#if STAND_IN_1_2
GuidedDecodingParams::GuidedDecodingParams(GuideType guideType, std::optional<std::string> guide)
    : guide_type_(guideType), guide_(std::move(guide)) {
  Check(guide_type_ == GuideType::kJSON || guide_, "The guide string must be provided unless using GuideType::kJSON.");
}

GuidedDecodingConfig::GuidedDecodingConfig(GuidedDecodingBackend backend,
                                           std::optional<std::vector<std::string>> encodedVocab,
                                           std::optional<std::string> tokenizerStr,
                                           std::optional<std::vector<TokenIdType>> stopTokenIds)
    : backend_(backend),
      encoded_vocab_(std::move(encodedVocab)),
      tokenizer_str_(std::move(tokenizerStr)),
      stop_token_ids_(std::move(stopTokenIds)) {
  validate();
}

void GuidedDecodingConfig::validate() const {
  Check(backend_ != GuidedDecodingBackend::kXGRAMMAR || encoded_vocab_,
        "Guided decoding is enabled with xgrammar, but EncodedVocab is not set");
}

std::vector<std::pair<SizeType32, SizeType32>> const DynamicBatchConfig::kDefaultBatchSizeTable{
    {144, 128}, {336, 256}, {672, 512}, {832, 768}, {1280, 1024}, {1664, 1536}};
#endif

LookaheadDecodingConfig::LookaheadDecodingConfig(SizeType32 windowSize, SizeType32 ngramSize,
                                                 SizeType32 verificationSetSize)
    : window_size_(windowSize), ngram_size_(ngramSize), verification_set_size_(verificationSetSize) {
  Check(ngramSize >= 1, "ngramSize requires >= 1");
  Check(windowSize >= 1, "windowSize requires >= 1");
  Check(ngramSize != 1 || verificationSetSize == 0, "ngramSize=1 requires verificationSetSize=0");
  Check(ngramSize != 1 || windowSize == 1, "ngramSize=1 requires windowSize=1");
  Check(verificationSetSize >= 0, "verificationSetSize requires >=0");
}

KvCacheConfig::KvCacheConfig(bool enableBlockReuse, std::optional<SizeType32> const& maxTokens,
                             std::optional<std::vector<SizeType32>> const& maxAttentionWindowVec,
                             std::optional<SizeType32> const& sinkTokenLength,
                             std::optional<FloatType> const& freeGpuMemoryFraction,
                             std::optional<size_t> const& hostCacheSize, bool onboardBlocks
#if STAND_IN_1_2
                             ,
                             std::optional<FloatType> const& crossKvCacheFraction,
                             std::optional<RetentionPriority> secondaryOffloadMinPriority, size_t eventBufferMaxSize,
                             bool enablePartialReuse, bool copyOnPartialReuse, bool useUvm,
                             SizeType32 attentionDpEventsGatherPeriodMs,
                             std::optional<tensorrt_llm::runtime::RuntimeDefaults> const&,
                             uint64_t const& maxGpuTotalBytes
#endif
                             )
    : enable_block_reuse_(enableBlockReuse),
      host_cache_size_(hostCacheSize),
      onboard_blocks_(onboardBlocks)
#if STAND_IN_1_2
      ,
      secondary_offload_min_priority_(secondaryOffloadMinPriority),
      event_buffer_max_size_(eventBufferMaxSize),
      enable_partial_reuse_(enablePartialReuse),
      copy_on_partial_reuse_(copyOnPartialReuse),
      use_uvm_(useUvm),
      max_gpu_total_bytes_(maxGpuTotalBytes)
#endif
{
  if (maxTokens) setMaxTokens(*maxTokens);
  if (maxAttentionWindowVec) setMaxAttentionWindowVec(*maxAttentionWindowVec);
  if (sinkTokenLength) setSinkTokenLength(*sinkTokenLength);
  if (freeGpuMemoryFraction) setFreeGpuMemoryFraction(*freeGpuMemoryFraction);
#if STAND_IN_1_2
  if (crossKvCacheFraction) setCrossKvCacheFraction(*crossKvCacheFraction);
  setAttentionDpEventsGatherPeriodMs(attentionDpEventsGatherPeriodMs);
#endif
}

#if STAND_IN_1_2
void KvCacheConfig::setMaxTokens(std::optional<SizeType32> maxTokens) {
  Check(!maxTokens || *maxTokens > 0, "maxTokens > 0");
  max_tokens_ = maxTokens;
}
void KvCacheConfig::setCrossKvCacheFraction(FloatType crossKvCacheFraction) {
  Check(crossKvCacheFraction > 0 && crossKvCacheFraction < 1, "0 < crossKvCacheFraction < 1");
  cross_kv_cache_fraction_ = crossKvCacheFraction;
}
void KvCacheConfig::setAttentionDpEventsGatherPeriodMs(SizeType32 attentionDpEventsGatherPeriodMs) {
  Check(attentionDpEventsGatherPeriodMs > 0, "Attention DP events gather period must be greater than 0");
  attention_dp_events_gather_period_ms_ = attentionDpEventsGatherPeriodMs;
}
#else
void KvCacheConfig::setMaxTokens(SizeType32 maxTokens) {
  Check(maxTokens > 0, "maxTokens > 0");
  max_tokens_ = maxTokens;
}
#endif
void KvCacheConfig::setMaxAttentionWindowVec(std::vector<SizeType32> maxAttentionWindowVec) {
  for (const SizeType32 window : maxAttentionWindowVec) Check(window > 0, "maxAttentionWindow > 0");
  max_attention_window_vec_ = std::move(maxAttentionWindowVec);
}
void KvCacheConfig::setSinkTokenLength(SizeType32 sinkTokenLength) {
  Check(sinkTokenLength > 0, "sinkTokenLength > 0");
  sink_token_length_ = sinkTokenLength;
}
void KvCacheConfig::setFreeGpuMemoryFraction(FloatType freeGpuMemoryFraction) {
  Check(freeGpuMemoryFraction > 0 && freeGpuMemoryFraction < 1, "0 < freeGpuMemoryFraction < 1");
  free_gpu_memory_fraction_ = freeGpuMemoryFraction;
}

OrchestratorConfig::OrchestratorConfig(bool isOrchestrator, std::string workerExecutablePath,
                                       std::shared_ptr<mpi::MpiComm> orchLeaderComm, bool spawnProcesses)
    : is_orchestrator_(isOrchestrator),
      worker_executable_path_(std::move(workerExecutablePath)),
      orch_leader_comm_(std::move(orchLeaderComm)),
      spawn_processes_(spawnProcesses) {
  Check(!spawnProcesses || std::filesystem::exists(worker_executable_path_),
        "Worker executable at " + worker_executable_path_ + " does not exist.");
}

#if STAND_IN_1_2
ParallelConfig::ParallelConfig(CommunicationType commType, CommunicationMode commMode,
                               std::optional<std::vector<SizeType32>> deviceIds,
                               std::optional<std::vector<SizeType32>> participantIds,
                               std::optional<OrchestratorConfig> const& orchestratorConfig,
                               std::optional<SizeType32> numNodes)
    : comm_type_(commType),
      comm_mode_(commMode),
      device_ids_(std::move(deviceIds)),
      participant_ids_(std::move(participantIds)),
      orchestrator_config_(orchestratorConfig),
      num_nodes_(numNodes) {
#else
ParallelConfig::ParallelConfig(CommunicationType commType, CommunicationMode commMode,
                               std::optional<std::vector<SizeType32>> deviceIds,
                               std::optional<std::vector<SizeType32>> participantIds,
                               std::optional<OrchestratorConfig> const& orchestratorConfig)
    : comm_type_(commType),
      comm_mode_(commMode),
      device_ids_(std::move(deviceIds)),
      participant_ids_(std::move(participantIds)),
      orchestrator_config_(orchestratorConfig) {
#endif
  if (device_ids_) setDeviceIds(*device_ids_);
}

void ParallelConfig::setDeviceIds(std::vector<SizeType32> const& deviceIds) {
  Check(!deviceIds.empty(), "deviceIds are not empty");
  device_ids_ = deviceIds;
}

#if STAND_IN_1_2
DecodingConfig::DecodingConfig(std::optional<DecodingMode> decodingMode,
                               std::optional<LookaheadDecodingConfig> lookaheadDecodingConfig,
                               std::optional<MedusaChoices> medusaChoices, std::optional<EagleConfig> eagleConfig)
    : mode_(decodingMode),
      lookahead_(lookaheadDecodingConfig),
      medusa_choices_(std::move(medusaChoices)),
      eagle_(std::move(eagleConfig)) {
  Check(!eagle_ || mode_ == DecodingMode::Eagle(), "EagleConfig is set, but DecodingMode is not set to Eagle");
#else
DecodingConfig::DecodingConfig(std::optional<DecodingMode> decodingMode,
                               std::optional<LookaheadDecodingConfig> lookaheadDecodingConfig,
                               std::optional<MedusaChoices> medusaChoices)
    : mode_(decodingMode), lookahead_(lookaheadDecodingConfig), medusa_choices_(std::move(medusaChoices)) {
#endif
  Check(!lookahead_ || mode_ == DecodingMode::Lookahead(),
        "LookaheadDecodingConfig is set, but DecodingMode is not set to Lookahead");
  Check(!medusa_choices_ || mode_ == DecodingMode::Medusa(),
        "MedusaChoices are set, but DecodingMode is not set to Medusa");
}

void DecodingConfig::setDecodingMode(DecodingMode const& mode) {
  bool has_own_setter = mode == DecodingMode::Medusa() || mode == DecodingMode::Lookahead();
#if STAND_IN_1_2
  has_own_setter = has_own_setter || mode == DecodingMode::Eagle();
#endif
  if (has_own_setter) Throw("Decoding mode must not be set with `setDecodingMode` for Medusa, Lookahead or Eagle");
  mode_ = mode;
}

#if STAND_IN_1_2
ExecutorConfig::ExecutorConfig(
    SizeType32 maxBeamWidth, SchedulerConfig schedulerConfig, KvCacheConfig kvCacheConfig, bool enableChunkedContext,
    bool normalizeLogProbs, SizeType32 iterStatsMaxIterations, SizeType32 requestStatsMaxIterations,
    BatchingType batchingType, std::optional<SizeType32> maxBatchSize, std::optional<SizeType32> maxNumTokens,
    std::optional<ParallelConfig> parallelConfig, std::optional<PeftCacheConfig> const& peftCacheConfig,
    std::optional<LogitsPostProcessorConfig> logitsPostProcessorConfig, std::optional<DecodingConfig> decodingConfig,
    bool useGpuDirectStorage, float gpuWeightsPercent, std::optional<SizeType32> maxQueueSize,
    ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig, std::optional<DebugConfig> debugConfig,
    SizeType32 recvPollPeriodMs, uint64_t maxSeqIdleMicroseconds,
    std::optional<SpeculativeDecodingConfig> specDecConfig, std::optional<GuidedDecodingConfig> guidedDecodingConfig,
    std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs,
    std::optional<CacheTransceiverConfig> cacheTransceiverConfig, bool gatherGenerationLogits,
    bool promptTableOffloading, bool enableTrtOverlap, bool failFastOnAttentionWindowTooLarge)
    : max_beam_width_(maxBeamWidth),
      scheduler_config_(schedulerConfig),
      kv_cache_config_(kvCacheConfig),
      enable_chunked_context_(enableChunkedContext),
      normalize_log_probs_(normalizeLogProbs),
      iter_stats_max_iterations_(iterStatsMaxIterations),
      request_stats_max_iterations_(requestStatsMaxIterations),
      batching_type_(batchingType),
      max_batch_size_(maxBatchSize),
      max_num_tokens_(maxNumTokens),
      parallel_config_(std::move(parallelConfig)),
      peft_cache_config_(peftCacheConfig),
      logits_post_processor_config_(std::move(logitsPostProcessorConfig)),
      decoding_config_(std::move(decodingConfig)),
      use_gpu_direct_storage_(useGpuDirectStorage),
      gpu_weights_percent_(gpuWeightsPercent),
      max_queue_size_(maxQueueSize),
      extended_runtime_perf_knob_config_(extendedRuntimePerfKnobConfig),
      debug_config_(std::move(debugConfig)),
      recv_poll_period_ms_(recvPollPeriodMs),
      max_seq_idle_microseconds_(maxSeqIdleMicroseconds),
      spec_dec_config_(std::move(specDecConfig)),
      guided_decoding_config_(std::move(guidedDecodingConfig)),
      additional_model_outputs_(std::move(additionalModelOutputs)),
      cache_transceiver_config_(std::move(cacheTransceiverConfig)),
      gather_generation_logits_(gatherGenerationLogits),
      prompt_table_offloading_(promptTableOffloading),
      enable_trt_overlap_(enableTrtOverlap),
      fail_fast_on_attention_window_too_large_(failFastOnAttentionWindowTooLarge) {
#else
ExecutorConfig::ExecutorConfig(SizeType32 maxBeamWidth, SchedulerConfig const& schedulerConfig,
                               KvCacheConfig const& kvCacheConfig, bool enableChunkedContext, bool normalizeLogProbs,
                               SizeType32 iterStatsMaxIterations, SizeType32 requestStatsMaxIterations,
                               BatchingType batchingType, std::optional<SizeType32> maxBatchSize,
                               std::optional<SizeType32> maxNumTokens, std::optional<ParallelConfig> parallelConfig,
                               std::optional<PeftCacheConfig> const& peftCacheConfig,
                               std::optional<LogitsPostProcessorConfig> logitsPostProcessorConfig,
                               std::optional<DecodingConfig> decodingConfig, float gpuWeightsPercent,
                               std::optional<SizeType32> maxQueueSize,
                               ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig,
                               std::optional<DebugConfig> debugConfig, SizeType32 recvPollPeriodMs,
                               uint64_t maxSeqIdleMicroseconds)
    : max_beam_width_(maxBeamWidth),
      scheduler_config_(schedulerConfig),
      kv_cache_config_(kvCacheConfig),
      enable_chunked_context_(enableChunkedContext),
      normalize_log_probs_(normalizeLogProbs),
      iter_stats_max_iterations_(iterStatsMaxIterations),
      request_stats_max_iterations_(requestStatsMaxIterations),
      batching_type_(batchingType),
      max_batch_size_(maxBatchSize),
      max_num_tokens_(maxNumTokens),
      parallel_config_(std::move(parallelConfig)),
      peft_cache_config_(peftCacheConfig),
      logits_post_processor_config_(std::move(logitsPostProcessorConfig)),
      decoding_config_(std::move(decodingConfig)),
      gpu_weights_percent_(gpuWeightsPercent),
      max_queue_size_(maxQueueSize),
      extended_runtime_perf_knob_config_(extendedRuntimePerfKnobConfig),
      debug_config_(std::move(debugConfig)),
      recv_poll_period_ms_(recvPollPeriodMs),
      max_seq_idle_microseconds_(maxSeqIdleMicroseconds) {
#endif
  Check(max_beam_width_ > 0, "maxBeamWidth > 0");
  Check(iter_stats_max_iterations_ >= 0, "iterStatsMaxIterations >= 0");
  Check(request_stats_max_iterations_ >= 0, "requestStatsMaxIterations >= 0");
  Check(max_seq_idle_microseconds_ > 0, "maxSeqIdleMicroseconds > 0");
}

void ExecutorConfig::setMaxBeamWidth(SizeType32 maxBeamWidth) {
  Check(maxBeamWidth > 0, "maxBeamWidth > 0");
  max_beam_width_ = maxBeamWidth;
}
void ExecutorConfig::setMaxBatchSize(SizeType32 maxBatchSize) {
  Check(maxBatchSize > 0, "maxBatchSize > 0");
  max_batch_size_ = maxBatchSize;
}
void ExecutorConfig::setMaxNumTokens(SizeType32 maxNumTokens) {
  Check(maxNumTokens > 0, "maxNumTokens > 0");
  max_num_tokens_ = maxNumTokens;
}

}  // namespace tensorrt_llm::executor
