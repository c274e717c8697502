#include "native/embedded/kept_blocks.h"

#include <gtest/gtest.h>

#include <chrono>

namespace embedded {
namespace {

using std::chrono::milliseconds;

BlockKey Key(uint64_t number) { return {number, number}; }

class KeptBlocksTest : public testing::Test {
 protected:
  // A block is kept and given back.
  void Leave(int block, Retention retention = {}) {
    kept_.Keep(block, {Key(static_cast<uint64_t>(block)), {}, {}}, retention);
    kept_.Release(block, now_);
  }

  KeptBlocks kept_;
  KeptBlocks::Clock::time_point now_{};
};

TEST_F(KeptBlocksTest, FindsABlockByItsKeyUntilItIsEvicted) {
  Leave(3);
  EXPECT_EQ(kept_.Find(Key(3)), 3);
  EXPECT_EQ(kept_.Find(Key(4)), std::nullopt);
  EXPECT_EQ(kept_.Evict(now_).block, 3);
  EXPECT_EQ(kept_.Find(Key(3)), std::nullopt);
  EXPECT_FALSE(kept_.Has(3));
}

TEST_F(KeptBlocksTest, EvictsTheOneReleasedFirst) {
  for (const int block : {2, 0, 1}) Leave(block);
  kept_.Hold(2);
  kept_.Release(2, now_);
  for (const int block : {0, 1, 2}) EXPECT_EQ(kept_.Evict(now_).block, block);
}

TEST_F(KeptBlocksTest, EvictsTheLowestPriorityFirst) {
  Leave(0, {100, {}});
  Leave(1, {kDefaultPriority - 1, {}});
  Leave(2);
  Leave(3, {0, {}});
  for (const int block : {3, 1, 2, 0}) EXPECT_EQ(kept_.Evict(now_).block, block);
}

TEST_F(KeptBlocksTest, APriorityEndsAfterItsDurationAndCountsFromTheLastUse) {
  Leave(0, {100, milliseconds(10)});
  Leave(1, {50, {}});
  now_ += milliseconds(9);
  kept_.Hold(0);
  kept_.Release(0, now_);
  now_ += milliseconds(9);
  Leave(2);
  EXPECT_EQ(kept_.Evict(now_).block, 2) << "the other two have higher priorities still";
  now_ += milliseconds(1);
  Leave(3);
  EXPECT_EQ(kept_.Evict(now_).block, 0) << "of the default priority by now, and released earlier";
  EXPECT_EQ(kept_.Evict(now_).block, 3);
  EXPECT_EQ(kept_.Evict(now_).block, 1);
  for (uint64_t block = 0; block < 4; ++block) EXPECT_EQ(kept_.Find(Key(block)), std::nullopt);
}

TEST_F(KeptBlocksTest, WhatIsGivenUpHasWhatIsLeftOfItsDuration) {
  kept_.Keep(0, {Key(1), Key(2), {3, 4}}, {0, milliseconds(10)});
  kept_.Release(0, now_);
  now_ += milliseconds(4);
  EXPECT_EQ(kept_.LowestPriority(now_), 0);
  const KeptBlock evicted = kept_.Evict(now_);
  EXPECT_TRUE(evicted.content.key == Key(1) && evicted.content.before == Key(2));
  EXPECT_EQ(evicted.content.tokens, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(evicted.retention.duration, milliseconds(6));
  EXPECT_EQ(kept_.LowestPriority(now_), std::nullopt);
}

TEST_F(KeptBlocksTest, TheFirstBlockOfAKeyStaysTheOne) {
  kept_.Keep(0, {Key(7), {}, {}}, {});
  kept_.Keep(1, {Key(7), {}, {}}, {});
  EXPECT_EQ(kept_.Find(Key(7)), 0);
  EXPECT_FALSE(kept_.Has(1));
}

}  // namespace
}  // namespace embedded
