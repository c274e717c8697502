#include "native/tensorrt_llm/decoding_config.h"

#include <string>
#include <vector>

#include "native/executor/cpp/copy_sized.h"

namespace adapter {
namespace {

template <typename Mode = tle::DecodingMode>
Mode MakeMode(ExecutorDecodingMode given) {
  switch (given) {
    case DECODING_AUTO:
      return Mode::Auto();
    case DECODING_TOP_K:
      return Mode::TopK();
    case DECODING_TOP_P:
      return Mode::TopP();
    case DECODING_TOP_K_TOP_P:
      return Mode::TopKTopP();
    case DECODING_BEAM_SEARCH:
      return Mode::BeamSearch();
    case DECODING_MEDUSA:
      return Mode::Medusa();
    case DECODING_LOOKAHEAD:
      return Mode::Lookahead();
    case DECODING_EXPLICIT_DRAFT_TOKENS:
      return Mode::ExplicitDraftTokens();
    case DECODING_EXTERNAL_DRAFT_TOKENS:
      if constexpr (Has<Mode>([](auto& mode) -> decltype(void(mode.ExternalDraftTokens())) {}))
        return Mode::ExternalDraftTokens();
      ThrowLacks({"decoding.mode", "0.15", "'external-draft-tokens'"});
    case DECODING_EAGLE:
      if constexpr (Has<Mode>([](auto& mode) -> decltype(void(mode.Eagle())) {})) return Mode::Eagle();
      ThrowLacks({"decoding.mode", "0.15", "'eagle'"});
  }
  throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "decoding.mode",
                                " is " + std::to_string(given) + "; expected a value of ExecutorDecodingMode.");
}

template <typename Decoding = tle::DecodingConfig, typename Eagle = tle::EagleConfig>
void SetEagle(const ExecutorEagle& given, Decoding* decoding) {
  if constexpr (kHasEagle<Eagle>)
    decoding->setEagleConfig(MakeEagle<Eagle>(given));
  else
    ThrowLacks({"decoding.eagle", "0.16"});
}

template <typename Config, typename Speculative = tle::SpeculativeDecodingConfig>
void SetFastLogits(Config* config) {
  if constexpr (kIsComplete<Speculative>)
    config->setSpecDecConfig(Speculative(true));
  else
    ThrowLacks({"decoding.fast_logits", "0.14"});
}

template <typename Config, typename Guided = tle::GuidedDecodingConfig>
void SetGuided(const ExecutorGuidedDecodingConfig& given, Config* config) {
  if constexpr (kIsComplete<Guided>) {
    using Backend = typename Guided::GuidedDecodingBackend;
    auto backend = Backend::kXGRAMMAR;
    if (given.backend == GUIDED_BACKEND_LLGUIDANCE) {
      if constexpr (Has<Guided>([](auto& g) -> decltype(void(
                                                std::decay_t<decltype(g)>::GuidedDecodingBackend::kLLGUIDANCE)) {}))
        backend = Backend::kLLGUIDANCE;
      else
        ThrowLacks({"guided_decoding", "1.0", "'llguidance'"});
    }
    Guided guided(backend);
    if (given.vocabulary_count > 0)
      guided.setEncodedVocab(std::vector<std::string>(given.vocabulary, given.vocabulary + given.vocabulary_count));
    if (given.tokenizer_json != nullptr) guided.setTokenizerStr(given.tokenizer_json);
    if (given.stop_token_count > 0)
      guided.setStopTokenIds(
          std::vector<tle::TokenIdType>(given.stop_tokens, given.stop_tokens + given.stop_token_count));
    config->setGuidedDecodingConfig(guided);
  } else {
    ThrowLacks({"guided_decoding", "0.16"});
  }
}

}  // namespace

void SetDecoding(const ExecutorDecodingConfig& given, tle::ExecutorConfig* config) {
  if (given.prompt_lookup != nullptr)
    throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "decoding.prompt_lookup",
                                  " is set; expected it unset, because TensorRT-LLM's C++ executor does not draft by "
                                  "prompt lookup. Remove it.");
  if (given.draft_model != nullptr)
    throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "decoding.draft_model",
                                  " is set; expected it unset, because TensorRT-LLM's C++ executor takes drafts with "
                                  "each request instead (draft). Remove it.");
  // Some modes are refused by setDecodingMode: the setters of their configs set them.
  const bool is_set_by_config = (given.mode == DECODING_LOOKAHEAD && given.lookahead != nullptr) ||
                                (given.mode == DECODING_EAGLE && given.eagle != nullptr) ||
                                (given.mode == DECODING_MEDUSA && given.medusa_choices.count > 0);
  std::optional<tle::DecodingMode> mode;
  if (given.mode != DECODING_AUTO && !is_set_by_config) mode = MakeMode(given.mode);
  tle::DecodingConfig decoding(mode);
  if (given.lookahead != nullptr) {
    const auto lookahead = MakeLookahead(*given.lookahead);
    if (!IfHas(decoding, [&](auto& d) -> decltype(d.setLookaheadDecodingConfig(lookahead)) {
          d.setLookaheadDecodingConfig(lookahead);
        }))
      Need(decoding, {"decoding.lookahead", "0.13"},
           [&](auto& d) -> decltype(d.setLookaheadDecoding(lookahead)) { d.setLookaheadDecoding(lookahead); });
  }
  if (given.eagle != nullptr) SetEagle(executor::CopySized(given.eagle), &decoding);
  if (given.medusa_choices.count > 0) decoding.setMedusaChoices(ListsOf(given.medusa_choices));
  config->setDecodingConfig(decoding);
  if (given.fast_logits != 0) SetFastLogits(config);
}

void SetGuidedDecoding(const ExecutorGuidedDecodingConfig& given, tle::ExecutorConfig* config) {
  SetGuided(given, config);
}

std::vector<std::vector<tle::SizeType32>> ListsOf(const ExecutorTokenLists& given) {
  std::vector<std::vector<tle::SizeType32>> lists(given.count);
  for (uint32_t i = 0; i < given.count; ++i)
    lists[i].assign(given.tokens + given.offsets[i], given.tokens + given.offsets[i + 1]);
  return lists;
}

tle::LookaheadDecodingConfig MakeLookahead(const ExecutorLookahead& given) {
  return tle::LookaheadDecodingConfig(static_cast<tle::SizeType32>(given.window),
                                      static_cast<tle::SizeType32>(given.ngram),
                                      static_cast<tle::SizeType32>(given.verification_set));
}

}  // namespace adapter
