// What writes keys and values in 8 bits, and what moves them.
#include <algorithm>

#include "gpu_test.h"
#include "native/embedded/cpu/rope.h"
#include "native/embedded/cuda/finish_heads.h"
#include "native/embedded/cuda/kv_copy.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/rope_append.h"

namespace embedded::cuda {
namespace {

class Int8Kv : public GpuTestWith<Element> {};
INSTANTIATE_TEST_SUITE_P(Types, Int8Kv, testing::Values(Element::kBfloat16, Element::kFloat16),
                         [](const auto& info) { return NameOf(info.param); });

constexpr int kHeads = 4, kKvHeads = 3, kLayers = 2, kBlocks = 7, kTokensPerBlock = 16;

KvFormat FormatOf(Element element, int head_dim) {
  return {{element, kLayers, kBlocks, kKvHeads, kTokensPerBlock, head_dim}, KvType::kInt8};
}

TEST_P(Int8Kv, FinishHeadsRoundsEachHeadByItsLargestNumberAndWritesOnlyTheTokensPlaces) {
  const std::vector<int32_t> positions{0, 15, -1, 16, 40}, sequence{0, 1, 0, 1, 0};
  const std::vector<int32_t> block_table{5, 1, 3, 0, 6, 2};  // [2, 3]
  DeviceArray<int32_t> device_positions(positions), device_sequence(sequence), table(block_table);
  for (const int head_dim : {6, 64, 96, 256}) {
    ModelConfig model{};
    model.head_dim = head_dim;
    model.rotary_base = 500000;
    const cpu::Rope rope(model);
    const KvFormat kv = FormatOf(GetParam(), head_dim);
    const size_t dim = static_cast<size_t>(head_dim), heads = kHeads + 2 * kKvHeads, tokens = positions.size();
    std::vector<uint16_t> qkv = RandomElements(GetParam(), tokens * heads * dim, 1);
    std::fill_n(qkv.begin() + static_cast<long>((heads + kHeads) * dim), dim, 0);  // a key of zeros
    DeviceArray<uint16_t> device_qkv(qkv), queries(tokens * kHeads * dim);
    DeviceArray<uint8_t> cache(kv.bytes());
    DeviceArray<float2> angles(AngleTable(rope.frequencies(), 1, 64));
    FinishHeads(
        {GetParam(), static_cast<int>(tokens), device_qkv.get(), nullptr, nullptr, nullptr, 0, KvType::kInt8},
        {queries.get(), kv.Keys(cache.get(), 1), kv.Values(cache.get(), 1), angles.get(), device_positions.get(),
         device_sequence.get(), table.get(), 3, kHeads, kKvHeads, head_dim, kTokensPerBlock},
        nullptr);
    const std::vector<uint8_t> got = cache.Read();
    std::vector<bool> is_written(got.size());
    std::vector<float> cos(dim / 2), sin(dim / 2), head(dim);
    for (size_t t = 0; t < tokens; ++t) {
      if (positions[t] < 0) continue;
      rope.Angles(positions[t], 1, cos.data(), sin.data());
      const size_t block = static_cast<size_t>(block_table[static_cast<size_t>(sequence[t] * 3 + positions[t] / 16)]);
      const size_t slot = static_cast<size_t>(positions[t] % 16);
      for (size_t h = kHeads; h < heads; ++h) {
        const bool is_key = h < kHeads + kKvHeads;
        for (size_t d = 0; d < dim; ++d) head[d] = FromBits(GetParam(), qkv[(t * heads + h) * dim + d]);
        if (is_key) rope.Rotate(cos.data(), sin.data(), head.data());
        float largest = 0;
        for (const float x : head) largest = std::max(largest, std::abs(x));
        const size_t kv_head = (h - kHeads) % kKvHeads;
        const size_t begin = ((is_key ? 2 : 3) * kBlocks + block) * kv.block_bytes() + kv_head * kv.head_bytes();
        const size_t codes = begin + slot * dim, scale = begin + kTokensPerBlock * dim + slot * sizeof(float);
        std::fill_n(is_written.begin() + static_cast<long>(codes), dim, true);
        std::fill_n(is_written.begin() + static_cast<long>(scale), sizeof(float), true);
        float got_scale;
        std::memcpy(&got_scale, got.data() + scale, sizeof(got_scale));
        EXPECT_NEAR(got_scale, largest / 127, 1e-5 * largest) << "token " << t << ", head " << h;
        // One more or less where a rotation differs in its last bits and the number lies half between two.
        for (size_t d = 0; d < dim; ++d)
          ASSERT_NEAR(got[codes + d], largest == 0 ? 128 : 128 + head[d] * 127 / largest, 0.51)
              << "token " << t << ", head " << h << ", dimension " << d << " of " << dim;
      }
    }
    for (size_t i = 0; i < got.size(); ++i) ASSERT_TRUE(is_written[i] || got[i] == 0xFF) << i;
  }
}

TEST_P(Int8Kv, CopiesTakeTheScalesAlongToPinnedMemoryAndBack) {
  constexpr int kHostBlocks = 4;
  const KvFormat kv = FormatOf(GetParam(), 64);
  std::vector<uint8_t> cache(kv.bytes());
  std::mt19937 random(1);
  for (uint8_t& byte : cache) byte = static_cast<uint8_t>(random());
  DeviceArray<uint8_t> device(cache);
  const PinnedBuffer host(kHostBlocks * kv.bytes_per_block(), "a test");
  const KvBlocks on_device{device.get(), kBlocks}, on_host{host.data(), kHostBlocks};
  DeviceArray<KvBlockCopy> out(std::vector<KvBlockCopy>{{0, 3}, {5, 0}}),
      back(std::vector<KvBlockCopy>{{3, 1}, {0, 2}});
  CopyKvBlocks(kv, {out.get(), 2, on_device, on_host}, nullptr);
  CopyKvBlocks(kv, {back.get(), 2, on_host, on_device}, nullptr);
  std::vector<uint8_t> expected = cache;
  const size_t block = kv.block_bytes();
  for (size_t plane = 0; plane < 2 * kLayers; ++plane)
    for (const auto& [from, to] : {std::pair<size_t, size_t>{0, 1}, {5, 2}})
      std::copy_n(cache.begin() + static_cast<long>((plane * kBlocks + from) * block), block,
                  expected.begin() + static_cast<long>((plane * kBlocks + to) * block));
  EXPECT_EQ(device.Read(), expected);
}

}  // namespace
}  // namespace embedded::cuda
