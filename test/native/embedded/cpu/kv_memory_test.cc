#include "native/embedded/cpu/kv_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace embedded::cpu {
namespace {

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
}  // namespace embedded::cpu
