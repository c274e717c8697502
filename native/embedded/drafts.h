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
  size_t model_tokens = 0;  // of the draft model in a step, at most

  bool none() const { return tokens.empty() && !prompt_lookup && model_tokens == 0; }
};

// The caller's tokens come first, as far as the sequence says what they say; then prompt lookup, then the draft model. Lookup
// drafts fewer tokens, after longer runs, while its drafts are rejected. The model drafts fewer too, and where none of them
// comes true it rests for some steps, for longer each time.
class Drafts {
 public:
  // Borrows `params`.
  explicit Drafts(const DraftParams& params);

  // At most `most` tokens that may follow `tokens`, the first prompt_tokens of which are the prompt. `of_model`: what the draft
  // model proposes.
  std::vector<int32_t> Propose(const std::vector<int32_t>& tokens, size_t prompt_tokens, size_t most,
                               const std::vector<int32_t>& of_model = {});

  // How many tokens the draft model is to propose, where nobody else does.
  size_t model_tokens() const { return rest_ > 0 ? 0 : model_tokens_; }

  // So many tokens of what was proposed last were drawn too.
  void Verified(size_t proposed, size_t accepted);
  // The model cannot draft now: its next steps need not wait to be asked.
  void RestModel() { rest_ = kLongestRest; }
  // A step without drafts drew a token.
  void Skipped() { rest_ -= rest_ > 0; }

 private:
  enum class Source { kCaller, kLookup, kModel };
  static constexpr int kLongestRest = 32;  // steps

  void VerifiedLookup(size_t proposed, size_t accepted);
  void VerifiedModel(size_t proposed, size_t accepted);

  const DraftParams& params_;
  PromptLookup lookup_;
  Source source_ = Source::kCaller;  // of what was proposed last
  size_t draft_tokens_ = 0;          // that lookup proposes, at most
  size_t matching_ngram_ = kLeastMatchingNgram;
  size_t model_tokens_ = 0;  // that the model proposes, at most
  int misses_ = 0;           // of the model, in a row: none of what it proposed came true
  int rest_ = 0;             // steps until the model is asked again
};

}  // namespace embedded

#endif  // EMBEDDED_DRAFTS_H_
