#include "native/embedded/next_blocks.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace embedded {
namespace {

size_t Common(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  size_t common = 0;
  while (common < a.size() && common < b.size() && a[common] == b[common]) ++common;
  return common;
}

TEST(NextBlocks, FindsWhatALookThroughAllOfThemFinds) {
  std::mt19937 random(1);
  const auto draw = [&](uint32_t below) { return static_cast<int32_t>(random() % below); };
  const auto draw_tokens = [&](size_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t& token : tokens) token = draw(3) - 1;
    return tokens;
  };
  NextBlocks next;
  struct Added {
    uint64_t before;
    std::vector<int32_t> tokens;
    NextBlocks::Iterator place;
  };
  std::vector<std::optional<Added>> blocks;
  for (int round = 0; round < 2000; ++round) {
    const auto before = static_cast<uint64_t>(draw(3));
    const std::vector<int32_t> tokens = draw_tokens(1 + static_cast<size_t>(draw(6)));
    size_t longest = 0;
    bool has_it = false;
    for (const auto& block : blocks) {
      if (!block || block->before != before) continue;
      longest = std::max(longest, Common(block->tokens, tokens));
      has_it |= block->tokens == tokens;
    }
    const auto found = next.Find({before, 5}, tokens.data(), tokens.size());
    ASSERT_EQ(found ? found->tokens : 0, longest);
    if (found) {
      const auto& block = blocks[static_cast<size_t>(found->block)];
      ASSERT_EQ(block->before, before);
      ASSERT_EQ(Common(block->tokens, tokens), longest);
      ASSERT_EQ(found->is_whole, block->tokens.size() == longest);
    }
    if (!has_it) {
      const auto place = next.Add({before, 5}, tokens, static_cast<int>(blocks.size()));
      blocks.push_back(Added{before, tokens, place});
    }
    auto& removed = blocks[static_cast<size_t>(draw(static_cast<uint32_t>(blocks.size())))];
    if (removed && draw(2) == 0) {
      next.Remove(removed->place);
      removed.reset();
    }
  }
}

}  // namespace
}  // namespace embedded
