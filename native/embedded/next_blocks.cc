#include "native/embedded/next_blocks.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace embedded {

bool NextBlocks::Less::Compare(const Prompt& a, const Prompt& b) {
  if (!(a.before == b.before)) return std::tie(a.before.low, a.before.high) < std::tie(b.before.low, b.before.high);
  return std::lexicographical_compare(a.tokens, a.tokens + a.count, b.tokens, b.tokens + b.count);
}

// In the order of their tokens, the ones that have the most in common with a prompt stand right before and after it.
std::optional<NextBlocks::Match> NextBlocks::Find(const BlockKey& before, const int32_t* tokens, size_t count) const {
  std::optional<Match> best;
  const auto consider = [&](Blocks::const_iterator block) {
    if (!(block->first.before == before)) return;
    const std::vector<int32_t>& own = block->first.tokens;
    const auto differ = std::mismatch(own.begin(), own.end(), tokens, tokens + count);
    const auto common = static_cast<size_t>(differ.first - own.begin());
    if (common > (best ? best->tokens : 0)) best = Match{block->second, common, common == own.size()};
  };
  const auto next = blocks_.lower_bound(Prompt{before, tokens, count});
  if (next != blocks_.end()) consider(next);
  if (next != blocks_.begin()) consider(std::prev(next));
  return best;
}

}  // namespace embedded
