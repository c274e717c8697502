// ggml's blocks: packing loses nothing, and every set of kernels multiplies with the weights that the blocks stand for.
#include "native/embedded/cpu/blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "../../paths.h"
#include "native/embedded/cpu/dispatch.h"

namespace embedded::cpu {
namespace {

constexpr int kGoldenWeights = 512;

std::vector<WeightType> BlockTypes() {
  std::vector<WeightType> types;
  for (int i = static_cast<int>(WeightType::kQ4_0); i <= static_cast<int>(WeightType::kQ6_K); ++i)
    types.push_back(static_cast<WeightType>(i));
  return types;
}

const char* NameOf(WeightType type) { return BlockOf(type).type; }

// A row of a type and what it stands for (scripts/make-block-goldens.py).
struct Golden {
  std::string bytes;
  std::vector<float> weights;
};
Golden GoldenOf(WeightType type) {
  std::ifstream file(FromProgram(GOLDENS "/ggml-blocks.golden.bin"), std::ios::binary);
  Golden golden;
  for (const WeightType each : BlockTypes()) {
    golden.bytes.resize(RowBytes(each, kGoldenWeights));
    golden.weights.resize(kGoldenWeights);
    file.read(golden.bytes.data(), static_cast<std::streamsize>(golden.bytes.size()));
    file.read(reinterpret_cast<char*>(golden.weights.data()), kGoldenWeights * sizeof(float));
    if (each == type) break;
  }
  EXPECT_TRUE(file.good());
  return golden;
}

// `rows` rows of `depth` weights: the blocks of the golden one in a row's own order.
struct Rows {
  std::string bytes;
  std::vector<float> weights;  // [rows, depth]
};
Rows RowsOf(WeightType type, int rows, int depth) {
  const Golden golden = GoldenOf(type);
  const int block_weights = BlockOf(type).weights, block_bytes = BlockOf(type).bytes;
  std::mt19937 random(7);
  Rows made;
  for (int i = 0; i < rows * depth / block_weights; ++i) {
    const size_t block = random() % static_cast<size_t>(kGoldenWeights / block_weights);
    made.bytes += golden.bytes.substr(block * block_bytes, block_bytes);
    const auto first = golden.weights.begin() + static_cast<long>(block) * block_weights;
    made.weights.insert(made.weights.end(), first, first + block_weights);
  }
  return made;
}

// Bytes that start where a cache line does, as memory of weights and inputs does.
class Lines {
 public:
  explicit Lines(size_t bytes) : memory_(bytes + 64) {}
  std::byte* data() { return memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64; }

 private:
  std::vector<std::byte> memory_;
};

Lines Packed(const Layout& layout, const std::string& bytes, int rows, int depth) {
  Lines panel(layout.panel_bytes(depth));
  layout.pack(bytes.data(), rows, depth, panel.data());
  return panel;
}

std::vector<float> Random(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Product {
  const Layout& layout;
  Lines& panel;
  int depth;

  // out [rows, 32] of x [rows, depth]
  void Compute(const float* x, int rows, float* out, size_t out_stride, bool add) const {
    const size_t stride = layout.input->row_bytes(depth);
    Lines prepared(rows * stride);
    for (int row = 0; row < rows; ++row)
      layout.input->prepare(x + static_cast<size_t>(row) * depth, depth, prepared.data() + row * stride);
    layout.product({prepared.data(), stride, panel.data(), out, out_stride, rows, depth, add});
  }
};

TEST(Blocks, APanelUnpacksToWhatTheGgufPackageDecodes) {
  for (const Kernels* kernels : SupportedKernels())
    for (const WeightType type : BlockTypes())
      for (const int rows : {32, 5}) {
        const Layout& layout = kernels->layout(type);
        const Rows given = RowsOf(type, rows, kGoldenWeights);
        Lines panel = Packed(layout, given.bytes, rows, kGoldenWeights);
        for (int row = 0; row < rows; ++row) {
          std::vector<float> weights(kGoldenWeights);
          layout.unpack(panel.data(), row, kGoldenWeights, weights.data());
          for (int i = 0; i < kGoldenWeights; ++i)
            ASSERT_EQ(weights[i], given.weights[row * kGoldenWeights + i])
                << kernels->name << ", " << NameOf(type) << ", weight " << i << " of row " << row;
        }
      }
}

TEST(Blocks, APanelTakesNoMoreThanTheFile) {
  for (const Kernels* kernels : SupportedKernels())
    for (const WeightType type : BlockTypes())
      EXPECT_EQ(kernels->layout(type).panel_bytes(1024), kPanelWidth * RowBytes(type, 1024)) << NameOf(type);
}

TEST(Blocks, ProductsAreThoseOfTheWeightsAndOfTheInputInEightBits) {
  for (const Kernels* kernels : SupportedKernels())
    for (const WeightType type : BlockTypes())
      for (const int depth : {BlockOf(type).weights, 256, 768 + BlockOf(type).weights})
        for (const bool add : {false, true})
          for (const int rows : {1, 2, 3, 7, 13}) {
            const Rows given = RowsOf(type, kPanelWidth, depth);
            const Layout& layout = kernels->layout(type);
            Lines panel = Packed(layout, given.bytes, kPanelWidth, depth);
            const std::vector<float> x = Random(static_cast<size_t>(rows) * depth, 5);
            const size_t stride = kPanelWidth + 3;
            std::vector<float> out = Random(rows * stride, 6);
            const std::vector<float> before = out;
            Product{layout, panel, depth}.Compute(x.data(), rows, out.data(), stride, add);
            for (int row = 0; row < rows; ++row)
              for (int column = 0; column < static_cast<int>(stride); ++column) {
                const float old = before[row * stride + column], now = out[row * stride + column];
                if (column >= kPanelWidth) {
                  ASSERT_EQ(now, old);
                  continue;
                }
                double sum = add ? old : 0, magnitude = 1;
                for (int d = 0; d < depth; ++d) {
                  const float* block = &x[row * depth + d / 32 * 32];
                  float largest = 0;
                  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(block[i]));
                  const double rounded = std::nearbyint(block[d % 32] * (127.0f / largest)) * (largest / 127.0f);
                  sum += rounded * given.weights[column * depth + d];
                  magnitude += std::abs(rounded * given.weights[column * depth + d]);
                }
                ASSERT_NEAR(now, sum, 2e-6 * magnitude)
                    << kernels->name << ", " << NameOf(type) << ", " << depth << " deep, row " << row << " of " << rows
                    << ", column " << column;
              }
          }
}

TEST(Blocks, ARowsProductHasTheSameBitsWhateverRowsAreBesideIt) {
  for (const Kernels* kernels : SupportedKernels())
    for (const WeightType type : BlockTypes()) {
      constexpr int kDepth = 512, kRows = 25;
      const Layout& layout = kernels->layout(type);
      Lines panel = Packed(layout, RowsOf(type, kPanelWidth, kDepth).bytes, kPanelWidth, kDepth);
      const std::vector<float> x = Random(kRows * kDepth, 5);
      std::vector<float> together(kRows * kPanelWidth), alone(kPanelWidth);
      const Product product{layout, panel, kDepth};
      product.Compute(x.data(), kRows, together.data(), kPanelWidth, false);
      for (int row = 0; row < kRows; ++row) {
        product.Compute(x.data() + row * kDepth, 1, alone.data(), kPanelWidth, false);
        ASSERT_EQ(std::memcmp(alone.data(), &together[row * kPanelWidth], sizeof(float) * kPanelWidth), 0)
            << kernels->name << ", " << NameOf(type) << ", row " << row;
      }
    }
}

TEST(Blocks, AmxGivesTheBitsOfVnniForAnyNumberOfRows) {
  const Kernels *amx = nullptr, *vnni = nullptr;
  for (const Kernels* kernels : SupportedKernels()) {
    if (std::string(kernels->name) == "amx") amx = kernels;
    if (std::string(kernels->name) == "avx512_vnni") vnni = kernels;
  }
  if (amx == nullptr) GTEST_SKIP() << "needs a processor with AMX";
  for (const WeightType type : BlockTypes())
    for (const int depth : {BlockOf(type).weights, 1024 + BlockOf(type).weights})
      for (const bool add : {false, true})
        for (const int rows : {1, 16, 31, 32, 33, 47, 48, 96}) {
          const std::vector<float> x = Random(static_cast<size_t>(rows) * depth, 5);
          const std::vector<float> before = Random(static_cast<size_t>(rows) * 40, 6);
          const auto compute = [&](const Kernels& kernels) {
            const Layout& layout = kernels.layout(type);
            Lines panel = Packed(layout, RowsOf(type, kPanelWidth, depth).bytes, kPanelWidth, depth);
            std::vector<float> out = before;
            Product{layout, panel, depth}.Compute(x.data(), rows, out.data(), 40, add);
            return out;
          };
          const std::vector<float> actual = compute(*amx), expected = compute(*vnni);
          ASSERT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0)
              << NameOf(type) << ", " << rows << " rows, depth " << depth;
        }
}

TEST(Blocks, AllKernelsRoundTheInputToTheSameNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = Random(10 * kBlockDepth, 8);
  for (int i = 0; i < kBlockDepth; ++i) {
    x[i] = 0;
    x[kBlockDepth + i] = 1e-42f;       // too small to count
    x[2 * kBlockDepth + i] *= 1e-25f;  // small, and counts
    x[3 * kBlockDepth + i] *= 1e37f;
  }
  x[4 * kBlockDepth + 17] = infinity;
  x[5 * kBlockDepth + 3] = -infinity;
  x[6 * kBlockDepth + 31] = std::nanf("");
  x[7 * kBlockDepth + 9] = 127;  // factors of 1: halves are rounded to even
  for (int i = 10; i < 20; ++i) x[7 * kBlockDepth + i] = static_cast<float>(i) + 0.5f;
  const int depth = static_cast<int>(x.size());
  std::vector<std::vector<InputBlock>> prepared;
  for (const Kernels* kernels : SupportedKernels()) {
    const InputForm& form = *kernels->layout(WeightType::kQ8_0).input;
    ASSERT_GE(form.row_bytes(depth), 10 * sizeof(InputBlock));
    std::vector<InputBlock>& blocks = prepared.emplace_back(10);
    form.prepare(x.data(), depth, blocks.data());
    for (const size_t i : {0, 1}) EXPECT_EQ(blocks[i].scale, 0) << kernels->name;
    for (const size_t i : {4, 5, 6}) EXPECT_TRUE(std::isnan(blocks[i].scale)) << kernels->name;
    EXPECT_EQ(blocks[7].values[10], 10) << kernels->name;
    EXPECT_EQ(blocks[7].values[11], 12) << kernels->name;
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(std::memcmp(blocks[i].values, prepared[0][i].values, kBlockDepth), 0) << kernels->name << ", " << i;
      for (int half = 0; half < 3; ++half) {
        EXPECT_EQ(blocks[i].minus_sums[half], prepared[0][i].minus_sums[half]) << kernels->name << ", " << i;
        if (i < 4 || i > 6) {
          EXPECT_EQ(blocks[i].scaled_sums[half], prepared[0][i].scaled_sums[half]) << i;
        }
      }
      if (i < 4 || i > 6) {
        EXPECT_EQ(blocks[i].scale, prepared[0][i].scale) << kernels->name << ", " << i;
      }
    }
  }
}

TEST(Blocks, AnyBytesAtAllAreMultipliedAndWhatIsNoNumberStaysInItsColumn) {
  constexpr int kDepth = 256;
  const std::vector<float> x = Random(kDepth, 5);
  for (const Kernels* kernels : SupportedKernels())
    for (const WeightType type : BlockTypes())
      for (const int byte : {0xFF, 0x7C, 0x00, 0x80}) {  // scales that are NaN, infinite, 0 and -0
        const Layout& layout = kernels->layout(type);
        Rows given = RowsOf(type, kPanelWidth, kDepth);
        const size_t row_bytes = RowBytes(type, kDepth);
        std::fill_n(given.bytes.begin() + static_cast<long>(3 * row_bytes), row_bytes, static_cast<char>(byte));
        Lines panel = Packed(layout, given.bytes, kPanelWidth, kDepth);
        std::vector<float> out(kPanelWidth), weights(kDepth);
        Product{layout, panel, kDepth}.Compute(x.data(), 1, out.data(), kPanelWidth, false);
        layout.unpack(panel.data(), 3, kDepth, weights.data());
        EXPECT_EQ(std::isnan(out[3]), byte == 0xFF || byte == 0x7C) << kernels->name << ", " << NameOf(type);
        out[3] = 0;
        for (const float value : out) ASSERT_TRUE(std::isfinite(value)) << kernels->name << ", " << NameOf(type);
      }
}

}  // namespace
}  // namespace embedded::cpu
