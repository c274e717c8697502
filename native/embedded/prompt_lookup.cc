#include "native/embedded/prompt_lookup.h"

#include <algorithm>
#include <utility>

namespace embedded {
namespace {

constexpr int32_t kNone = -1;
constexpr size_t kFirstSlots = 1024;  // of the hash table; a power of two
constexpr int kMostCandidates = 64;   // that are looked at: a pair may be frequent

size_t SlotOf(int32_t first, int32_t second, size_t slots) {
  const uint64_t pair = uint64_t{static_cast<uint32_t>(first)} << 32 | static_cast<uint32_t>(second);
  return static_cast<size_t>(pair * 0x9E3779B97F4A7C15u >> 32) & (slots - 1);
}

// How many tokens before and at `place` equal those at the end, at most `most`.
size_t MatchingTokens(const std::vector<int32_t>& tokens, size_t place, size_t most) {
  size_t count = 0;
  while (count < most && count <= place && tokens[place - count] == tokens[tokens.size() - 1 - count]) ++count;
  return count;
}

}  // namespace

void PromptLookup::Read(const std::vector<int32_t>& tokens) {
  size_t place = previous_.size();
  previous_.resize(tokens.size(), kNone);
  if (newest_.size() < tokens.size()) {
    size_t slots = std::max(newest_.size(), kFirstSlots);
    while (slots < tokens.size()) slots *= 2;
    newest_.assign(slots, kNone);
    place = 0;
  }
  for (; place < tokens.size(); ++place)
    if (place > 0) Insert(tokens, place);
}

void PromptLookup::Insert(const std::vector<int32_t>& tokens, size_t place) {
  const size_t slot = SlotOf(tokens[place - 1], tokens[place], newest_.size());
  previous_[place] = std::exchange(newest_[slot], static_cast<int32_t>(place));
}

std::vector<int32_t> PromptLookup::Find(const std::vector<int32_t>& tokens, size_t least, size_t most,
                                        size_t count) const {
  std::vector<int32_t> followed;
  if (previous_.empty()) return followed;
  size_t longest = std::max(least, kLeastMatchingNgram) - 1;
  int32_t found = kNone;
  int32_t candidate = previous_.back();
  for (int i = 0; i < kMostCandidates && candidate != kNone && longest < most; ++i) {
    const size_t matching = MatchingTokens(tokens, static_cast<size_t>(candidate), most);
    if (matching > longest) {
      longest = matching;
      found = candidate;
    }
    candidate = previous_[static_cast<size_t>(candidate)];
  }
  if (found == kNone) return followed;
  const size_t period = tokens.size() - 1 - static_cast<size_t>(found);
  for (size_t i = 0; i < count; ++i)
    followed.push_back(i < period ? tokens[static_cast<size_t>(found) + 1 + i] : followed[i - period]);
  return followed;
}

}  // namespace embedded
