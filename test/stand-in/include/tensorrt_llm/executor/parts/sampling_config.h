#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_SAMPLING_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_SAMPLING_CONFIG_H_

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

// The constructor and the setters throw TllmException on what is out of range.
class SamplingConfig {
 public:
#if STAND_IN_1_2
  explicit SamplingConfig(SizeType32 beamWidth = 1, std::optional<SizeType32> const& topK = std::nullopt,
                          std::optional<FloatType> const& topP = std::nullopt,
                          std::optional<FloatType> const& topPMin = std::nullopt,
                          std::optional<TokenIdType> const& topPResetIds = std::nullopt,
                          std::optional<FloatType> const& topPDecay = std::nullopt,
                          std::optional<RandomSeedType> const& seed = std::nullopt,
                          std::optional<FloatType> const& temperature = std::nullopt,
                          std::optional<SizeType32> const& minTokens = std::nullopt,
                          std::optional<FloatType> const& beamSearchDiversityRate = std::nullopt,
                          std::optional<FloatType> const& repetitionPenalty = std::nullopt,
                          std::optional<FloatType> const& presencePenalty = std::nullopt,
                          std::optional<FloatType> const& frequencyPenalty = std::nullopt,
                          std::optional<SizeType32> const& promptIgnoreLength = std::nullopt,
                          std::optional<FloatType> const& lengthPenalty = std::nullopt,
                          std::optional<SizeType32> const& earlyStopping = std::nullopt,
                          std::optional<SizeType32> const& noRepeatNgramSize = std::nullopt,
                          std::optional<SizeType32> const& numReturnSequences = std::nullopt,
                          std::optional<FloatType> const& minP = std::nullopt,
                          std::optional<std::vector<SizeType32>> const& beamWidthArray = std::nullopt);
#else
  explicit SamplingConfig(SizeType32 beamWidth = 1, std::optional<SizeType32> const& topK = std::nullopt,
                          std::optional<FloatType> const& topP = std::nullopt,
                          std::optional<FloatType> const& topPMin = std::nullopt,
                          std::optional<TokenIdType> const& topPResetIds = std::nullopt,
                          std::optional<FloatType> const& topPDecay = std::nullopt,
                          std::optional<RandomSeedType> const& seed = std::nullopt,
                          std::optional<FloatType> const& temperature = std::nullopt,
                          std::optional<SizeType32> const& minTokens = std::nullopt,
                          std::optional<FloatType> const& beamSearchDiversityRate = std::nullopt,
                          std::optional<FloatType> const& repetitionPenalty = std::nullopt,
                          std::optional<FloatType> const& presencePenalty = std::nullopt,
                          std::optional<FloatType> const& frequencyPenalty = std::nullopt,
                          std::optional<FloatType> const& lengthPenalty = std::nullopt,
                          std::optional<SizeType32> const& earlyStopping = std::nullopt,
                          std::optional<SizeType32> const& noRepeatNgramSize = std::nullopt);
#endif

  bool operator==(SamplingConfig const& other) const;

  [[nodiscard]] SizeType32 getBeamWidth() const { return beam_width_; }
  [[nodiscard]] std::optional<SizeType32> getTopK() const { return top_k_; }
  [[nodiscard]] std::optional<FloatType> getTopP() const { return top_p_; }
  [[nodiscard]] std::optional<FloatType> getTopPMin() const { return top_p_min_; }
  [[nodiscard]] std::optional<SizeType32> getTopPResetIds() const { return top_p_reset_ids_; }
  [[nodiscard]] std::optional<FloatType> getTopPDecay() const { return top_p_decay_; }
  [[nodiscard]] std::optional<RandomSeedType> getSeed() const { return seed_; }
  [[nodiscard]] std::optional<FloatType> getTemperature() const { return temperature_; }
  [[nodiscard]] std::optional<SizeType32> getMinTokens() const { return min_tokens_; }
  [[nodiscard]] std::optional<FloatType> getBeamSearchDiversityRate() const { return beam_search_diversity_rate_; }
  [[nodiscard]] std::optional<FloatType> getRepetitionPenalty() const { return repetition_penalty_; }
  [[nodiscard]] std::optional<FloatType> getPresencePenalty() const { return presence_penalty_; }
  [[nodiscard]] std::optional<FloatType> getFrequencyPenalty() const { return frequency_penalty_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<SizeType32> getPromptIgnoreLength() const { return prompt_ignore_length_; }
#endif
  [[nodiscard]] std::optional<FloatType> getLengthPenalty() const { return length_penalty_; }
  [[nodiscard]] std::optional<SizeType32> getEarlyStopping() const { return early_stopping_; }
  [[nodiscard]] std::optional<SizeType32> getNoRepeatNgramSize() const { return no_repeat_ngram_size_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<SizeType32> getNumReturnSequences() const { return num_return_sequences_; }
  [[nodiscard]] std::optional<FloatType> getMinP() const { return min_p_; }
  [[nodiscard]] std::optional<std::vector<SizeType32>> getBeamWidthArray() const { return beam_width_array_; }
#endif

  void setBeamWidth(SizeType32 beamWidth);
  void setTopK(std::optional<SizeType32> const& topK);
  void setTopP(std::optional<FloatType> const& topP);
  void setTopPMin(std::optional<FloatType> const& topPMin);
  void setTopPResetIds(std::optional<TokenIdType> const& topPResetIds);
  void setTopPDecay(std::optional<FloatType> const& topPDecay);
  void setSeed(std::optional<RandomSeedType> const& seed);
  void setTemperature(std::optional<FloatType> const& temperature);
  void setMinTokens(std::optional<SizeType32> const& minTokens);
  void setBeamSearchDiversityRate(std::optional<FloatType> const& beamSearchDiversityRate);
  void setRepetitionPenalty(std::optional<FloatType> const& repetitionPenalty);
  void setPresencePenalty(std::optional<FloatType> const& presencePenalty);
  void setFrequencyPenalty(std::optional<FloatType> const& frequencyPenalty);
#if STAND_IN_1_2
  void setPromptIgnoreLength(std::optional<SizeType32> const& promptIgnoreLength);
#endif
  void setLengthPenalty(std::optional<FloatType> const& lengthPenalty);
  void setEarlyStopping(std::optional<SizeType32> const& earlyStopping);
  void setNoRepeatNgramSize(std::optional<SizeType32> const& noRepeatNgramSize);
#if STAND_IN_1_2
  void setNumReturnSequences(std::optional<SizeType32> const& numReturnSequences);
  void setMinP(std::optional<FloatType> const& minP);
  void setBeamWidthArray(std::optional<std::vector<SizeType32>> const& beamWidthArray);
#endif
#if !STAND_IN_1_2

  // The names of 0.12.
  [[nodiscard]] std::optional<RandomSeedType> getRandomSeed() const { return getSeed(); }
  [[nodiscard]] std::optional<SizeType32> getMinLength() const { return getMinTokens(); }
  void setRandomSeed(std::optional<RandomSeedType> const& randomSeed) { setSeed(randomSeed); }
  void setMinLength(std::optional<SizeType32> const& minLength) { setMinTokens(minLength); }
#endif

 private:
  SizeType32 beam_width_ = 1;
  std::optional<SizeType32> top_k_;
  std::optional<FloatType> top_p_;
  std::optional<FloatType> top_p_min_;
  std::optional<TokenIdType> top_p_reset_ids_;
  std::optional<FloatType> top_p_decay_;
  std::optional<RandomSeedType> seed_;
  std::optional<FloatType> temperature_;
  std::optional<SizeType32> min_tokens_;
  std::optional<FloatType> beam_search_diversity_rate_;
  std::optional<FloatType> repetition_penalty_;
  std::optional<FloatType> presence_penalty_;
  std::optional<FloatType> frequency_penalty_;
  std::optional<SizeType32> prompt_ignore_length_;
  std::optional<FloatType> length_penalty_;
  std::optional<SizeType32> early_stopping_;
  std::optional<SizeType32> no_repeat_ngram_size_;
  std::optional<SizeType32> num_return_sequences_;
  std::optional<FloatType> min_p_;
  std::optional<std::vector<SizeType32>> beam_width_array_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_SAMPLING_CONFIG_H_
