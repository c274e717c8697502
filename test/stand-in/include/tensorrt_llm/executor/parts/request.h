#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_H_

#include <list>
#include <utility>

#include "tensorrt_llm/executor/parts/request_parts.h"
#include "tensorrt_llm/executor/parts/sampling_config.h"
#include "tensorrt_llm/executor/tensor.h"

namespace tensorrt_llm::executor {

class Request {
 public:
  static constexpr PriorityType kDefaultPriority = 0.5;

  // Throws TllmException on an empty prompt, maxTokens below 1 or an embedding bias that is not of rank 1.
#if STAND_IN_1_2
  Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming = false,
          SamplingConfig const& samplingConfig = SamplingConfig(), OutputConfig const& outputConfig = OutputConfig(),
          std::optional<SizeType32> const& endId = std::nullopt, std::optional<SizeType32> const& padId = std::nullopt,
          std::optional<std::vector<SizeType32>> positionIds = std::nullopt,
          std::optional<std::list<VecTokens>> badWords = std::nullopt,
          std::optional<std::list<VecTokens>> stopWords = std::nullopt,
          std::optional<Tensor> embeddingBias = std::nullopt,
          std::optional<ExternalDraftTokensConfig> externalDraftTokensConfig = std::nullopt,
          std::optional<PromptTuningConfig> pTuningConfig = std::nullopt,
          std::optional<MultimodalInput> multimodalInput = std::nullopt,
          std::optional<Tensor> multimodalEmbedding = std::nullopt,
          std::optional<MropeConfig> mRopeConfig = std::nullopt, std::optional<LoraConfig> loraConfig = std::nullopt,
          std::optional<LookaheadDecodingConfig> lookaheadConfig = std::nullopt,
          std::optional<KvCacheRetentionConfig> kvCacheRetentionConfig = std::nullopt,
          std::optional<std::string> logitsPostProcessorName = std::nullopt,
          std::optional<LogitsPostProcessor> logitsPostProcessor = std::nullopt,
          std::optional<VecTokens> encoderInputTokenIds = std::nullopt, std::optional<IdType> clientId = std::nullopt,
          bool returnAllGeneratedTokens = false, PriorityType priority = kDefaultPriority,
          RequestType type = RequestType::REQUEST_TYPE_CONTEXT_AND_GENERATION,
          std::optional<ContextPhaseParams> contextPhaseParams = std::nullopt,
          std::optional<Tensor> encoderInputFeatures = std::nullopt,
          std::optional<SizeType32> encoderOutputLength = std::nullopt,
          std::optional<Tensor> crossAttentionMask = std::nullopt, SizeType32 numReturnSequences = 1,
          std::optional<EagleConfig> eagleConfig = std::nullopt,
          std::optional<Tensor> skipCrossAttnBlocks = std::nullopt,
          std::optional<GuidedDecodingParams> guidedDecodingParams = std::nullopt,
          std::optional<SizeType32> languageAdapterUid = std::nullopt,
          std::optional<MillisecondsType> allottedTimeMs = std::nullopt,
          std::optional<CacheSaltIDType> cacheSaltID = std::nullopt);
#else
  Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming = false,
          SamplingConfig const& samplingConfig = SamplingConfig(), OutputConfig const& outputConfig = OutputConfig(),
          std::optional<SizeType32> const& endId = std::nullopt, std::optional<SizeType32> const& padId = std::nullopt,
          std::optional<std::vector<SizeType32>> positionIds = std::nullopt,
          std::optional<std::list<VecTokens>> badWords = std::nullopt,
          std::optional<std::list<VecTokens>> stopWords = std::nullopt,
          std::optional<Tensor> embeddingBias = std::nullopt,
          std::optional<ExternalDraftTokensConfig> externalDraftTokensConfig = std::nullopt,
          std::optional<PromptTuningConfig> pTuningConfig = std::nullopt,
          std::optional<LoraConfig> loraConfig = std::nullopt,
          std::optional<LookaheadDecodingConfig> lookaheadConfig = std::nullopt,
          std::optional<std::string> logitsPostProcessorName = std::nullopt,
          std::optional<VecTokens> encoderInputTokenIds = std::nullopt, std::optional<IdType> clientId = std::nullopt,
          bool returnAllGeneratedTokens = false, PriorityType priority = kDefaultPriority,
          RequestType type = RequestType::REQUEST_TYPE_CONTEXT_AND_GENERATION,
          std::optional<ContextPhaseParams> contextPhaseParams = std::nullopt,
          std::optional<Tensor> encoderInputFeatures = std::nullopt,
          std::optional<SizeType32> encoderOutputLength = std::nullopt, SizeType32 numReturnSequences = 1);
#endif

  [[nodiscard]] VecTokens getInputTokenIds() const { return input_token_ids_; }
  [[nodiscard]] SizeType32 getMaxTokens() const { return max_tokens_; }
  [[nodiscard]] bool getStreaming() const { return streaming_; }
  [[nodiscard]] SamplingConfig getSamplingConfig() const { return sampling_config_; }
  [[nodiscard]] OutputConfig getOutputConfig() const { return output_config_; }
  [[nodiscard]] std::optional<SizeType32> getEndId() const { return end_id_; }
  [[nodiscard]] std::optional<SizeType32> getPadId() const { return pad_id_; }
  [[nodiscard]] std::optional<std::vector<SizeType32>> getPositionIds() const { return position_ids_; }
  [[nodiscard]] std::optional<std::list<VecTokens>> getBadWords() const { return bad_words_; }
  [[nodiscard]] std::optional<std::list<VecTokens>> getStopWords() const { return stop_words_; }
  [[nodiscard]] std::optional<Tensor> getEmbeddingBias() const { return embedding_bias_; }
  [[nodiscard]] std::optional<ExternalDraftTokensConfig> getExternalDraftTokensConfig() const {
    return external_draft_tokens_config_;
  }
  [[nodiscard]] std::optional<PromptTuningConfig> getPromptTuningConfig() const { return p_tuning_config_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<MultimodalInput> getMultimodalInput() const { return multimodal_input_; }
  [[nodiscard]] std::optional<Tensor> getMultimodalEmbedding() const { return multimodal_embedding_; }
  [[nodiscard]] std::optional<MropeConfig> getMropeConfig() const { return m_rope_config_; }
#endif
  [[nodiscard]] std::optional<LoraConfig> getLoraConfig() const { return lora_config_; }
  [[nodiscard]] std::optional<LookaheadDecodingConfig> getLookaheadConfig() const { return lookahead_config_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<KvCacheRetentionConfig> getKvCacheRetentionConfig() const {
    return kv_cache_retention_config_;
  }
#endif
  [[nodiscard]] std::optional<std::string> getLogitsPostProcessorName() const { return logits_post_processor_name_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<LogitsPostProcessor> getLogitsPostProcessor() const { return logits_post_processor_; }
#endif
  [[nodiscard]] std::optional<VecTokens> getEncoderInputTokenIds() const { return encoder_input_token_ids_; }
  [[nodiscard]] std::optional<IdType> getClientId() const { return client_id_; }
  [[nodiscard]] bool getReturnAllGeneratedTokens() const { return return_all_generated_tokens_; }
  [[nodiscard]] PriorityType getPriority() const { return priority_; }
  [[nodiscard]] RequestType getRequestType() const { return type_; }
  [[nodiscard]] std::optional<ContextPhaseParams> const& getContextPhaseParams() const { return context_phase_params_; }
  [[nodiscard]] std::optional<Tensor> getEncoderInputFeatures() const { return encoder_input_features_; }
  [[nodiscard]] std::optional<SizeType32> getEncoderOutputLength() const { return encoder_output_length_; }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<Tensor> getCrossAttentionMask() const { return cross_attention_mask_; }
#endif
#if !STAND_IN_1_2
  [[nodiscard]] SizeType32 getNumReturnSequences() const { return num_return_sequences_; }
#endif
#if STAND_IN_1_2
  [[nodiscard]] std::optional<EagleConfig> getEagleConfig() const { return eagle_config_; }
  [[nodiscard]] std::optional<Tensor> getSkipCrossAttnBlocks() const { return skip_cross_attn_blocks_; }
  [[nodiscard]] std::optional<GuidedDecodingParams> getGuidedDecodingParams() const { return guided_decoding_params_; }
  [[nodiscard]] std::optional<SizeType32> getLanguageAdapterUid() const { return language_adapter_uid_; }
  [[nodiscard]] std::optional<MillisecondsType> getAllottedTimeMs() const { return allotted_time_ms_; }
  [[nodiscard]] std::optional<CacheSaltIDType> getCacheSaltID() const { return cache_salt_id_; }
#endif

  void setStreaming(bool streaming) { streaming_ = streaming; }
  void setSamplingConfig(SamplingConfig const& config) { sampling_config_ = config; }
  void setOutputConfig(OutputConfig const& outputConfig) { output_config_ = outputConfig; }
  void setEndId(SizeType32 endId) { end_id_ = endId; }
  void setPadId(SizeType32 padId) { pad_id_ = padId; }
  void setPositionIds(std::vector<SizeType32> const& positionIds) { position_ids_ = positionIds; }
  void setBadWords(std::list<VecTokens> const& badWords) { bad_words_ = badWords; }
  void setStopWords(std::list<VecTokens> const& stopWords) { stop_words_ = stopWords; }
  void setEmbeddingBias(Tensor const& embeddingBias);
  void setExternalDraftTokensConfig(ExternalDraftTokensConfig const& externalDraftTokensConfig) {
    external_draft_tokens_config_ = externalDraftTokensConfig;
  }
  void setPromptTuningConfig(PromptTuningConfig const& pTuningConfig) { p_tuning_config_ = pTuningConfig; }
#if STAND_IN_1_2
  void setMultimodalInput(MultimodalInput const& multimodalInput) { multimodal_input_ = multimodalInput; }
  void setMultimodalEmbedding(Tensor const& multimodalEmbedding) { multimodal_embedding_ = multimodalEmbedding; }
  void setMropeConfig(MropeConfig const& mRopeConfig) { m_rope_config_ = mRopeConfig; }
#endif
  void setLoraConfig(LoraConfig const& loraConfig) { lora_config_ = loraConfig; }
  void setLookaheadConfig(LookaheadDecodingConfig const& lookaheadConfig) { lookahead_config_ = lookaheadConfig; }
#if STAND_IN_1_2
  void setKvCacheRetentionConfig(KvCacheRetentionConfig const& kvCacheRetentionConfig) {
    kv_cache_retention_config_ = kvCacheRetentionConfig;
  }
#endif
  void setLogitsPostProcessorName(std::string const& logitsPostProcessorName) {
    logits_post_processor_name_ = logitsPostProcessorName;
  }
#if STAND_IN_1_2
  void setLogitsPostProcessor(std::optional<LogitsPostProcessor> const& logitsPostProcessor) {
    logits_post_processor_ = logitsPostProcessor;
  }
#endif
  void setEncoderInputTokenIds(VecTokens const& encoderInputTokenIds) {
    encoder_input_token_ids_ = encoderInputTokenIds;
  }
  void setClientId(IdType clientId) { client_id_ = clientId; }
  void setReturnAllGeneratedTokens(bool returnAllGeneratedTokens) {
    return_all_generated_tokens_ = returnAllGeneratedTokens;
  }
  void setPriority(PriorityType priority) { priority_ = priority; }
  void setRequestType(RequestType const& requestType) { type_ = requestType; }
  void setContextPhaseParams(ContextPhaseParams contextPhaseParams) {
    context_phase_params_ = std::move(contextPhaseParams);
  }
  void setEncoderInputFeatures(Tensor encoderInputFeatures) {
    encoder_input_features_ = std::move(encoderInputFeatures);
  }
  void setEncoderOutputLength(SizeType32 encoderOutputLength) { encoder_output_length_ = encoderOutputLength; }
#if STAND_IN_1_2
  void setCrossAttentionMask(Tensor crossAttentionMask) { cross_attention_mask_ = std::move(crossAttentionMask); }
#endif
#if !STAND_IN_1_2
  void setNumReturnSequences(SizeType32 numReturnSequences) { num_return_sequences_ = numReturnSequences; }
#endif
#if STAND_IN_1_2
  void setEagleConfig(std::optional<EagleConfig> const& eagleConfig) { eagle_config_ = eagleConfig; }
  void setSkipCrossAttnBlocks(Tensor skipCrossAttnBlocks) { skip_cross_attn_blocks_ = std::move(skipCrossAttnBlocks); }
  void setGuidedDecodingParams(GuidedDecodingParams const& guidedDecodingParams) {
    guided_decoding_params_ = guidedDecodingParams;
  }
  void setLanguageAdapterUid(SizeType32 languageAdapterUid) { language_adapter_uid_ = languageAdapterUid; }
  void setAllottedTimeMs(MillisecondsType allottedTimeMs) { allotted_time_ms_ = allottedTimeMs; }
  void setCacheSaltID(CacheSaltIDType cacheSaltID) { cache_salt_id_ = cacheSaltID; }
#endif
#if !STAND_IN_1_2
  [[nodiscard]] SizeType32 getMaxNewTokens() const { return getMaxTokens(); }  // the name of 0.12
#endif

 private:
  void Check() const;

  VecTokens input_token_ids_;
  SizeType32 max_tokens_;
  bool streaming_;
  SamplingConfig sampling_config_;
  OutputConfig output_config_;
  std::optional<SizeType32> end_id_;
  std::optional<SizeType32> pad_id_;
  std::optional<std::vector<SizeType32>> position_ids_;
  std::optional<std::list<VecTokens>> bad_words_;
  std::optional<std::list<VecTokens>> stop_words_;
  std::optional<Tensor> embedding_bias_;
  std::optional<ExternalDraftTokensConfig> external_draft_tokens_config_;
  std::optional<PromptTuningConfig> p_tuning_config_;
#if STAND_IN_1_2
  std::optional<MultimodalInput> multimodal_input_;
  std::optional<Tensor> multimodal_embedding_;
  std::optional<MropeConfig> m_rope_config_;
#endif
  std::optional<LoraConfig> lora_config_;
  std::optional<LookaheadDecodingConfig> lookahead_config_;
#if STAND_IN_1_2
  std::optional<KvCacheRetentionConfig> kv_cache_retention_config_;
#endif
  std::optional<std::string> logits_post_processor_name_;
#if STAND_IN_1_2
  std::optional<LogitsPostProcessor> logits_post_processor_;
#endif
  std::optional<VecTokens> encoder_input_token_ids_;
  std::optional<IdType> client_id_;
  bool return_all_generated_tokens_;
  PriorityType priority_;
  RequestType type_;
  std::optional<ContextPhaseParams> context_phase_params_;
  std::optional<Tensor> encoder_input_features_;
  std::optional<SizeType32> encoder_output_length_;
#if STAND_IN_1_2
  std::optional<Tensor> cross_attention_mask_;
#endif
  SizeType32 num_return_sequences_;
#if STAND_IN_1_2
  std::optional<EagleConfig> eagle_config_;
  std::optional<Tensor> skip_cross_attn_blocks_;
  std::optional<GuidedDecodingParams> guided_decoding_params_;
  std::optional<SizeType32> language_adapter_uid_;
  std::optional<MillisecondsType> allotted_time_ms_;
  std::optional<CacheSaltIDType> cache_salt_id_;
#endif
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_REQUEST_H_
