#include "native/embedded/cpu/scaled_layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "native/embedded/cpu/dispatch.h"

namespace embedded::cpu {
namespace {

constexpr ScaledType kTypes[kScaledTypes] = {ScaledType::kInt8,
                                             ScaledType::kFp8,
                                             ScaledType::kInt4,
                                             ScaledType::kInt4By32,
                                             ScaledType::kInt4By64,
                                             ScaledType::kInt4By128,
                                             ScaledType::kInt4By32Factors,
                                             ScaledType::kInt4By64Factors,
                                             ScaledType::kInt4By128Factors};

bool IsInt4(ScaledType type) { return type >= ScaledType::kInt4; }

// By the definition of E4M3.
double Fp8(uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const double size = exponent == 0 ? (bits & 7) * std::pow(2, -9) : (8 + (bits & 7)) * std::pow(2, exponent - 10);
  return bits < 128 ? size : -size;
}

struct Rows {
  Rows(ScaledType type, int row_count, int depth) : type(type), row_count(row_count), depth(depth) {
    std::mt19937 random(static_cast<uint32_t>(depth) + static_cast<uint32_t>(type));
    const auto groups = static_cast<size_t>(depth / GroupSize(type, depth));
    codes.resize(static_cast<size_t>(row_count) * depth);
    for (int8_t& code : codes) {
      code = static_cast<int8_t>(random());
      if (IsInt4(type)) code = static_cast<int8_t>(code / 16);
      if (type == ScaledType::kFp8 && (code & 0x7F) == 0x7F) code = 0;  // NaN
    }
    std::uniform_real_distribution<float> uniform(0.001f, 0.02f);
    for (size_t i = 0; i < row_count * groups; ++i) scales.push_back(uniform(random));
    for (size_t i = 0; i < row_count * groups; ++i) zeros.push_back(static_cast<float>(random() % 17) - 8);
    for (int d = 0; d < depth; ++d) factors.push_back(1 + uniform(random));
  }

  bool HasFactors() const { return type >= ScaledType::kInt4By32Factors; }
  float Weight(int row, int d) const {
    const int group_size = GroupSize(type, depth);
    const auto group = static_cast<size_t>(row) * (depth / group_size) + d / group_size;
    const int8_t code = codes[static_cast<size_t>(row) * depth + d];
    if (type == ScaledType::kFp8) return static_cast<float>(Fp8(static_cast<uint8_t>(code)) * scales[group]);
    const float weight = (static_cast<float>(code) + (IsInt4(type) ? zeros[group] : 0)) * scales[group];
    return HasFactors() ? weight * factors[static_cast<size_t>(d)] : weight;
  }
  std::vector<std::byte> Panel(const Layout& layout) const {
    std::vector<std::byte> panel(layout.panel_bytes(depth));
    const ScaledRows rows{codes.data(), scales.data(), zeros.data(), factors.data()};
    layout.pack(&rows, row_count, depth, panel.data());
    return panel;
  }

  ScaledType type;
  int row_count;
  int depth;
  std::vector<int8_t> codes;
  std::vector<float> scales, zeros, factors;
};

std::string NameOf(const Kernels& kernels, ScaledType type) {
  return std::string(kernels.name) + ", type " + std::to_string(static_cast<int>(type));
}

TEST(ScaledLayout, UnpacksTheWeightsThatWerePacked) {
  for (const ScaledType type : kTypes)
    for (const int row_count : {1, 17, 32}) {
      const Rows rows(type, row_count, 384);
      const Layout& layout = kScalarKernels.layout(type);
      const std::vector<std::byte> panel = rows.Panel(layout);
      EXPECT_EQ(panel.size() % 64, 0u);
      std::vector<float> weights(static_cast<size_t>(rows.depth));
      for (int row = 0; row < row_count; ++row) {
        layout.unpack(panel.data(), row, rows.depth, weights.data());
        for (int d = 0; d < rows.depth; ++d)
          ASSERT_EQ(weights[static_cast<size_t>(d)], rows.Weight(row, d)) << NameOf(kScalarKernels, type) << ", " << d;
      }
    }
}

// To the bit, because logits may not depend on how a model is stored.
TEST(ScaledLayout, ProductsHaveTheBitsOfTheFloatMatrix) {
  constexpr size_t kOutStride = kPanelWidth + 5;
  for (const Kernels* kernels : SupportedKernels())
    for (const ScaledType type : kTypes)
      for (const int depth : {128, 256, 384, 640})
        for (const bool add : {false, true})
          for (const int rows : {1, 2, 3, 4, 5, 13}) {
            const Rows of(type, 32, depth);
            std::vector<float> x(static_cast<size_t>(rows) * depth);
            for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
            std::vector<float> floats;
            for (int row = 0; row < 32; ++row)
              for (int d = 0; d < depth; ++d) floats.push_back(of.Weight(row, d));
            const Layout& plain = kernels->layout(WeightType::kFloat32);
            std::vector<std::byte> float_panel(plain.panel_bytes(depth));
            plain.pack(floats.data(), 32, depth, float_panel.data());
            const std::vector<std::byte> panel = of.Panel(kernels->layout(type));
            std::vector<float> expected(rows * kOutStride, 0.5f);
            std::vector<float> actual = expected;
            const auto multiply = [&](const Layout& layout, const std::byte* from, std::vector<float>* out) {
              layout.product({x.data(), depth * sizeof(float), from, out->data(), kOutStride, rows, depth, add});
            };
            multiply(plain, float_panel.data(), &expected);
            multiply(kernels->layout(type), panel.data(), &actual);
            ASSERT_EQ(actual, expected) << NameOf(*kernels, type) << ", depth " << depth << ", " << rows << " rows";
          }
}

TEST(ScaledLayout, ARowOfAnyDepthIsPackedWithOneScale) {
  for (const ScaledType type : {ScaledType::kInt8, ScaledType::kFp8, ScaledType::kInt4}) {
    const Rows rows(type, 3, 77);
    const std::vector<std::byte> panel = rows.Panel(kScalarKernels.layout(type));
    std::vector<float> weights(77);
    kScalarKernels.layout(type).unpack(panel.data(), 2, 77, weights.data());
    for (int d = 0; d < 77; ++d) EXPECT_EQ(weights[static_cast<size_t>(d)], rows.Weight(2, d)) << d;
  }
}

}  // namespace
}  // namespace embedded::cpu
