// The layouts of bfloat16 matrices, of every set of kernels that this machine runs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/float16.h"

namespace embedded::cpu {
namespace {

constexpr float kBefore = 0.5f;  // what `out` holds before

// Numbers that bfloat16 holds.
std::vector<uint16_t> Random(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) value = FloatToBfloat16(uniform(random));
  return values;
}

const Layout& LayoutOf(const Kernels& kernels) { return kernels.layout(WeightType::kBfloat16); }

struct Case {
  int rows, depth;
  int outputs = kPanelWidth;
  bool add_to_out = false;
};

class Multiplication {
 public:
  Multiplication(const Layout& layout, const Case& of)
      : layout_(layout),
        of_(of),
        weights_(Random(static_cast<size_t>(of.outputs) * of.depth, 5)),
        panel_((layout.panel_bytes(of.depth) + 63) / 64) {
    for (const uint16_t bits : Random(static_cast<size_t>(of.rows) * of.depth, 3))
      x_.push_back(Bfloat16ToFloat(bits) * 1.003f);  // more than bfloat16 holds
    layout.pack(weights_.data(), of.outputs, of.depth, panel_.data());
  }

  // Of `count` rows from `first` on, computed by one call.
  std::vector<float> Rows(int first, int count) const {
    const float* floats = x_.data() + static_cast<size_t>(first) * of_.depth;
    const size_t stride = static_cast<size_t>(of_.outputs) + 37;
    std::vector<float> out(count * stride, kBefore);
    LayoutProduct product{floats,        of_.depth * sizeof(float), panel_.data(), out.data(), stride, count, of_.depth,
                          of_.add_to_out};
    std::vector<Line> prepared;
    if (const InputForm* const form = layout_.input) {
      product.x_stride = form->row_bytes(of_.depth + 70);  // as of a deeper matrix beside it
      prepared.assign(count * product.x_stride / 64, {});
      product.x = prepared.data();
      for (int row = 0; row < count; ++row)
        form->prepare(floats + static_cast<size_t>(row) * of_.depth, of_.depth,
                      reinterpret_cast<char*>(prepared.data()) + row * product.x_stride);
    }
    layout_.product(product);
    std::vector<float> rows;
    for (int row = 0; row < count; ++row)
      rows.insert(rows.end(), out.begin() + row * stride, out.begin() + row * stride + kPanelWidth);
    return rows;
  }

  // In double precision, of the input as the layout reads it.
  double Expected(int row, int column) const {
    double sum = of_.add_to_out ? kBefore : 0;
    for (int d = 0; d < of_.depth && column < of_.outputs; ++d) {
      const float x = x_[static_cast<size_t>(row) * of_.depth + d];
      sum += static_cast<double>(layout_.input != nullptr ? Bfloat16ToFloat(FloatToBfloat16(x)) : x) *
             Bfloat16ToFloat(weights_[static_cast<size_t>(column) * of_.depth + d]);
    }
    return sum;
  }

  void ExpectWeights() const {
    for (int column = 0; column < of_.outputs; ++column) {
      std::vector<float> unpacked(of_.depth);
      layout_.unpack(panel_.data(), column, of_.depth, unpacked.data());
      for (int d = 0; d < of_.depth; ++d)
        ASSERT_EQ(unpacked[d], Bfloat16ToFloat(weights_[static_cast<size_t>(column) * of_.depth + d])) << d;
    }
  }

 private:
  struct alignas(64) Line {
    char bytes[64];
  };
  const Layout& layout_;
  Case of_;
  std::vector<uint16_t> weights_;
  std::vector<float> x_;
  std::vector<Line> panel_;
};

TEST(Bfloat16Kernels, ProductsOfEveryShapeAreThoseOfTheRoundedInput) {
  for (const Kernels* kernels : SupportedKernels())
    for (const bool add : {false, true})
      for (const int outputs : {1, 17, 32})
        for (const int depth : {1, 31, 32, 100, 257, 576})
          for (const int rows : {1, 2, 12, 13, 16, 17, 32, 33, 70}) {
            const Multiplication multiplication(LayoutOf(*kernels), {rows, depth, outputs, add});
            const std::vector<float> actual = multiplication.Rows(0, rows);
            for (int row = 0; row < rows; ++row)
              for (int column = 0; column < kPanelWidth; ++column)
                ASSERT_NEAR(actual[row * kPanelWidth + column], multiplication.Expected(row, column), 2e-5)
                    << kernels->name << ", " << rows << " rows, depth " << depth << ", row " << row << ", column "
                    << column;
          }
}

TEST(Bfloat16Kernels, ARowHasTheSameBitsInAnyCallWithAnyRows) {
  constexpr int kRows = 70;
  for (const Kernels* kernels : SupportedKernels()) {
    const Multiplication multiplication(LayoutOf(*kernels), {kRows, 1000});
    const std::vector<float> all = multiplication.Rows(0, kRows);
    for (int count = 1; count < kRows; ++count)
      for (int first = 0; first + count <= kRows; first += count) {
        const std::vector<float> some = multiplication.Rows(first, count);
        ASSERT_EQ(std::memcmp(some.data(), all.data() + first * kPanelWidth, some.size() * sizeof(float)), 0)
            << kernels->name << ", " << count << " rows from " << first;
      }
  }
}

TEST(Bfloat16Kernels, APackedWeightIsReadBackAsItWas) {
  for (const Kernels* kernels : SupportedKernels())
    for (const int depth : {1, 33, 64})
      for (const int outputs : {1, 20, 32}) {
        SCOPED_TRACE(kernels->name);
        Multiplication(LayoutOf(*kernels), {1, depth, outputs}).ExpectWeights();
      }
}

TEST(Bfloat16Kernels, NoNumberAndInfinityStayWhatTheyAreInTheInput) {
  constexpr int kDepth = 64;
  for (const Kernels* kernels : SupportedKernels()) {
    const Layout& layout = LayoutOf(*kernels);
    if (layout.input == nullptr) continue;
    std::vector<float> x(kDepth, 1);
    x[5] = std::nanf("");
    x[6] = INFINITY;
    std::vector<uint16_t> prepared(layout.input->row_bytes(kDepth) / sizeof(uint16_t));
    layout.input->prepare(x.data(), kDepth, prepared.data());
    EXPECT_TRUE(std::isnan(Bfloat16ToFloat(prepared[5]))) << kernels->name;
    EXPECT_EQ(Bfloat16ToFloat(prepared[6]), INFINITY) << kernels->name;
    EXPECT_EQ(Bfloat16ToFloat(prepared[7]), 1) << kernels->name;
  }
}

}  // namespace
}  // namespace embedded::cpu
