// The draft tokens of one sequence: where they come from, and how many pay.
#ifndef EMBEDDED_DRAFTS_H_
#define EMBEDDED_DRAFTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "native/embedded/prompt_lookup.h"

namespace embedded {

// What a request says about its drafts.
struct DraftParams {
  std::vector<int32_t> tokens;  // that the caller expects after the prompt
  std::optional<PromptLookupLimits> prompt_lookup;

  bool none() const { return tokens.empty() && !prompt_lookup; }
};

// The caller's tokens come first, as far as the sequence says what they say; then prompt lookup. That drafts fewer tokens,
// after longer runs, while its drafts are rejected.
class Drafts {
 public:
  // Borrows `params`.
  explicit Drafts(const DraftParams& params);

  // At most `most` tokens that may follow `tokens`, the first prompt_tokens of which are the prompt.
  std::vector<int32_t> Propose(const std::vector<int32_t>& tokens, size_t prompt_tokens, size_t most);

  // So many tokens of what was proposed last were drawn too.
  void Verified(size_t proposed, size_t accepted);

 private:
  const DraftParams& params_;
  PromptLookup lookup_;
  bool is_looked_up_ = false;  // what was proposed last
  size_t draft_tokens_ = 0;    // that lookup proposes, at most
  size_t matching_ngram_ = kLeastMatchingNgram;
};

}  // namespace embedded

#endif  // EMBEDDED_DRAFTS_H_
