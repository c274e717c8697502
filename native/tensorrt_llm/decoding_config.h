// Decoding modes, speculative decoding and guided decoding: what the config says of them, and what it shares with
// requests.
#ifndef ADAPTER_DECODING_CONFIG_H_
#define ADAPTER_DECODING_CONFIG_H_

#include "native/executor/config.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

void SetDecoding(const ExecutorDecodingConfig& given, tle::ExecutorConfig* config);
void SetGuidedDecoding(const ExecutorGuidedDecodingConfig& given, tle::ExecutorConfig* config);

std::vector<std::vector<tle::SizeType32>> ListsOf(const ExecutorTokenLists& given);

tle::LookaheadDecodingConfig MakeLookahead(const ExecutorLookahead& given);

// The five arguments are there from 0.16 on.
template <typename Eagle = tle::EagleConfig>
inline constexpr bool kHasEagle = kCanMake<Eagle, std::optional<tle::MedusaChoices>, bool, std::optional<float>, bool,
                                           std::optional<tle::SizeType32>>;
template <typename Eagle = tle::EagleConfig>
Eagle MakeEagle(const ExecutorEagle& given) {
  std::optional<tle::MedusaChoices> choices;
  if (given.choices.count > 0) choices = ListsOf(given.choices);
  std::optional<float> threshold;
  if (given.set & EAGLE_POSTERIOR_THRESHOLD) threshold = given.posterior_threshold;
  std::optional<tle::SizeType32> top_k;
  if (given.set & EAGLE_DYNAMIC_TREE_TOP_K) top_k = static_cast<tle::SizeType32>(given.dynamic_tree_top_k);
  return Eagle(choices, !(given.set & EAGLE_GREEDY) || given.greedy != 0, threshold,
               given.set & EAGLE_DYNAMIC_TREE && given.dynamic_tree != 0, top_k);
}

}  // namespace adapter

#endif  // ADAPTER_DECODING_CONFIG_H_
