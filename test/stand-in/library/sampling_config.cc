#include "tensorrt_llm/executor/parts/sampling_config.h"

#include <tuple>

#include "check.h"

namespace tensorrt_llm::executor {
namespace {

using stand_in::Check;

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
#endif

}  // namespace tensorrt_llm::executor
