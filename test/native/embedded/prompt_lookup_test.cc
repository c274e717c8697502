#include "native/embedded/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace embedded {
namespace {

using Tokens = std::vector<int32_t>;

Tokens Find(const Tokens& tokens, size_t least, size_t most, size_t count) {
  PromptLookup lookup;
  lookup.Read(tokens);
  return lookup.Find(tokens, least, most, count);
}

TEST(PromptLookup, GivesWhatFollowedTheLongestRun) {
  EXPECT_EQ(Find({1, 2, 3, 10, 11, 9, 2, 3, 20, 21, 1, 2, 3}, 2, 4, 2), (Tokens{10, 11}));
}

TEST(PromptLookup, OfEqualRunsTheNewestCounts) {
  EXPECT_EQ(Find({2, 3, 10, 5, 2, 3, 20, 6, 2, 3}, 2, 4, 1), (Tokens{20}));
  EXPECT_EQ(Find({1, 2, 3, 10, 5, 2, 3, 20, 1, 2, 3}, 2, 2, 1), (Tokens{20})) << "no longer run is looked for";
}

TEST(PromptLookup, GoesOnWithItselfWhereATextRepeats) {
  EXPECT_EQ(Find({1, 2, 3, 1, 2, 3}, 2, 4, 7), (Tokens{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(Find({7, 7, 7}, 2, 4, 3), (Tokens{7, 7, 7}));
}

TEST(PromptLookup, FindsNothingWhereNoRunIsLongEnough) {
  EXPECT_EQ(Find({}, 2, 4, 3), Tokens());
  EXPECT_EQ(Find({1}, 2, 4, 3), Tokens());
  EXPECT_EQ(Find({1, 2, 1}, 2, 4, 3), Tokens());
  EXPECT_EQ(Find({9, 1, 2, 3, 8, 1, 2}, 3, 4, 3), Tokens());
}

// What reads token by token finds what a search of all places would.
TEST(PromptLookup, GrowsWithItsTokens) {
  std::mt19937 random(1);
  Tokens tokens;
  PromptLookup lookup;
  for (int i = 0; i < 3000; ++i) {
    tokens.push_back(static_cast<int32_t>(random() % 40));
    lookup.Read(tokens);
    size_t longest = 1;
    Tokens expected;
    for (size_t place = tokens.size() - 1; place-- > 0;) {
      size_t matching = 0;
      while (matching < 3 && matching <= place && tokens[place - matching] == tokens[tokens.size() - 1 - matching])
        ++matching;
      if (matching <= longest) continue;
      longest = matching;
      expected = {tokens[place + 1]};
    }
    ASSERT_EQ(lookup.Find(tokens, 2, 3, 1), expected) << i;
  }
}

}  // namespace
}  // namespace embedded
