#include "native/embedded/kv_blocks.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace embedded {
namespace {

constexpr int kTokensPerBlock = 16;

TEST(BlockPool, GrowsToTheBlocksThatTheTokensNeedAndNoMore) {
  BlockPool pool(10, kTokensPerBlock);
  std::vector<int> table;
  for (const auto& [tokens, blocks] :
       {std::pair<size_t, size_t>{1, 1}, {kTokensPerBlock, 1}, {kTokensPerBlock + 1, 2}, {5, 2}}) {
    EXPECT_TRUE(pool.Grow(&table, tokens));
    EXPECT_EQ(table.size(), blocks) << tokens;
  }
  EXPECT_EQ(pool.used_blocks(), 2);
}

TEST(BlockPool, TakesNothingWhenTooFewBlocksAreFree) {
  BlockPool pool(3, kTokensPerBlock);
  std::vector<int> first, second;
  ASSERT_TRUE(pool.Grow(&first, 2 * kTokensPerBlock));
  EXPECT_FALSE(pool.Grow(&second, 2 * kTokensPerBlock));
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(pool.free_blocks(), 1);
}

TEST(BlockPool, UsesTheBlockThatWasFreedLastBeforeOneNeverUsed) {
  BlockPool pool(10, kTokensPerBlock);
  std::vector<int> first, second;
  ASSERT_TRUE(pool.Grow(&first, 3 * kTokensPerBlock));
  const std::vector<int> freed = first;
  pool.Free(&first);
  ASSERT_TRUE(pool.Grow(&second, 3 * kTokensPerBlock));
  EXPECT_EQ(second, freed);
}

TEST(BlockPool, ASharedBlockIsCountedOnceAndFreeOnlyWhenNoTableHoldsIt) {
  BlockPool pool(10, kTokensPerBlock);
  std::vector<int> first;
  ASSERT_TRUE(pool.Grow(&first, 3 * kTokensPerBlock));
  std::vector<int> second = pool.Share(first);
  EXPECT_EQ(second, first);
  EXPECT_EQ(pool.used_blocks(), 3);
  EXPECT_TRUE(pool.shared(first[0]));
  pool.Free(&first);
  EXPECT_EQ(pool.used_blocks(), 3);
  EXPECT_FALSE(pool.shared(second[0]));
  pool.Free(&second);
  EXPECT_EQ(pool.used_blocks(), 0);
}

TEST(BlockPool, UnshareTakesAFreeBlockForOneTableAndLeavesTheOtherAsItIs) {
  BlockPool pool(2, kTokensPerBlock);
  std::vector<int> first;
  ASSERT_TRUE(pool.Grow(&first, 1));
  std::vector<int> second = pool.Share(first), third = pool.Share(first);
  const int shared = first[0];
  ASSERT_TRUE(pool.Unshare(&second[0]));
  EXPECT_NE(second[0], shared);
  EXPECT_EQ(first[0], shared);
  EXPECT_TRUE(pool.shared(shared));
  EXPECT_FALSE(pool.shared(second[0]));
  EXPECT_FALSE(pool.Unshare(&third[0])) << "no block is free";
  EXPECT_EQ(third[0], shared);
  pool.Free(&first);
  EXPECT_FALSE(pool.shared(shared));
  EXPECT_EQ(pool.used_blocks(), 2);
}

}  // namespace
}  // namespace embedded
