#include "native/embedded/drafts.h"

#include <algorithm>

namespace embedded {

Drafts::Drafts(const DraftParams& params)
    : params_(params), draft_tokens_(params.prompt_lookup ? params.prompt_lookup->max_draft_tokens : 0) {}

std::vector<int32_t> Drafts::Propose(const std::vector<int32_t>& tokens, size_t prompt_tokens, size_t most) {
  const std::vector<int32_t>& given = params_.tokens;
  const size_t generated = tokens.size() - prompt_tokens;
  is_looked_up_ = false;
  if (generated < given.size() &&
      std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(prompt_tokens), tokens.end(), given.begin())) {
    const auto next = given.begin() + static_cast<std::ptrdiff_t>(generated);
    return {next, next + static_cast<std::ptrdiff_t>(std::min(most, given.size() - generated))};
  }
  if (!params_.prompt_lookup) return {};
  is_looked_up_ = true;
  lookup_.Read(tokens);
  return lookup_.Find(tokens, matching_ngram_, params_.prompt_lookup->max_matching_ngram,
                      std::min(most, draft_tokens_));
}

void Drafts::Verified(size_t proposed, size_t accepted) {
  if (!is_looked_up_) return;
  const PromptLookupLimits& limits = *params_.prompt_lookup;
  if (accepted == proposed) {
    draft_tokens_ = std::min(limits.max_draft_tokens, std::max(draft_tokens_, 2 * proposed));
    matching_ngram_ = kLeastMatchingNgram;
  } else {
    draft_tokens_ = accepted + 1;
    if (accepted == 0) matching_ngram_ = std::min(limits.max_matching_ngram, matching_ngram_ + 1);
  }
}

}  // namespace embedded
