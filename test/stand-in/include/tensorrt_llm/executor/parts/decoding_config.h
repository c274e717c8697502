#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_CONFIG_H_

#include "tensorrt_llm/executor/parts/request_parts.h"
#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

class DecodingConfig {
 public:
#if STAND_IN_1_2
  explicit DecodingConfig(std::optional<DecodingMode> decodingMode = std::nullopt,
                          std::optional<LookaheadDecodingConfig> lookaheadDecodingConfig = std::nullopt,
                          std::optional<MedusaChoices> medusaChoices = std::nullopt,
                          std::optional<EagleConfig> eagleConfig = std::nullopt);
#else
  explicit DecodingConfig(std::optional<DecodingMode> decodingMode = std::nullopt,
                          std::optional<LookaheadDecodingConfig> lookaheadDecodingConfig = std::nullopt,
                          std::optional<MedusaChoices> medusaChoices = std::nullopt);
#endif

  // Throws TllmException for Lookahead, Medusa and Eagle, whose own setters set the mode.
  void setDecodingMode(DecodingMode const& mode);
  [[nodiscard]] std::optional<DecodingMode> getDecodingMode() const { return mode_; }

#if STAND_IN_1_2
  void setLookaheadDecodingConfig(LookaheadDecodingConfig const& lookaheadDecodingConfig) {
    SetLookahead(lookaheadDecodingConfig);
  }
  void enableSeamlessLookaheadDecoding() { SetLookahead(LookaheadDecodingConfig()); }
#else
  void setLookaheadDecoding(LookaheadDecodingConfig const& lookaheadDecodingConfig) {
    SetLookahead(lookaheadDecodingConfig);
  }
#endif
  [[nodiscard]] std::optional<LookaheadDecodingConfig> getLookaheadDecodingConfig() const { return lookahead_; }

  void setMedusaChoices(MedusaChoices const& choices) {
    mode_ = DecodingMode::Medusa();
    medusa_choices_ = choices;
  }
  [[nodiscard]] std::optional<MedusaChoices> getMedusaChoices() const { return medusa_choices_; }

#if STAND_IN_1_2
  void setEagleConfig(EagleConfig const& config) {
    mode_ = DecodingMode::Eagle();
    eagle_ = config;
  }
  [[nodiscard]] std::optional<EagleConfig> getEagleConfig() const { return eagle_; }
#endif

 private:
  void SetLookahead(LookaheadDecodingConfig const& config) {
    mode_ = DecodingMode::Lookahead();
    lookahead_ = config;
  }

  std::optional<DecodingMode> mode_;
  std::optional<LookaheadDecodingConfig> lookahead_;
  std::optional<MedusaChoices> medusa_choices_;
#if STAND_IN_1_2
  std::optional<EagleConfig> eagle_;
#endif
};

#if STAND_IN_1_2
class SpeculativeDecodingConfig {
 public:
  explicit SpeculativeDecodingConfig(bool fastLogits = false) : fastLogits(fastLogits) {}

  bool fastLogits;
};

class GuidedDecodingConfig {
 public:
  enum class GuidedDecodingBackend { kXGRAMMAR = 0, kLLGUIDANCE = 1 };

  // Throws TllmException as validate() does.
  explicit GuidedDecodingConfig(GuidedDecodingBackend backend,
                                std::optional<std::vector<std::string>> encodedVocab = std::nullopt,
                                std::optional<std::string> tokenizerStr = std::nullopt,
                                std::optional<std::vector<TokenIdType>> stopTokenIds = std::nullopt);

  void setBackend(GuidedDecodingBackend const& backend) { backend_ = backend; }
  [[nodiscard]] GuidedDecodingBackend getBackend() const { return backend_; }

  void setEncodedVocab(std::vector<std::string> const& encodedVocab) { encoded_vocab_ = encodedVocab; }
  [[nodiscard]] std::optional<std::vector<std::string>> getEncodedVocab() const { return encoded_vocab_; }

  void setTokenizerStr(std::string const& tokenizerStr) { tokenizer_str_ = tokenizerStr; }
  [[nodiscard]] std::optional<std::string> getTokenizerStr() const { return tokenizer_str_; }

  void setStopTokenIds(std::vector<TokenIdType> const& stopTokenIds) { stop_token_ids_ = stopTokenIds; }
  [[nodiscard]] std::optional<std::vector<TokenIdType>> getStopTokenIds() const { return stop_token_ids_; }

  // XGrammar needs the vocabulary, LLGuidance the tokenizer too.
  void validate() const;

 private:
  GuidedDecodingBackend backend_;
  std::optional<std::vector<std::string>> encoded_vocab_;
  std::optional<std::string> tokenizer_str_;
  std::optional<std::vector<TokenIdType>> stop_token_ids_;
};
#endif

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_CONFIG_H_
