#include "native/embedded/cpu/kv_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

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
float At(PanelType type, const void* data, size_t index) {
  if (type == PanelType::kInt8) return static_cast<const int8_t*>(data)[index];
  return type == PanelType::kFloat32 ? static_cast<const float*>(data)[index]
                                     : Float16ToFloat(static_cast<const uint16_t*>(data)[index]);
}

TEST(KvMemory, CopyLayerCopiesOneLayerOfABlockAndNothingElse) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    const ModelConfig model = ModelOf(dtype, 2);
    const KvMemory memory(model, KV_DTYPE_AUTO, SelectKernels(), 3);
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
    const KvMemory memory(model, KV_DTYPE_AUTO, SelectKernels(), 4);
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
    EXPECT_EQ(KvMemory::BytesPerBlock(model, KV_DTYPE_AUTO), bytes * kTokensPerBlock * (72 + 96) * 2 * 3);
  }
}

TEST(KvMemory, AKeyIsAColumnAndAValueARowOfItsBlock) {
  for (const char* dtype : {"float32", "float16", "bfloat16"}) {
    const KvMemory memory(ModelOf(dtype, 2), KV_DTYPE_AUTO, SelectKernels(), 2);
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

TEST(KvMemory, Int8IsWithinHalfAStepOfEachTokensLargestNumber) {
  const KvMemory memory(ModelOf("bfloat16", 2), KV_DTYPE_INT8, SelectKernels(), 2);
  for (const int slot : {0, 30, 31}) {
    std::vector<float> key(72), value(72);
    for (int d = 0; d < 72; ++d) {
      key[d] = 0.1f * static_cast<float>(d - 60) * static_cast<float>(slot + 1);
      value[d] = std::sin(static_cast<float>(d + slot));
    }
    memory.Write(1, slot, 1, 1, key.data(), value.data());
    const float key_scale = memory.KeyScales(1, 1, 1)[slot], value_scale = memory.ValueScales(1, 1, 1)[slot];
    EXPECT_FLOAT_EQ(key_scale, 6.0f * static_cast<float>(slot + 1) / 127);
    for (int d = 0; d < 72; ++d) {
      const float stored_key = At(memory.type(), memory.Keys(1, 1, 1), d * kTokensPerBlock + slot) * key_scale;
      const float stored_value = At(memory.type(), memory.Values(1, 1, 1, d), slot * 96) * value_scale;
      EXPECT_NEAR(stored_key, key[d], 0.501f * key_scale) << slot;
      EXPECT_NEAR(stored_value, value[d], 0.501f * value_scale) << slot;
    }
  }
}

TEST(KvMemory, Int8OfZerosIsZeroAndOfNoNumberHasAScaleThatIsNone) {
  const KvMemory memory(ModelOf("float16", 1), KV_DTYPE_INT8, SelectKernels(), 1);
  std::vector<float> key(72, 0.0f), value(72, 1e-35f);
  memory.Write(0, 3, 0, 0, key.data(), value.data());
  EXPECT_EQ(memory.KeyScales(0, 0, 0)[3], 0);
  EXPECT_EQ(At(memory.type(), memory.Values(0, 0, 0, 5), 3 * 96), 0);
  key[71] = std::nanf("");
  memory.Write(0, 3, 0, 0, key.data(), value.data());
  EXPECT_TRUE(std::isnan(memory.KeyScales(0, 0, 0)[3]));
}

TEST(KvMemory, ABlockOfInt8IsCopiedWithItsScalesAndTakesAByteANumberAndEightATokenAndHead) {
  const ModelConfig model = ModelOf("bfloat16", 2);
  EXPECT_EQ(KvMemory::BytesPerBlock(model, KV_DTYPE_INT8), kTokensPerBlock * (72 + 96 + 8) * 2 * 2);
  const KvMemory memory(model, KV_DTYPE_INT8, SelectKernels(), 3);
  for (int block = 0; block < 3; ++block)
    for (int layer = 0; layer < 2; ++layer)
      for (int head = 0; head < 2; ++head) {
        const std::vector<float> own(72, static_cast<float>(127 * (10 * block + layer)));
        memory.Write(block, 31, layer, head, own.data(), own.data());
      }
  memory.CopyLayer(2, 1, 1);
  for (int head = 0; head < 2; ++head) {
    EXPECT_EQ(memory.ValueScales(1, 1, head)[31], 21);
    EXPECT_EQ(memory.KeyScales(1, 1, head)[31], 21);
    EXPECT_EQ(memory.KeyScales(1, 0, head)[31], 10);
    EXPECT_EQ(memory.KeyScales(2, 0, head)[31], 20);
    EXPECT_EQ(memory.KeyScales(0, 1, head)[31], 1);
  }
}

}  // namespace
}  // namespace embedded::cpu
