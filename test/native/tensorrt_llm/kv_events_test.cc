#include "native/tensorrt_llm/kv_events.h"

#include <gtest/gtest.h>

#if STAND_IN_1_2
namespace adapter {
namespace {

TEST(KvEvents, OfACacheHasTheBlocksOfEachLevel) {
  executor::OwnedKvEvent owned = OwnedOf(tle::KVCacheEvent(3, tle::KVCacheCreatedData{{8, 4}}, 4096));
  const ExecutorKvEvent event = owned.Complete();
  EXPECT_EQ(event.id, 3u);
  EXPECT_EQ(event.type, KV_EVENT_CREATED);
  EXPECT_EQ(event.window_size, 4096u);
  ASSERT_EQ(event.level_count, 2u);
  EXPECT_EQ(event.level_blocks[0], 8u);
  EXPECT_EQ(event.level_blocks[1], 4u);
}

TEST(KvEvents, OfStoredBlocksHasTheirTokensAndWhatTheyFollow) {
  tle::KVCacheStoredData stored{7, {}};
  stored.blocks.emplace_back(8, tensorrt_llm::runtime::VecUniqueTokens{{1, 0}, {2, 0}}, std::nullopt, 0, 35);
  stored.blocks.emplace_back(9, tensorrt_llm::runtime::VecUniqueTokens{{3, 0}}, 5, 1, 90);
  executor::OwnedKvEvent owned = OwnedOf(tle::KVCacheEvent(4, stored, 4096));
  const ExecutorKvEvent event = owned.Complete();
  EXPECT_EQ(event.type, KV_EVENT_STORED);
  EXPECT_EQ(event.set, KV_EVENT_PARENT_HASH);
  EXPECT_EQ(event.parent_hash, 7u);
  ASSERT_EQ(event.block_count, 2u);
  const ExecutorKvBlock &first = event.blocks[0], &second = event.blocks[1];
  EXPECT_EQ(first.hash, 8u);
  EXPECT_EQ(first.set, 0u);
  EXPECT_EQ(first.priority, 35u);
  EXPECT_EQ(first.cache_level, CACHE_LEVEL_DEVICE);
  ASSERT_EQ(first.token_count, 2u);
  EXPECT_EQ(first.tokens[1], 2);
  EXPECT_EQ(second.set, KV_BLOCK_LORA_ID);
  EXPECT_EQ(second.lora_id, 5u);
  EXPECT_EQ(second.cache_level, CACHE_LEVEL_HOST);
  ASSERT_EQ(second.token_count, 1u);
  EXPECT_EQ(second.tokens[0], 3);
}

TEST(KvEvents, OfRemovedBlocksHasTheirHashes) {
  executor::OwnedKvEvent owned = OwnedOf(tle::KVCacheEvent(5, tle::KVCacheRemovedData{{8, 9}}, 4096));
  const ExecutorKvEvent event = owned.Complete();
  EXPECT_EQ(event.type, KV_EVENT_REMOVED);
  ASSERT_EQ(event.hash_count, 2u);
  EXPECT_EQ(event.hashes[1], 9u);
}

TEST(KvEvents, OfAnUpdatedBlockHasWhatChanged) {
  tle::KVCacheUpdatedData updated(8);
  updated.priority = tle::KVCacheEventDiff<tle::SizeType32>{35, 90};
  ExecutorKvEvent event = OwnedOf(tle::KVCacheEvent(6, updated, 4096)).Complete();
  EXPECT_EQ(event.type, KV_EVENT_UPDATED);
  EXPECT_EQ(event.hash, 8u);
  EXPECT_EQ(event.set, KV_EVENT_PRIORITY);
  EXPECT_EQ(event.old_priority, 35u);
  EXPECT_EQ(event.new_priority, 90u);
  updated.priority.reset();
  updated.cacheLevel = tle::KVCacheEventDiff<tle::SizeType32>{0, 1};
  event = OwnedOf(tle::KVCacheEvent(7, updated, 4096)).Complete();
  EXPECT_EQ(event.set, KV_EVENT_CACHE_LEVEL);
  EXPECT_EQ(event.old_cache_level, CACHE_LEVEL_DEVICE);
  EXPECT_EQ(event.new_cache_level, CACHE_LEVEL_HOST);
}

}  // namespace
}  // namespace adapter
#endif
