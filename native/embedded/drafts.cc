#include "native/embedded/drafts.h"

#include <algorithm>

namespace embedded {
namespace {

constexpr int kMissesWithoutRest = 2;

}  // namespace

Drafts::Drafts(const DraftParams& params)
    : params_(params),
      draft_tokens_(params.prompt_lookup ? params.prompt_lookup->max_draft_tokens : 0),
      model_tokens_(params.model_tokens) {}

std::vector<int32_t> Drafts::Propose(const std::vector<int32_t>& tokens, size_t prompt_tokens, size_t most,
                                     const std::vector<int32_t>& of_model) {
  const std::vector<int32_t>& given = params_.tokens;
  const size_t generated = tokens.size() - prompt_tokens;
  if (generated < given.size() &&
      std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(prompt_tokens), tokens.end(), given.begin())) {
    source_ = Source::kCaller;
    const auto next = given.begin() + static_cast<std::ptrdiff_t>(generated);
    return {next, next + static_cast<std::ptrdiff_t>(std::min(most, given.size() - generated))};
  }
  if (params_.prompt_lookup) {
    source_ = Source::kLookup;
    lookup_.Read(tokens);
    std::vector<int32_t> found =
        lookup_.Find(tokens, matching_ngram_, params_.prompt_lookup->max_matching_ngram, std::min(most, draft_tokens_));
    if (!found.empty()) return found;
  }
  source_ = Source::kModel;
  return {of_model.begin(), of_model.begin() + static_cast<std::ptrdiff_t>(std::min(most, of_model.size()))};
}

void Drafts::Verified(size_t proposed, size_t accepted) {
  if (source_ == Source::kLookup) VerifiedLookup(proposed, accepted);
  if (source_ == Source::kModel) VerifiedModel(proposed, accepted);
}

void Drafts::VerifiedLookup(size_t proposed, size_t accepted) {
  const PromptLookupLimits& limits = *params_.prompt_lookup;
  if (accepted == proposed) {
    draft_tokens_ = std::min(limits.max_draft_tokens, std::max(draft_tokens_, 2 * proposed));
    matching_ngram_ = kLeastMatchingNgram;
  } else {
    draft_tokens_ = accepted + 1;
    if (accepted == 0) matching_ngram_ = std::min(limits.max_matching_ngram, matching_ngram_ + 1);
  }
}

void Drafts::VerifiedModel(size_t proposed, size_t accepted) {
  model_tokens_ =
      accepted == proposed ? std::min(params_.model_tokens, std::max(model_tokens_, 2 * proposed)) : accepted + 1;
  misses_ = accepted > 0 ? 0 : misses_ + 1;
  if (misses_ > kMissesWithoutRest) rest_ = std::min(kLongestRest, 1 << std::min(misses_ - kMissesWithoutRest, 30));
}

}  // namespace embedded
