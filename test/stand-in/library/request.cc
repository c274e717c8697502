#include "tensorrt_llm/executor/parts/request.h"

#include "check.h"
#include "tensorrt_llm/executor/parts/response.h"

namespace tensorrt_llm::executor {

#if STAND_IN_1_2
Request::Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming, SamplingConfig const& samplingConfig,
                 OutputConfig const& outputConfig, std::optional<SizeType32> const& endId,
                 std::optional<SizeType32> const& padId, std::optional<std::vector<SizeType32>> positionIds,
                 std::optional<std::list<VecTokens>> badWords, std::optional<std::list<VecTokens>> stopWords,
                 std::optional<Tensor> embeddingBias,
                 std::optional<ExternalDraftTokensConfig> externalDraftTokensConfig,
                 std::optional<PromptTuningConfig> pTuningConfig, std::optional<MultimodalInput> multimodalInput,
                 std::optional<Tensor> multimodalEmbedding, std::optional<MropeConfig> mRopeConfig,
                 std::optional<LoraConfig> loraConfig, std::optional<LookaheadDecodingConfig> lookaheadConfig,
                 std::optional<KvCacheRetentionConfig> kvCacheRetentionConfig,
                 std::optional<std::string> logitsPostProcessorName,
                 std::optional<LogitsPostProcessor> logitsPostProcessor, std::optional<VecTokens> encoderInputTokenIds,
                 std::optional<IdType> clientId, bool returnAllGeneratedTokens, PriorityType priority, RequestType type,
                 std::optional<ContextPhaseParams> contextPhaseParams, std::optional<Tensor> encoderInputFeatures,
                 std::optional<SizeType32> encoderOutputLength, std::optional<Tensor> crossAttentionMask,
                 SizeType32 numReturnSequences, std::optional<EagleConfig> eagleConfig,
                 std::optional<Tensor> skipCrossAttnBlocks, std::optional<GuidedDecodingParams> guidedDecodingParams,
                 std::optional<SizeType32> languageAdapterUid, std::optional<MillisecondsType> allottedTimeMs,
                 std::optional<CacheSaltIDType> cacheSaltID)
    : input_token_ids_(std::move(inputTokenIds)),
      max_tokens_(maxTokens),
      streaming_(streaming),
      sampling_config_(samplingConfig),
      output_config_(outputConfig),
      end_id_(endId),
      pad_id_(padId),
      position_ids_(std::move(positionIds)),
      bad_words_(std::move(badWords)),
      stop_words_(std::move(stopWords)),
      embedding_bias_(std::move(embeddingBias)),
      external_draft_tokens_config_(std::move(externalDraftTokensConfig)),
      p_tuning_config_(std::move(pTuningConfig)),
      multimodal_input_(std::move(multimodalInput)),
      multimodal_embedding_(std::move(multimodalEmbedding)),
      m_rope_config_(std::move(mRopeConfig)),
      lora_config_(std::move(loraConfig)),
      lookahead_config_(std::move(lookaheadConfig)),
      kv_cache_retention_config_(std::move(kvCacheRetentionConfig)),
      logits_post_processor_name_(std::move(logitsPostProcessorName)),
      logits_post_processor_(std::move(logitsPostProcessor)),
      encoder_input_token_ids_(std::move(encoderInputTokenIds)),
      client_id_(clientId),
      return_all_generated_tokens_(returnAllGeneratedTokens),
      priority_(priority),
      type_(type),
      context_phase_params_(std::move(contextPhaseParams)),
      encoder_input_features_(std::move(encoderInputFeatures)),
      encoder_output_length_(encoderOutputLength),
      cross_attention_mask_(std::move(crossAttentionMask)),
      num_return_sequences_(numReturnSequences),
      eagle_config_(std::move(eagleConfig)),
      skip_cross_attn_blocks_(std::move(skipCrossAttnBlocks)),
      guided_decoding_params_(std::move(guidedDecodingParams)),
      language_adapter_uid_(languageAdapterUid),
      allotted_time_ms_(allottedTimeMs),
      cache_salt_id_(cacheSaltID) {
  Check();
}
#else
Request::Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming, SamplingConfig const& samplingConfig,
                 OutputConfig const& outputConfig, std::optional<SizeType32> const& endId,
                 std::optional<SizeType32> const& padId, std::optional<std::vector<SizeType32>> positionIds,
                 std::optional<std::list<VecTokens>> badWords, std::optional<std::list<VecTokens>> stopWords,
                 std::optional<Tensor> embeddingBias,
                 std::optional<ExternalDraftTokensConfig> externalDraftTokensConfig,
                 std::optional<PromptTuningConfig> pTuningConfig, std::optional<LoraConfig> loraConfig,
                 std::optional<LookaheadDecodingConfig> lookaheadConfig,
                 std::optional<std::string> logitsPostProcessorName, std::optional<VecTokens> encoderInputTokenIds,
                 std::optional<IdType> clientId, bool returnAllGeneratedTokens, PriorityType priority, RequestType type,
                 std::optional<ContextPhaseParams> contextPhaseParams, std::optional<Tensor> encoderInputFeatures,
                 std::optional<SizeType32> encoderOutputLength, SizeType32 numReturnSequences)
    : input_token_ids_(std::move(inputTokenIds)),
      max_tokens_(maxTokens),
      streaming_(streaming),
      sampling_config_(samplingConfig),
      output_config_(outputConfig),
      end_id_(endId),
      pad_id_(padId),
      position_ids_(std::move(positionIds)),
      bad_words_(std::move(badWords)),
      stop_words_(std::move(stopWords)),
      embedding_bias_(std::move(embeddingBias)),
      external_draft_tokens_config_(std::move(externalDraftTokensConfig)),
      p_tuning_config_(std::move(pTuningConfig)),
      lora_config_(std::move(loraConfig)),
      lookahead_config_(std::move(lookaheadConfig)),
      logits_post_processor_name_(std::move(logitsPostProcessorName)),
      encoder_input_token_ids_(std::move(encoderInputTokenIds)),
      client_id_(clientId),
      return_all_generated_tokens_(returnAllGeneratedTokens),
      priority_(priority),
      type_(type),
      context_phase_params_(std::move(contextPhaseParams)),
      encoder_input_features_(std::move(encoderInputFeatures)),
      encoder_output_length_(encoderOutputLength),
      num_return_sequences_(numReturnSequences) {
  Check();
}
#endif

void Request::Check() const {
  stand_in::Check(!input_token_ids_.empty(), "the input token ids are empty");
  stand_in::Check(max_tokens_ > 0, "maxTokens > 0");
  if (embedding_bias_) stand_in::Check(embedding_bias_->getShape().size() == 1, "the embedding bias has one dimension");
#if STAND_IN_1_2
  if (guided_decoding_params_ && sampling_config_.getBeamWidth() > 1)
    stand_in::Throw("Guided decoding does not support with beam search.");
#endif
}

void Request::setEmbeddingBias(Tensor const& embeddingBias) {
  stand_in::Check(embeddingBias.getShape().size() == 1, "the embedding bias has one dimension");
  embedding_bias_ = embeddingBias;
}

std::string const& Response::getErrorMsg() const {
  if (!error_) stand_in::Throw("Cannot get the error message for a response without error");
  return *error_;
}

Result const& Response::getResult() const {
  if (error_) stand_in::Throw("Cannot get the result for a response with an error: " + *error_);
  return *result_;
}

}  // namespace tensorrt_llm::executor
