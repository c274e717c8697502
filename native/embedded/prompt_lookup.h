// Drafts by prompt lookup: what followed the last time the newest tokens came in this order.
#ifndef EMBEDDED_PROMPT_LOOKUP_H_
#define EMBEDDED_PROMPT_LOOKUP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace embedded {

constexpr size_t kLeastMatchingNgram = 2;  // what the index is over

struct PromptLookupLimits {
  size_t max_draft_tokens = 8;
  size_t max_matching_ngram = 4;  // at least kLeastMatchingNgram
};

// An index over one sequence's tokens, as in a Lempel-Ziv compressor: the places where a pair of tokens ends are chained,
// newest first. A token costs the same however many came before it.
class PromptLookup {
 public:
  // Adds the tokens that came since the last call; `tokens` only ever grow.
  void Read(const std::vector<int32_t>& tokens);

  // Of the tokens that were read: finds the longest run of `least` to `most` tokens, kLeastMatchingNgram at least, that
  // they end with and that came before, of equal ones the newest, and gives `count` tokens that followed. Where those
  // reach the end they go on with themselves, as a text does that repeats. None: there is no such run.
  std::vector<int32_t> Find(const std::vector<int32_t>& tokens, size_t least, size_t most, size_t count) const;

 private:
  void Insert(const std::vector<int32_t>& tokens, size_t place);

  std::vector<int32_t> newest_;    // by hash of a pair: where it ends, or -1
  std::vector<int32_t> previous_;  // by place: where a pair of the same hash ends before, or -1
};

}  // namespace embedded

#endif  // EMBEDDED_PROMPT_LOOKUP_H_
