#include "native/embedded/cpu/kv_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/float16.h"

namespace embedded::cpu {
namespace {

ModelConfig ModelOf(const char* dtype, int layers) {
  ModelConfig model{};
  model.dtype = dtype;
  model.layers = layers;
  model.kv_heads = 2;
  model.head_dim = 72;
  return model;
}

// The number at an element of what `type` says.
float At(WeightType type, const void* data, size_t index) {
  return type == WeightType::kFloat32 ? static_cast<const float*>(data)[index]
                                      : Float16ToFloat(static_cast<const uint16_t*>(data)[index]);
}

TEST(KvMemory, CopyLayerCopiesOneLayerOfABlockAndNothingElse) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    const ModelConfig model = ModelOf(dtype, 2);
    const KvMemory memory(model, SelectKernels(), 3);
    for (int block = 0; block < 3; ++block)
      for (int layer = 0; layer < 2; ++layer)
        for (int head = 0; head < 2; ++head)
          for (int slot = 0; slot < kTokensPerBlock; ++slot) {
            const std::vector<float> row(72, static_cast<float>(10 * block + layer));
            memory.Write(block, slot, layer, head, row.data(), row.data());
          }
    memory.CopyLayer(2, 1, 1);
    const auto expect = [&](int block, int layer, float value) {
      for (int head = 0; head < 2; ++head)
        for (const size_t slot : {0, 31}) {
          EXPECT_EQ(At(memory.type(), memory.Keys(block, layer, head), 71 * kTokensPerBlock + slot), value) << dtype;
          EXPECT_EQ(At(memory.type(), memory.Values(block, layer, head, 71), 96 * slot), value) << dtype;
        }
    };
    expect(0, 0, 0);
    expect(0, 1, 1);
    expect(1, 0, 10);
    expect(1, 1, 21);
    expect(2, 0, 20);
    expect(2, 1, 21);
  }
}

TEST(KvMemory, KeysAndValuesOfAllBlocksLayersAndHeadsLieApart) {
  for (const char* dtype : {"float32", "float16"}) {
    const size_t bytes = std::string(dtype) == "float32" ? 4 : 2;
    const ModelConfig model = ModelOf(dtype, 3);
    const KvMemory memory(model, SelectKernels(), 4);
    EXPECT_EQ(memory.value_stride(), 96);
    std::set<const char*> starts;
    for (int block = 0; block < 4; ++block)
      for (int layer = 0; layer < 3; ++layer)
        for (int head = 0; head < 2; ++head) {
          starts.insert(static_cast<const char*>(memory.Keys(block, layer, head)));
          starts.insert(static_cast<const char*>(memory.Values(block, layer, head, 0)));
        }
    ASSERT_EQ(starts.size(), 4u * 3 * 2 * 2);
    const char* previous = nullptr;
    for (const char* start : starts) {
      if (previous != nullptr) {
        EXPECT_GE(static_cast<size_t>(start - previous), bytes * 72 * kTokensPerBlock);
      }
      previous = start;
    }
    EXPECT_EQ(KvMemory::BytesPerBlock(model), bytes * kTokensPerBlock * (72 + 96) * 2 * 3);
  }
}

TEST(KvMemory, AKeyIsAColumnAndAValueARowOfItsBlock) {
  for (const char* dtype : {"float32", "float16", "bfloat16"}) {
    const KvMemory memory(ModelOf(dtype, 2), SelectKernels(), 2);
    std::vector<float> key(72), value(72);
    for (int d = 0; d < 72; ++d) {
      key[d] = static_cast<float>(d) + 0.5f;
      value[d] = -static_cast<float>(d);
    }
    memory.Write(1, 31, 1, 0, key.data(), value.data());
    for (int d = 0; d < 72; ++d) {
      EXPECT_EQ(At(memory.type(), memory.Keys(1, 1, 0), d * kTokensPerBlock + 31), key[d]) << dtype;
      EXPECT_EQ(At(memory.type(), memory.Values(1, 1, 0, d), 31 * 96), value[d]) << dtype;
    }
    for (int d = 72; d < 96; ++d)
      EXPECT_EQ(At(memory.type(), memory.Values(1, 1, 0, 0), 31 * 96 + d), 0) << "padding, " << dtype;
  }
}

}  // namespace
}  // namespace embedded::cpu
