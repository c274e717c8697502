#include "native/tensorrt_llm/request_extras.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/executor.h"
#include "native/tensorrt_llm/decoding_config.h"
#include "native/tensorrt_llm/tensors.h"

namespace adapter {
namespace {

using executor::CopySized;
using std::chrono::milliseconds;

std::optional<tle::Tensor> MakeOptional(const ExecutorTensor* given) {
  return given == nullptr ? std::nullopt : std::optional<tle::Tensor>(MakeTensor(*given));
}

tle::VecTokens TokensOf(const int32_t* tokens, uint32_t count) { return {tokens, tokens + count}; }

void SetNumbers(const ExecutorRequest& given, tle::Request* request) {
  if (given.set & REQUEST_TIMEOUT)
    Need(*request, {"timeout_ms", "0.16"}, [&](auto& r) -> decltype(r.setAllottedTimeMs(milliseconds())) {
      r.setAllottedTimeMs(milliseconds(given.timeout_ms));
    });
  if (given.set & REQUEST_CACHE_SALT)
    Need(*request, {"cache_salt", "1.1"},
         [&](auto& r) -> decltype(r.setCacheSaltID(given.cache_salt)) { r.setCacheSaltID(given.cache_salt); });
  if (given.set & REQUEST_LANGUAGE_ADAPTER)
    Need(*request, {"language_adapter", "0.19"}, [&](auto& r) -> decltype(r.setLanguageAdapterUid(0)) {
      r.setLanguageAdapterUid(static_cast<tle::SizeType32>(given.language_adapter));
    });
}

template <typename Request, typename Retention = tle::KvCacheRetentionConfig,
          typename TransferMode = tle::KvCacheTransferMode>
void SetRetention(const ExecutorKvRetention& given, Request* request) {
  if constexpr (kIsComplete<Retention>) {
    using Range = typename Retention::TokenRangeRetentionConfig;
    std::vector<Range> ranges;
    for (uint32_t i = 0; i < given.range_count; ++i) {
      const ExecutorRetentionRange& range = given.ranges[i];
      std::optional<tle::SizeType32> end;
      if (range.set & RETENTION_END) end = static_cast<tle::SizeType32>(range.end);
      std::optional<milliseconds> duration;
      if (range.set & RETENTION_DURATION) duration = milliseconds(range.duration_ms);
      ranges.emplace_back(static_cast<tle::SizeType32>(range.start), end, static_cast<tle::SizeType32>(range.priority),
                          duration);
    }
    const auto priority = given.set & KV_RETENTION_DECODE_PRIORITY ? static_cast<tle::SizeType32>(given.decode_priority)
                                                                   : Retention::kDefaultRetentionPriority;
    std::optional<milliseconds> duration;
    if (given.set & KV_RETENTION_DECODE_DURATION) duration = milliseconds(given.decode_duration_ms);
    if (!(given.set & KV_RETENTION_TRANSFER_MODE) && given.directory == nullptr)
      return request->setKvCacheRetentionConfig(Retention(ranges, priority, duration));
    if constexpr (kCanMake<Retention, std::vector<Range>, tle::SizeType32, std::optional<milliseconds>, TransferMode,
                           std::string>) {
      const auto mode = given.set & KV_RETENTION_TRANSFER_MODE ? given.transfer_mode : TRANSFER_DRAM;
      return request->setKvCacheRetentionConfig(
          Retention(ranges, priority, duration, static_cast<TransferMode>(mode),
                    std::string(given.directory == nullptr ? "" : given.directory)));
    }
    ThrowLacks({given.directory != nullptr ? "kv_retention.directory" : "kv_retention.transfer_mode", "1.0"});
  } else {
    ThrowLacks({"kv_retention", "0.15"});
  }
}

template <typename Request, typename Params = tle::GuidedDecodingParams>
void SetGuide(const ExecutorGuided& given, Request* request) {
  if constexpr (kIsComplete<Params>) {
    constexpr bool kHasStructuralTag =
        Has<Params>([](auto& p) -> decltype(void(std::decay_t<decltype(p)>::GuideType::kSTRUCTURAL_TAG)) {});
    if (given.kind == GUIDE_STRUCTURAL_TAG && !kHasStructuralTag) ThrowLacks({"guided.structural_tag", "1.0"});
    std::optional<std::string> guide;
    if (given.guide != nullptr) guide = given.guide;
    request->setGuidedDecodingParams(Params(static_cast<typename Params::GuideType>(given.kind), guide));
  } else {
    ThrowLacks({"guided", "0.16"});
  }
}

template <typename Request, typename Eagle = tle::EagleConfig>
void SetEagle(const ExecutorEagle& given, Request* request) {
  if constexpr (kHasEagle<Eagle>)
    request->setEagleConfig(MakeEagle<Eagle>(given));
  else
    ThrowLacks({"eagle", "0.16"});
}

template <typename Draft = tle::ExternalDraftTokensConfig>
Draft MakeDraft(const ExecutorDraft& given) {
  std::optional<float> threshold;
  if (given.has_acceptance_threshold != 0) threshold = given.acceptance_threshold;
  const auto tokens = TokensOf(given.tokens, given.token_count);
  const auto logits = MakeOptional(given.logits);
  if (given.fast_logits == 0) return Draft(tokens, logits, threshold);
  if constexpr (kCanMake<Draft, tle::VecTokens, std::optional<tle::Tensor>, std::optional<float>, std::optional<bool>>)
    return Draft(tokens, logits, threshold, std::optional<bool>(true));
  ThrowLacks({"draft.fast_logits", "0.14"});
}

template <typename Request, typename Mrope = tle::MropeConfig>
void SetMrope(const ExecutorMultimodal& given, Request* request) {
  if constexpr (kIsComplete<Mrope>)
    request->setMropeConfig(Mrope(MakeTensor(*given.mrope_cos_sin), given.mrope_position_delta));
  else
    ThrowLacks({"multimodal.mrope_cos_sin", "0.16"});
}

template <typename Request, typename Input = tle::MultimodalInput>
void SetMultimodalInput(const ExecutorMultimodal& given, Request* request) {
  if constexpr (kIsComplete<Input>) {
    constexpr uint32_t kHashSize = 8;
    std::vector<std::vector<tle::SizeType32>> hashes;
    for (uint32_t i = 0; i < given.input_count; ++i)
      hashes.push_back(TokensOf(given.hashes + i * kHashSize, kHashSize));
    request->setMultimodalInput(
        Input(hashes, TokensOf(given.positions, given.input_count), TokensOf(given.lengths, given.input_count)));
  } else {
    ThrowLacks({"multimodal.hashes", "1.0"});
  }
}

void SetMultimodal(const ExecutorMultimodal& given, uint32_t token_count, tle::Request* request) {
  if (given.prompt_table != nullptr) {
    std::optional<tle::VecTokenExtraIds> extra_ids;
    if (given.token_extra_ids != nullptr)
      extra_ids = tle::VecTokenExtraIds(given.token_extra_ids, given.token_extra_ids + token_count);
    request->setPromptTuningConfig(tle::PromptTuningConfig(MakeTensor(*given.prompt_table), extra_ids));
  }
  if (given.embedding != nullptr)
    Need(*request, {"multimodal.embedding", "1.0"},
         [&](auto& r) -> decltype(r.setMultimodalEmbedding(std::declval<tle::Tensor>())) {
           r.setMultimodalEmbedding(MakeTensor(*given.embedding));
         });
  if (given.mrope_cos_sin != nullptr) SetMrope(given, request);
  if (given.input_count > 0) SetMultimodalInput(given, request);
}

// The state crosses as the bytes that the library itself makes of it.
template <typename Params = tle::ContextPhaseParams>
inline constexpr bool kHasContextPhase =
    kCanMake<Params, tle::VecTokens, uint64_t, const std::vector<char>&, std::optional<tle::VecTokens>>;

template <typename Params = tle::ContextPhaseParams>
Params MakeContextPhase(const ExecutorContextPhase& given) {
  if constexpr (kHasContextPhase<Params>) {
    std::optional<tle::VecTokens> draft;
    if (given.draft_token_count > 0) draft = TokensOf(given.draft_tokens, given.draft_token_count);
    const std::vector<char> state(given.state, given.state + given.state_bytes);
    return Params(TokensOf(given.first_tokens, given.first_token_count), given.request_id, state, draft);
  } else {
    ThrowLacks({"context_phase", "0.19"});
  }
}

}  // namespace

void SetExtras(const ExecutorRequest& given, tle::Request* request) {
  SetNumbers(given, request);
  if (given.lora != nullptr) {
    const ExecutorLora lora = CopySized(given.lora);
    request->setLoraConfig(tle::LoraConfig(lora.id, MakeOptional(lora.weights), MakeOptional(lora.config)));
  }
  if (given.lookahead != nullptr) request->setLookaheadConfig(MakeLookahead(*given.lookahead));
  if (given.eagle != nullptr) SetEagle(CopySized(given.eagle), request);
  if (given.kv_retention != nullptr) SetRetention(CopySized(given.kv_retention), request);
  if (given.guided != nullptr) SetGuide(*given.guided, request);
  if (given.reasoning != nullptr)
    throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "reasoning",
                                  " is set; expected none, because TensorRT-LLM holds an output to its format from the "
                                  "first token on. Remove it.");
  if (given.draft != nullptr) request->setExternalDraftTokensConfig(MakeDraft(CopySized(given.draft)));
  if (given.multimodal != nullptr) SetMultimodal(CopySized(given.multimodal), given.token_count, request);
  if (given.type == REQUEST_EMBEDDING)
    throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "type",
                                  " asks for an embedding; expected one for tokens, because TensorRT-LLM's executor "
                                  "gives no hidden states. Use executor: 'cpu' or 'cuda'.");
  if (given.type != REQUEST_CONTEXT_AND_GENERATION && !kHasContextPhase<>) ThrowLacks({"type", "0.19"});
  request->setRequestType(static_cast<tle::RequestType>(given.type));
  if (given.context_phase != nullptr) request->setContextPhaseParams(MakeContextPhase(CopySized(given.context_phase)));
}

uint64_t ExtraCapabilities() {
  uint64_t can = 0;
  const auto add = [&](bool has, uint64_t bit) { can |= has ? bit : 0; };
  add(Has<tle::Request>([](auto& r) -> decltype(r.setAllottedTimeMs(milliseconds())) {}), CAN_TIMEOUT);
  add(Has<tle::Request>([](auto& r) -> decltype(r.setCacheSaltID(0)) {}), CAN_CACHE_SALT);
  add(kIsComplete<tle::KvCacheRetentionConfig>, CAN_KV_RETENTION);
  add(kIsComplete<tle::GuidedDecodingParams>, CAN_GUIDED);
  add(kHasEagle<>, CAN_EAGLE);
  add(kIsComplete<tle::MultimodalInput>, CAN_MULTIMODAL);
  add(kHasContextPhase<>, CAN_DISAGGREGATED);
  return can;
}

}  // namespace adapter
