// What a request is made of besides its sampling: outputs, draft tokens, tuning, adapters, guides, KV retention.
#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_PARTS_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_PARTS_H_

#include <tuple>
#include <utility>

#include "tensorrt_llm/executor/tensor.h"
#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

#if STAND_IN_1_2
class AdditionalModelOutput {
 public:
  explicit AdditionalModelOutput(std::string name, bool gatherContext = false)
      : name(std::move(name)), gatherContext(gatherContext) {}

  std::string name;
  bool gatherContext{false};
};
#endif

class OutputConfig {
 public:
#if STAND_IN_1_2
  explicit OutputConfig(bool returnLogProbs = false, bool returnContextLogits = false,
                        bool returnGenerationLogits = false, bool excludeInputFromOutput = false,
                        bool returnEncoderOutput = false, bool returnPerfMetrics = false,
                        std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs = std::nullopt)
      : returnLogProbs(returnLogProbs),
        returnContextLogits(returnContextLogits),
        returnGenerationLogits(returnGenerationLogits),
        excludeInputFromOutput(excludeInputFromOutput),
        returnEncoderOutput(returnEncoderOutput),
        returnPerfMetrics(returnPerfMetrics),
        additionalModelOutputs(std::move(additionalModelOutputs)) {}
#else
  explicit OutputConfig(bool returnLogProbs = false, bool returnContextLogits = false,
                        bool returnGenerationLogits = false, bool excludeInputFromOutput = false,
                        bool returnEncoderOutput = false)
      : returnLogProbs(returnLogProbs),
        returnContextLogits(returnContextLogits),
        returnGenerationLogits(returnGenerationLogits),
        excludeInputFromOutput(excludeInputFromOutput),
        returnEncoderOutput(returnEncoderOutput) {}
#endif

  bool returnLogProbs;
  bool returnContextLogits;
  bool returnGenerationLogits;
  bool excludeInputFromOutput;
  bool returnEncoderOutput;
#if STAND_IN_1_2
  bool returnPerfMetrics;
  std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs;
#endif
};

class ExternalDraftTokensConfig {
 public:
#if STAND_IN_1_2
  explicit ExternalDraftTokensConfig(VecTokens tokens, std::optional<Tensor> logits = std::nullopt,
                                     std::optional<FloatType> const& acceptanceThreshold = std::nullopt,
                                     std::optional<bool> const& fastLogits = std::nullopt)
      : tokens_(std::move(tokens)),
        logits_(std::move(logits)),
        acceptance_threshold_(acceptanceThreshold),
        fast_logits_(fastLogits) {}
#else
  explicit ExternalDraftTokensConfig(VecTokens tokens, std::optional<Tensor> logits = std::nullopt,
                                     std::optional<FloatType> const& acceptanceThreshold = std::nullopt)
      : tokens_(std::move(tokens)), logits_(std::move(logits)), acceptance_threshold_(acceptanceThreshold) {}
#endif

  [[nodiscard]] VecTokens getTokens() const { return tokens_; }
  [[nodiscard]] std::optional<Tensor> getLogits() const { return logits_; }
  [[nodiscard]] std::optional<FloatType> getAcceptanceThreshold() const { return acceptance_threshold_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<bool> getFastLogits() const { return fast_logits_; }
#endif

 private:
  VecTokens tokens_;
  std::optional<Tensor> logits_;
  std::optional<FloatType> acceptance_threshold_;
  std::optional<bool> fast_logits_;
};

class PromptTuningConfig {
 public:
  explicit PromptTuningConfig(Tensor embeddingTable, std::optional<VecTokenExtraIds> inputTokenExtraIds = std::nullopt)
      : embedding_table_(std::move(embeddingTable)), input_token_extra_ids_(std::move(inputTokenExtraIds)) {}

  [[nodiscard]] Tensor getEmbeddingTable() const { return embedding_table_; }
  [[nodiscard]] std::optional<VecTokenExtraIds> getInputTokenExtraIds() const { return input_token_extra_ids_; }

 private:
  Tensor embedding_table_;
  std::optional<VecTokenExtraIds> input_token_extra_ids_;
};

class LoraConfig {
 public:
  explicit LoraConfig(IdType taskId, std::optional<Tensor> weights = std::nullopt,
                      std::optional<Tensor> config = std::nullopt)
      : task_id_(taskId), weights_(std::move(weights)), config_(std::move(config)) {}

  [[nodiscard]] IdType getTaskId() const { return task_id_; }
  [[nodiscard]] std::optional<Tensor> getWeights() const { return weights_; }
  [[nodiscard]] std::optional<Tensor> getConfig() const { return config_; }

 private:
  IdType task_id_;
  std::optional<Tensor> weights_;
  std::optional<Tensor> config_;
};

struct LookaheadDecodingConfig {
  // Throws TllmException unless windowSize and ngramSize are at least 1 and verificationSetSize is at least 0.
  LookaheadDecodingConfig(SizeType32 windowSize, SizeType32 ngramSize, SizeType32 verificationSetSize);
#if STAND_IN_1_2
  explicit LookaheadDecodingConfig() : LookaheadDecodingConfig(4, 3, 4) {}
#else
  explicit LookaheadDecodingConfig() : LookaheadDecodingConfig(1, 1, 0) {}
#endif

  [[nodiscard]] std::tuple<SizeType32 const, SizeType32 const, SizeType32 const> get() const {
    return {window_size_, ngram_size_, verification_set_size_};
  }
  [[nodiscard]] SizeType32 getWindowSize() const { return window_size_; }
  [[nodiscard]] SizeType32 getNgramSize() const { return ngram_size_; }
  [[nodiscard]] SizeType32 getVerificationSetSize() const { return verification_set_size_; }

 private:
  SizeType32 window_size_;
  SizeType32 ngram_size_;
  SizeType32 verification_set_size_;
};

class ContextPhaseParams {
 public:
#if STAND_IN_1_2
  using RequestIdType = std::uint64_t;

  ContextPhaseParams(VecTokens firstGenTokens, RequestIdType reqId, std::optional<VecTokens> draftTokens)
      : ContextPhaseParams(std::move(firstGenTokens), reqId, std::vector<char>(), std::move(draftTokens)) {}
  ContextPhaseParams(VecTokens firstGenTokens, RequestIdType reqId, std::vector<char> const& serializedState,
                     std::optional<VecTokens> draftTokens)
      : first_gen_tokens_(std::move(firstGenTokens)),
        req_id_(reqId),
        state_(serializedState),
        draft_tokens_(std::move(draftTokens)) {}

  [[nodiscard]] std::optional<VecTokens> const& getDraftTokens() const& noexcept { return draft_tokens_; }
  [[nodiscard]] RequestIdType getReqId() const noexcept { return req_id_; }
  [[nodiscard]] std::vector<char> getSerializedState() const noexcept { return state_; }
#else
  explicit ContextPhaseParams(VecTokens firstGenTokens) : first_gen_tokens_(std::move(firstGenTokens)) {}
#endif
  [[nodiscard]] VecTokens const& getFirstGenTokens() const& noexcept { return first_gen_tokens_; }

 private:
  VecTokens first_gen_tokens_;
#if STAND_IN_1_2
  RequestIdType req_id_;
  std::vector<char> state_;
  std::optional<VecTokens> draft_tokens_;
#endif
};

#if STAND_IN_1_2
class MultimodalInput {
 public:
  explicit MultimodalInput(std::vector<std::vector<SizeType32>> multimodalHashes,
                           std::vector<SizeType32> multimodalPositions, std::vector<SizeType32> multimodalLengths)
      : hashes_(std::move(multimodalHashes)),
        positions_(std::move(multimodalPositions)),
        lengths_(std::move(multimodalLengths)) {}

  [[nodiscard]] std::vector<std::vector<SizeType32>> getMultimodalHashes() const { return hashes_; }
  [[nodiscard]] std::vector<SizeType32> getMultimodalPositions() const { return positions_; }
  [[nodiscard]] std::vector<SizeType32> getMultimodalLengths() const { return lengths_; }

 private:
  std::vector<std::vector<SizeType32>> hashes_;
  std::vector<SizeType32> positions_;
  std::vector<SizeType32> lengths_;
};

class MropeConfig {
 public:
  explicit MropeConfig(Tensor mropeRotaryCosSin, SizeType32 mropePositionDeltas)
      : rotary_cos_sin_(std::move(mropeRotaryCosSin)), position_deltas_(mropePositionDeltas) {}

  [[nodiscard]] Tensor getMRopeRotaryCosSin() const { return rotary_cos_sin_; }
  [[nodiscard]] SizeType32 getMRopePositionDeltas() const { return position_deltas_; }

 private:
  Tensor rotary_cos_sin_;
  SizeType32 position_deltas_;
};

struct EagleConfig {
  explicit EagleConfig(std::optional<EagleChoices> eagleChoices = std::nullopt, bool greedySampling = true,
                       std::optional<float> posteriorThreshold = std::nullopt, bool useDynamicTree = false,
                       std::optional<SizeType32> dynamicTreeMaxTopK = std::nullopt)
      : choices_(std::move(eagleChoices)),
        greedy_sampling_(greedySampling),
        posterior_threshold_(posteriorThreshold),
        use_dynamic_tree_(useDynamicTree),
        dynamic_tree_max_top_k_(dynamicTreeMaxTopK) {}

  [[nodiscard]] std::optional<EagleChoices> getEagleChoices() const { return choices_; }
  [[nodiscard]] std::optional<float> getPosteriorThreshold() const { return posterior_threshold_; }
  [[nodiscard]] bool isGreedySampling() const { return greedy_sampling_; }
  [[nodiscard]] bool useDynamicTree() const { return use_dynamic_tree_; }
  [[nodiscard]] std::optional<SizeType32> getDynamicTreeMaxTopK() const { return dynamic_tree_max_top_k_; }

 private:
  std::optional<EagleChoices> choices_;
  bool greedy_sampling_;
  std::optional<float> posterior_threshold_;
  bool use_dynamic_tree_;
  std::optional<SizeType32> dynamic_tree_max_top_k_;
};

class GuidedDecodingParams {
 public:
  enum class GuideType { kJSON = 0, kJSON_SCHEMA = 1, kREGEX = 2, kEBNF_GRAMMAR = 3, kSTRUCTURAL_TAG = 4 };

  // Throws TllmException if there is no guide and the type is not kJSON.
  explicit GuidedDecodingParams(GuideType guideType, std::optional<std::string> guide = std::nullopt);

  [[nodiscard]] GuideType getGuideType() const { return guide_type_; }
  [[nodiscard]] std::optional<std::string> getGuide() const { return guide_; }

 private:
  GuideType guide_type_;
  std::optional<std::string> guide_;
};

using RetentionPriority = SizeType32;

class KvCacheRetentionConfig {
 public:
  static constexpr RetentionPriority kMinRetentionPriority = 0;
  static constexpr RetentionPriority kMaxRetentionPriority = 100;
  static constexpr RetentionPriority kDefaultRetentionPriority = 35;

  struct TokenRangeRetentionConfig {
    explicit TokenRangeRetentionConfig(SizeType32 tokenStart, std::optional<SizeType32> tokenEnd = std::nullopt,
                                       RetentionPriority priority = KvCacheRetentionConfig::kDefaultRetentionPriority,
                                       std::optional<std::chrono::milliseconds> durationMs = std::nullopt)
        : tokenStart(tokenStart), tokenEnd(tokenEnd), priority(priority), durationMs(durationMs) {}

    SizeType32 tokenStart;
    std::optional<SizeType32> tokenEnd;
    RetentionPriority priority;
    std::optional<std::chrono::milliseconds> durationMs;
  };

  explicit KvCacheRetentionConfig() : KvCacheRetentionConfig({}, kDefaultRetentionPriority) {}
  explicit KvCacheRetentionConfig(std::vector<TokenRangeRetentionConfig> const& tokenRangeRetentionPriorities,
                                  RetentionPriority decodeRetentionPriority = kDefaultRetentionPriority,
                                  std::optional<std::chrono::milliseconds> decodeDurationMs = std::nullopt,
                                  KvCacheTransferMode transferMode = KvCacheTransferMode::DRAM,
                                  std::string const& directory = "")
      : ranges_(tokenRangeRetentionPriorities),
        decode_priority_(decodeRetentionPriority),
        decode_duration_(decodeDurationMs),
        transfer_mode_(transferMode),
        directory_(directory) {}

  [[nodiscard]] std::vector<TokenRangeRetentionConfig> getTokenRangeRetentionConfigs() const { return ranges_; }
  [[nodiscard]] RetentionPriority getDecodeRetentionPriority() const { return decode_priority_; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> getDecodeDurationMs() const { return decode_duration_; }
  [[nodiscard]] KvCacheTransferMode getTransferMode() const { return transfer_mode_; }
  [[nodiscard]] std::string const& getDirectory() const { return directory_; }

 private:
  std::vector<TokenRangeRetentionConfig> ranges_;
  RetentionPriority decode_priority_;
  std::optional<std::chrono::milliseconds> decode_duration_;
  KvCacheTransferMode transfer_mode_;
  std::string directory_;
};
#endif

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_PARTS_H_
