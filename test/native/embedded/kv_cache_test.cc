#include "native/embedded/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace embedded {
namespace {

TEST(BlockPool, GrowsToTheBlocksThatTheTokensNeedAndNoMore) {
  BlockPool pool(10);
  std::vector<int> table;
  for (const auto& [tokens, blocks] :
       {std::pair<size_t, size_t>{1, 1}, {kTokensPerBlock, 1}, {kTokensPerBlock + 1, 2}, {5, 2}}) {
    EXPECT_TRUE(pool.Grow(&table, tokens));
    EXPECT_EQ(table.size(), blocks) << tokens;
  }
  EXPECT_EQ(pool.used_blocks(), 2);
}

TEST(BlockPool, TakesNothingWhenTooFewBlocksAreFree) {
  BlockPool pool(3);
  std::vector<int> first, second;
  ASSERT_TRUE(pool.Grow(&first, 2 * kTokensPerBlock));
  EXPECT_FALSE(pool.Grow(&second, 2 * kTokensPerBlock));
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(pool.free_blocks(), 1);
}

TEST(BlockPool, UsesTheBlockThatWasFreedLastBeforeOneNeverUsed) {
  BlockPool pool(10);
  std::vector<int> first, second;
  ASSERT_TRUE(pool.Grow(&first, 3 * kTokensPerBlock));
  const std::vector<int> freed = first;
  pool.Free(&first);
  ASSERT_TRUE(pool.Grow(&second, 3 * kTokensPerBlock));
  EXPECT_EQ(second, freed);
}

TEST(BlockPool, ASharedBlockIsCountedOnceAndFreeOnlyWhenNoTableHoldsIt) {
  BlockPool pool(10);
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
  BlockPool pool(2);
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

TEST(KvMemory, CopyLayerCopiesOneLayerOfABlockAndNothingElse) {
  ModelConfig model{};
  model.layers = 2;
  model.kv_heads = 2;
  model.head_dim = 24;
  const KvMemory memory(model, 3);
  const size_t floats = KvMemory::BytesPerBlock(model) / sizeof(float);
  for (int block = 0; block < 3; ++block) std::fill_n(memory.Keys(block, 0, 0), floats, static_cast<float>(block));
  memory.CopyLayer(2, 1, 1);
  const float* copy = memory.Keys(1, 0, 0);
  for (size_t i = 0; i < floats; ++i) ASSERT_EQ(copy[i], i < floats / 2 ? 1 : 2) << i;
  for (size_t i = 0; i < floats; ++i) ASSERT_EQ(memory.Keys(0, 0, 0)[i], 0) << i;
}

TEST(KvMemory, KeysAndValuesOfAllBlocksLayersAndHeadsLieApart) {
  ModelConfig model{};
  model.layers = 3;
  model.kv_heads = 2;
  model.head_dim = 24;
  const KvMemory memory(model, 4);
  EXPECT_EQ(memory.value_stride(), 32);
  std::set<const float*> starts;
  for (int block = 0; block < 4; ++block)
    for (int layer = 0; layer < 3; ++layer)
      for (int head = 0; head < 2; ++head) {
        starts.insert(memory.Keys(block, layer, head));
        starts.insert(memory.Values(block, layer, head));
      }
  ASSERT_EQ(starts.size(), 4u * 3 * 2 * 2);
  const float* previous = nullptr;
  for (const float* start : starts) {
    if (previous != nullptr) {
      EXPECT_GE(start - previous, 24 * kTokensPerBlock);
    }
    previous = start;
  }
  EXPECT_EQ(KvMemory::BytesPerBlock(model), 4u * kTokensPerBlock * (24 + 32) * 2 * 3);
}

}  // namespace
}  // namespace embedded
