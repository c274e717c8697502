#include <algorithm>
#include <array>

#include "gpu_test.h"
#include "native/embedded/cpu/rope.h"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/embedding.h"
#include "native/embedded/cuda/kv_copy.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/rms_norm.h"
#include "native/embedded/cuda/rope_append.h"
#include "native/embedded/cuda/silu.h"
#include "native/embedded/cuda/sum_rows.h"
#include "native/embedded/random.h"

namespace embedded::cuda {
namespace {

constexpr Element kElements[] = {Element::kBfloat16, Element::kFloat16};

class Elementwise : public GpuTestWith<Element> {};
INSTANTIATE_TEST_SUITE_P(Types, Elementwise, testing::ValuesIn(kElements),
                         [](const auto& info) { return NameOf(info.param); });

std::vector<double> Normalized(const std::vector<float>& hidden, const std::vector<float>& weight, size_t size) {
  std::vector<double> out(hidden.size());
  for (size_t row = 0; row < hidden.size() / size; ++row) {
    double squares = 0;
    for (size_t i = 0; i < size; ++i) squares += double{hidden[row * size + i]} * hidden[row * size + i];
    const double factor = 1 / std::sqrt(squares / static_cast<double>(size) + 1e-5);
    for (size_t i = 0; i < size; ++i) out[row * size + i] = hidden[row * size + i] * factor * weight[i];
  }
  return out;
}

TEST_P(Elementwise, RmsNormEqualsItsDefinitionForAnySize) {
  for (const int size : {1, 7, 36, 64, 576, 4096, 8192, 16384 + 8, 20001}) {
    const size_t width = static_cast<size_t>(size);
    const std::vector<uint16_t> hidden = RandomElements(GetParam(), 3 * width, 1);
    const std::vector<uint16_t> weight = RandomElements(GetParam(), width, 2);
    DeviceArray<uint16_t> device_hidden(hidden), device_weight(weight), out(3 * width);
    RmsNorm({GetParam(), Residual::kElement, 3, size, 1e-5f},
            {device_hidden.get(), nullptr, nullptr, device_weight.get(), out.get()}, nullptr);
    EXPECT_LT(RelativeError(FromBits(GetParam(), out.Read()),
                            Normalized(FromBits(GetParam(), hidden), FromBits(GetParam(), weight), width)),
              Rounding(GetParam()))
        << size;
    EXPECT_EQ(device_hidden.Read(), hidden) << "hidden is only read where nothing is added";
  }
}

TEST_P(Elementwise, RmsNormAddsToTheFp32ResidualFirst) {
  for (const int size : {36, 4096}) {
    const size_t width = static_cast<size_t>(size);
    std::vector<float> hidden = RandomFloats(5 * width, 1);
    const std::vector<uint16_t> delta = RandomElements(GetParam(), 5 * width, 2);
    const std::vector<uint16_t> weight = RandomElements(GetParam(), width, 3);
    DeviceArray<float> device_hidden(hidden);
    DeviceArray<uint16_t> device_delta(delta), device_weight(weight), out(5 * width);
    RmsNorm({GetParam(), Residual::kFloat32, 5, size, 1e-5f},
            {device_hidden.get(), device_delta.get(), nullptr, device_weight.get(), out.get()}, nullptr);
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] += FromBits(GetParam(), delta[i]);
    EXPECT_EQ(device_hidden.Read(), hidden);
    EXPECT_LT(RelativeError(FromBits(GetParam(), out.Read()), Normalized(hidden, FromBits(GetParam(), weight), width)),
              Rounding(GetParam()));
  }
}

TEST_P(Elementwise, SumRowsAddsTheRowsOfEachSpan) {
  for (const int size : {1, 36, 100, 4096}) {
    const size_t width = static_cast<size_t>(size);
    const std::vector<uint16_t> x = RandomElements(GetParam(), 700 * width, 1);
    const std::vector<RowSpan> spans{{0, 1}, {3, 600}, {699, 1}, {600, 17}};
    DeviceArray<uint16_t> device_x(x);
    DeviceArray<RowSpan> device_spans(spans);
    DeviceArray<float> out(spans.size() * width);
    SumRows(GetParam(), static_cast<int>(spans.size()), size, device_spans.get(), device_x.get(), out.get(), nullptr);
    const std::vector<float> values = FromBits(GetParam(), x), got = out.Read();
    for (size_t s = 0; s < spans.size(); ++s)
      for (size_t i = 0; i < width; ++i) {
        double sum = 0;
        for (int32_t row = spans[s].first; row < spans[s].first + spans[s].count; ++row)
          sum += values[static_cast<size_t>(row) * width + i];
        ASSERT_NEAR(got[s * width + i], sum, 1e-3) << size << ", span " << s << ", column " << i;
      }
  }
}

TEST_P(Elementwise, RmsNormTakesTheRowsTheHeadNeedsAndSkipsPadding) {
  constexpr size_t kSize = 64;
  const std::vector<float> hidden = RandomFloats(6 * kSize, 1);
  const std::vector<uint16_t> weight = RandomElements(GetParam(), kSize, 3);
  DeviceArray<float> device_hidden(hidden);
  DeviceArray<int> rows(std::vector<int>{4, -1, 0});
  DeviceArray<uint16_t> device_weight(weight), out(3 * kSize);
  RmsNorm({GetParam(), Residual::kFloat32, 3, kSize, 1e-5f},
          {device_hidden.get(), nullptr, rows.get(), device_weight.get(), out.get()}, nullptr);
  const std::vector<double> all = Normalized(hidden, FromBits(GetParam(), weight), kSize);
  const std::vector<uint16_t> got = out.Read();
  const auto row = [&](size_t i) {
    return FromBits(GetParam(),
                    {got.begin() + static_cast<long>(i * kSize), got.begin() + static_cast<long>((i + 1) * kSize)});
  };
  const auto expected = [&](size_t i) {
    return std::vector<double>(all.begin() + static_cast<long>(i * kSize),
                               all.begin() + static_cast<long>((i + 1) * kSize));
  };
  EXPECT_LT(RelativeError(row(0), expected(4)), Rounding(GetParam()));
  EXPECT_LT(RelativeError(row(2), expected(0)), Rounding(GetParam()));
  EXPECT_EQ(got[kSize], 0xFFFF) << "nothing is written for padding";
}

TEST_P(Elementwise, EmbeddingsComeFromTheTokensTheSamplerLeftOnTheDevice) {
  for (const int size : {10, 64}) {
    const size_t width = static_cast<size_t>(size);
    const std::vector<uint16_t> table = RandomElements(GetParam(), 9 * width, 1);
    DeviceArray<uint16_t> device_table(table);
    const uint16_t* const rows = device_table.get();
    const EmbeddingTable whole{{rows}, 9}, parts{{rows, rows + 4 * width, rows + 8 * width}, 4};
    DeviceArray<int32_t> tokens(std::vector<int32_t>{3, 5, -1, 7}), drawn(std::vector<int32_t>{8, 2}),
        drawn_at(std::vector<int32_t>{-1, 1, -1, 0});
    DeviceArray<float> hidden(4 * width);
    GatherEmbeddings({GetParam(), Residual::kFloat32, 4, size},
                     {tokens.get(), drawn.get(), drawn_at.get(), whole, hidden.get()}, nullptr);
    DeviceArray<uint16_t> narrow(4 * width);
    GatherEmbeddings({GetParam(), Residual::kElement, 4, size},
                     {tokens.get(), drawn.get(), drawn_at.get(), parts, narrow.get()}, nullptr);
    const std::vector<float> got = hidden.Read();
    EXPECT_EQ(FromBits(GetParam(), narrow.Read()), got);
    const int expected[] = {3, 2, -1, 8};
    for (size_t row = 0; row < 4; ++row)
      for (size_t i = 0; i < width; ++i)
        EXPECT_EQ(got[row * width + i],
                  expected[row] < 0 ? 0 : FromBits(GetParam(), table[static_cast<size_t>(expected[row]) * width + i]));
  }
}

TEST_P(Elementwise, SiluMultiplyEqualsItsDefinition) {
  for (const int size : {1, 36, 1536, 14336}) {
    const size_t width = static_cast<size_t>(size);
    const std::vector<uint16_t> gate_up = RandomElements(GetParam(), 3 * 2 * width, 1, 4);
    DeviceArray<uint16_t> device(gate_up), out(3 * width);
    SiluMultiply({GetParam(), 3, size}, {device.get(), out.get()}, nullptr);
    std::vector<double> expected(3 * width);
    for (size_t row = 0; row < 3; ++row)
      for (size_t i = 0; i < width; ++i) {
        const double gate = FromBits(GetParam(), gate_up[row * 2 * width + i]);
        expected[row * width + i] =
            gate / (1 + std::exp(-gate)) * FromBits(GetParam(), gate_up[row * 2 * width + width + i]);
      }
    EXPECT_LT(RelativeError(FromBits(GetParam(), out.Read()), expected), Rounding(GetParam())) << size;
  }
}

TEST_P(Elementwise, RopeAppendRotatesAsTheCpuAndWritesOnlyTheTokensPlaces) {
  for (const int head_dim : {6, 64, 80, 96, 128, 256}) {
    ModelConfig model{};
    model.head_dim = head_dim;
    model.rotary_base = 500000;
    const cpu::Rope rope(model);
    const KvLayout kv{GetParam(), 2, 7, 3, 16, head_dim};
    const int heads = 6;
    const std::vector<int32_t> positions{0, 15, -1, 16, 40}, sequence{0, 1, 0, 1, 0};
    const std::vector<int32_t> block_table{5, 1, 3, 0, 6, 2};  // [2, 3]
    const size_t dim = static_cast<size_t>(head_dim), width = (6 + 2 * 3) * dim, tokens = positions.size();
    const std::vector<uint16_t> qkv = RandomElements(GetParam(), tokens * width, 1);
    DeviceArray<uint16_t> device_qkv(qkv), cache(kv.bytes() / 2);
    DeviceArray<float2> angles(AngleTable(rope.frequencies(), 1, 64));
    DeviceArray<int32_t> device_positions(positions), device_sequence(sequence), table(block_table);
    RopeAppend({kv, static_cast<int>(tokens), heads, 3},
               {device_qkv.get(), angles.get(), device_positions.get(), device_sequence.get(), table.get(),
                kv.Keys(cache.get(), 1), kv.Values(cache.get(), 1)},
               nullptr);
    std::vector<uint16_t> expected_qkv = qkv, expected_cache(kv.bytes() / 2, 0xFFFF);
    std::vector<float> cos(dim / 2), sin(dim / 2), head(dim);
    const size_t plane = static_cast<size_t>(kv.blocks) * kv.block_elements();
    for (size_t t = 0; t < tokens; ++t) {
      if (positions[t] < 0) continue;
      rope.Angles(positions[t], 1, cos.data(), sin.data());
      const size_t block = static_cast<size_t>(block_table[static_cast<size_t>(sequence[t] * 3 + positions[t] / 16)]);
      for (size_t h = 0; h < 12; ++h) {
        uint16_t* at = expected_qkv.data() + t * width + h * dim;
        for (size_t d = 0; d < dim; ++d) head[d] = FromBits(GetParam(), at[d]);
        if (h < 9) rope.Rotate(cos.data(), sin.data(), head.data());
        const size_t kv_head = h < 6 ? 0 : (h - 6) % 3;
        if (h >= 6)
          at = expected_cache.data() + (h < 9 ? 2 : 3) * plane +
               ((block * 3 + kv_head) * 16 + static_cast<size_t>(positions[t] % 16)) * dim;
        for (size_t d = 0; d < dim; ++d) at[d] = ToBits(GetParam(), head[d]);
      }
    }
    const auto near = [&](const std::vector<uint16_t>& got, const std::vector<uint16_t>& expected) {
      int far = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        const float a = FromBits(GetParam(), got[i]), b = FromBits(GetParam(), expected[i]);
        far += got[i] != expected[i] && !(std::abs(a - b) <= 8e-3f * std::max(std::abs(b), 1e-2f));
      }
      return far;
    };
    EXPECT_EQ(near(device_qkv.Read(), expected_qkv), 0) << head_dim;
    EXPECT_EQ(near(cache.Read(), expected_cache), 0) << head_dim;
  }
}

TEST_P(Elementwise, CopyKvBlocksCopiesAllLayersAndNothingElse) {
  for (const int head_dim : {5, 64}) {
    const KvLayout kv{GetParam(), 3, 6, 1, 16, head_dim};
    const std::vector<uint16_t> cache = RandomElements(GetParam(), kv.bytes() / 2, 1);
    DeviceArray<uint16_t> device(cache);
    DeviceArray<KvBlockCopy> copies(std::vector<KvBlockCopy>{{0, 4}, {-1, -1}, {2, 5}});
    const KvBlocks blocks{device.get(), kv.blocks};
    CopyKvBlocks(kv, {copies.get(), 3, blocks, blocks}, nullptr);
    std::vector<uint16_t> expected = cache;
    const size_t block = kv.block_elements();
    for (size_t plane = 0; plane < 6; ++plane)
      for (const auto& [from, to] : {std::pair<size_t, size_t>{0, 4}, {2, 5}})
        std::copy_n(cache.begin() + static_cast<long>((plane * 6 + from) * block), block,
                    expected.begin() + static_cast<long>((plane * 6 + to) * block));
    EXPECT_EQ(device.Read(), expected);
  }
}

TEST_P(Elementwise, CopyKvBlocksReachesPinnedMemoryOfAnotherNumberOfBlocks) {
  constexpr int kHostBlocks = 4;
  const KvLayout kv{GetParam(), 3, 6, 2, 16, 64};
  const std::vector<uint16_t> cache = RandomElements(GetParam(), kv.bytes() / 2, 1);
  DeviceArray<uint16_t> device(cache);
  const PinnedBuffer host(kHostBlocks * kv.bytes_per_block(), "a test");
  const KvBlocks on_device{device.get(), kv.blocks}, on_host{host.data(), kHostBlocks};
  DeviceArray<KvBlockCopy> out(std::vector<KvBlockCopy>{{0, 3}, {5, 0}}),
      back(std::vector<KvBlockCopy>{{3, 1}, {0, 2}});
  CopyKvBlocks(kv, {out.get(), 2, on_device, on_host}, nullptr);
  CopyKvBlocks(kv, {back.get(), 2, on_host, on_device}, nullptr);
  std::vector<uint16_t> expected = cache;
  const size_t block = kv.block_elements();
  for (size_t plane = 0; plane < 6; ++plane)
    for (const auto& [from, to] : {std::pair<size_t, size_t>{0, 1}, {5, 2}})
      std::copy_n(cache.begin() + static_cast<long>((plane * 6 + from) * block), block,
                  expected.begin() + static_cast<long>((plane * 6 + to) * block));
  EXPECT_EQ(device.Read(), expected);
}

TEST_P(Elementwise, DummyWeightsAreThoseOfThePlainTwin) {
  constexpr size_t kCount = 4099;
  const DummyTensor tensor{5, 1.0f, 0.25f};
  DeviceArray<uint16_t> out(kCount + 1);
  FillDummyWeights(tensor, GetParam(), kCount, out.get(), nullptr);
  const std::vector<uint16_t> got = out.Read();
  std::vector<float> expected(kCount);
  embedded::FillDummyWeights(tensor, 0, kCount, expected.data());
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(got[i], ToBits(GetParam(), expected[i])) << i;
  EXPECT_EQ(got[kCount], 0xFFFF);
}

}  // namespace
}  // namespace embedded::cuda
