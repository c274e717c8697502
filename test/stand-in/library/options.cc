// What option classes refuse, as NVIDIA's do; the rest of them is in their headers.
#include <filesystem>

#include "check.h"
#include "tensorrt_llm/executor/executor.h"

namespace tensorrt_llm::executor {
namespace {

using stand_in::Check;
using stand_in::Throw;

constexpr SizeType32 kMaxBeamWidth = 1024;

}  // namespace

SamplingConfig::SamplingConfig(
    SizeType32 beamWidth, std::optional<SizeType32> const& topK, std::optional<FloatType> const& topP,
    std::optional<FloatType> const& topPMin, std::optional<TokenIdType> const& topPResetIds,
    std::optional<FloatType> const& topPDecay, std::optional<RandomSeedType> const& seed,
    std::optional<FloatType> const& temperature, std::optional<SizeType32> const& minTokens,
    std::optional<FloatType> const& beamSearchDiversityRate, std::optional<FloatType> const& repetitionPenalty,
    std::optional<FloatType> const& presencePenalty, std::optional<FloatType> const& frequencyPenalty,
#if STAND_IN_1_2
    std::optional<SizeType32> const& promptIgnoreLength,
#endif
    std::optional<FloatType> const& lengthPenalty, std::optional<SizeType32> const& earlyStopping,
    std::optional<SizeType32> const& noRepeatNgramSize
#if STAND_IN_1_2
    ,
    std::optional<SizeType32> const& numReturnSequences, std::optional<FloatType> const& minP,
    std::optional<std::vector<SizeType32>> const& beamWidthArray
#endif
) {
  setBeamWidth(beamWidth);
  setTopK(topK);
  setTopP(topP);
  setTopPMin(topPMin);
  setTopPResetIds(topPResetIds);
  setTopPDecay(topPDecay);
  setSeed(seed);
  setTemperature(temperature);
  setMinTokens(minTokens);
  setBeamSearchDiversityRate(beamSearchDiversityRate);
  setRepetitionPenalty(repetitionPenalty);
  setPresencePenalty(presencePenalty);
  setFrequencyPenalty(frequencyPenalty);
  Check(!lengthPenalty || *lengthPenalty >= 0, "lengthPenalty >= 0");
  setLengthPenalty(lengthPenalty);
  setEarlyStopping(earlyStopping);
  setNoRepeatNgramSize(noRepeatNgramSize);
#if STAND_IN_1_2
  setPromptIgnoreLength(promptIgnoreLength);
  setNumReturnSequences(numReturnSequences);
  setMinP(minP);
  setBeamWidthArray(beamWidthArray);
#endif
}

bool SamplingConfig::operator==(SamplingConfig const& other) const {
  const auto fields = [](const SamplingConfig& config) {
    return std::tie(config.beam_width_, config.top_k_, config.top_p_, config.top_p_min_, config.top_p_reset_ids_,
                    config.top_p_decay_, config.seed_, config.temperature_, config.min_tokens_,
                    config.beam_search_diversity_rate_, config.repetition_penalty_, config.presence_penalty_,
                    config.frequency_penalty_, config.prompt_ignore_length_, config.length_penalty_,
                    config.early_stopping_, config.no_repeat_ngram_size_, config.num_return_sequences_, config.min_p_,
                    config.beam_width_array_);
  };
  return fields(*this) == fields(other);
}

void SamplingConfig::setBeamWidth(SizeType32 beamWidth) {
  Check(beamWidth > 0 && beamWidth <= kMaxBeamWidth, "0 < beamWidth <= 1024");
  beam_width_ = beamWidth;
}
void SamplingConfig::setTopK(std::optional<SizeType32> const& topK) {
  Check(!topK || *topK >= 0, "topK >= 0");
  top_k_ = topK;
}
void SamplingConfig::setTopP(std::optional<FloatType> const& topP) {
  Check(!topP || (*topP > 0 && *topP <= 1), "0 < topP <= 1");
  top_p_ = topP;
}
void SamplingConfig::setTopPMin(std::optional<FloatType> const& topPMin) {
  Check(!topPMin || (*topPMin >= 0 && *topPMin <= 1), "0 <= topPMin <= 1");
  top_p_min_ = topPMin;
}
void SamplingConfig::setTopPResetIds(std::optional<TokenIdType> const& topPResetIds) {
  Check(!topPResetIds || *topPResetIds >= 0, "topPResetIds >= 0");
  top_p_reset_ids_ = topPResetIds;
}
void SamplingConfig::setTopPDecay(std::optional<FloatType> const& topPDecay) {
  Check(!topPDecay || (*topPDecay > 0 && *topPDecay <= 1), "0 < topPDecay <= 1");
  top_p_decay_ = topPDecay;
}
void SamplingConfig::setSeed(std::optional<RandomSeedType> const& seed) { seed_ = seed; }
void SamplingConfig::setTemperature(std::optional<FloatType> const& temperature) {
  Check(!temperature || *temperature >= 0, "temperature >= 0");
  temperature_ = temperature;
}
void SamplingConfig::setMinTokens(std::optional<SizeType32> const& minTokens) {
  Check(!minTokens || *minTokens >= 0, "minTokens >= 0");
  min_tokens_ = minTokens;
}
void SamplingConfig::setBeamSearchDiversityRate(std::optional<FloatType> const& beamSearchDiversityRate) {
  Check(!beamSearchDiversityRate || *beamSearchDiversityRate >= 0, "beamSearchDiversityRate >= 0");
  beam_search_diversity_rate_ = beamSearchDiversityRate;
}
void SamplingConfig::setRepetitionPenalty(std::optional<FloatType> const& repetitionPenalty) {
  Check(!repetitionPenalty || *repetitionPenalty > 0, "repetitionPenalty > 0");
  repetition_penalty_ = repetitionPenalty;
}
void SamplingConfig::setPresencePenalty(std::optional<FloatType> const& presencePenalty) {
  presence_penalty_ = presencePenalty;
}
void SamplingConfig::setFrequencyPenalty(std::optional<FloatType> const& frequencyPenalty) {
  frequency_penalty_ = frequencyPenalty;
}
void SamplingConfig::setLengthPenalty(std::optional<FloatType> const& lengthPenalty) {
  length_penalty_ = lengthPenalty;
}
void SamplingConfig::setEarlyStopping(std::optional<SizeType32> const& earlyStopping) {
  Check(!earlyStopping || *earlyStopping >= 0, "earlyStopping >= 0");
  early_stopping_ = earlyStopping;
}
void SamplingConfig::setNoRepeatNgramSize(std::optional<SizeType32> const& noRepeatNgramSize) {
  Check(!noRepeatNgramSize || *noRepeatNgramSize >= 0, "noRepeatNgramSize >= 0");
  no_repeat_ngram_size_ = noRepeatNgramSize;
}

#if STAND_IN_1_2
void SamplingConfig::setPromptIgnoreLength(std::optional<SizeType32> const& promptIgnoreLength) {
  Check(!promptIgnoreLength || *promptIgnoreLength >= 0, "promptIgnoreLength >= 0");
  prompt_ignore_length_ = promptIgnoreLength;
}
void SamplingConfig::setNumReturnSequences(std::optional<SizeType32> const& numReturnSequences) {
  Check(!numReturnSequences || *numReturnSequences > 0, "numReturnSequences > 0");
  Check(!numReturnSequences || beam_width_ == 1 || *numReturnSequences <= beam_width_,
        "beamWidth == 1 or numReturnSequences <= beamWidth");
  num_return_sequences_ = numReturnSequences;
}
void SamplingConfig::setMinP(std::optional<FloatType> const& minP) {
  Check(!minP || (*minP >= 0 && *minP <= 1), "0 <= minP <= 1");
  min_p_ = minP;
}
void SamplingConfig::setBeamWidthArray(std::optional<std::vector<SizeType32>> const& beamWidthArray) {
  for (const SizeType32 width : beamWidthArray.value_or(std::vector<SizeType32>()))
    Check(width > 0 && width < kMaxBeamWidth, "0 < width < 1024 in beamWidthArray");
  beam_width_array_ = beamWidthArray;
}

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
