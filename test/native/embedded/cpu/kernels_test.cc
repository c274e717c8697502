// Each fast kernel against its plain twin, on the same shapes.
#include "native/embedded/cpu/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "../tiny_checkpoint.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/float16.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Random(size_t count, float spread = 1, uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-spread, spread);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

std::vector<const Kernels*> FastKernels() {
  std::vector<const Kernels*> kernels = SupportedKernels();
  kernels.pop_back();
  return kernels;
}

void ExpectNear(const std::vector<float>& actual, const std::vector<float>& expected, float tolerance,
                const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << what << ", element " << i;
}

// The panel [depth, stride] in the bytes of a type; values are from -1 to 1, and int8 127 times that.
std::vector<std::byte> PanelBytes(const std::vector<float>& values, PanelType type) {
  const size_t element_bytes = type == PanelType::kFloat32 ? 4 : type == PanelType::kInt8 ? 1 : 2;
  std::vector<std::byte> bytes(values.size() * element_bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = type == PanelType::kFloat16 ? ToFloat16(values[i]) : ToBfloat16(values[i]);
    if (type == PanelType::kFloat32)
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    else if (type == PanelType::kInt8)
      bytes[i] = static_cast<std::byte>(static_cast<int8_t>(std::lrint(127 * values[i])));
    else
      std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return bytes;
}

struct Shape {
  int rows, depth;
  size_t x_stride, panel_stride, out_stride;
};

std::vector<float> Product(const Kernels& kernels, PanelType type, const Shape& shape, bool add_to_out) {
  const std::vector<float> x = Random(shape.rows * shape.x_stride);
  // The bytes end where the panel ends: reads past it are the address sanitizer's to find.
  const std::vector<std::byte> panel =
      PanelBytes(Random((shape.depth - 1) * shape.panel_stride + kPanelWidth, 1, 5), type);
  std::vector<float> out = Random((shape.rows - 1) * shape.out_stride + kPanelWidth, 1, 6);
  kernels.panel_product(type, {x.data(), shape.x_stride, panel.data(), shape.panel_stride, out.data(), shape.out_stride,
                               shape.rows, shape.depth, add_to_out});
  return out;
}

TEST(Kernels, PanelProductsOfEveryTypeAndShapeAreTheScalarOnes) {
  for (const Kernels* kernels : FastKernels())
    for (const PanelType type : {PanelType::kFloat32, PanelType::kFloat16, PanelType::kBfloat16, PanelType::kInt8})
      for (const bool add : {false, true})
        for (const int depth : {1, 7, 64, 257})
          for (int rows = 1; rows <= 30; ++rows) {
            const Shape shape{rows, depth, static_cast<size_t>(depth) + 3, kPanelWidth + 9, kPanelWidth + 5};
            const float tolerance = type == PanelType::kInt8 ? 127e-5f : 1e-5f;
            ExpectNear(Product(*kernels, type, shape, add), Product(kScalarKernels, type, shape, add), tolerance,
                       kernels->name);
          }
}

TEST(Kernels, ARowsProductHasTheSameBitsWhateverRowsAreBesideIt) {
  for (const Kernels* kernels : SupportedKernels()) {
    const Shape all{29, 100, 100, kPanelWidth, kPanelWidth};
    const std::vector<float> together = Product(*kernels, PanelType::kBfloat16, all, false);
    const std::vector<float> x = Random(all.rows * all.x_stride);
    const std::vector<std::byte> panel = PanelBytes(Random(all.depth * kPanelWidth, 1, 5), PanelType::kBfloat16);
    for (int row = 0; row < all.rows; ++row) {
      std::vector<float> alone(kPanelWidth);
      kernels->panel_product(PanelType::kBfloat16, {x.data() + row * all.x_stride, all.x_stride, panel.data(),
                                                    kPanelWidth, alone.data(), kPanelWidth, 1, all.depth, false});
      EXPECT_EQ(std::memcmp(alone.data(), together.data() + row * kPanelWidth, sizeof(float) * kPanelWidth), 0)
          << kernels->name << ", row " << row;
    }
  }
}

TEST(Kernels, RmsNormOfEverySizeIsTheScalarOne) {
  for (const Kernels* kernels : FastKernels())
    for (const int size : {1, 7, 8, 15, 16, 17, 48, 577}) {
      const std::vector<float> x = Random(size), weight = Random(size, 1, 9);
      std::vector<float> actual(size), expected(size);
      kernels->rms_norm(x.data(), weight.data(), 1e-5f, size, actual.data());
      kScalarKernels.rms_norm(x.data(), weight.data(), 1e-5f, size, expected.data());
      ExpectNear(actual, expected, 1e-6f, kernels->name);
    }
}

TEST(Kernels, SiluMultiplyIsTheScalarOneAlsoForLargeInputs) {
  for (const Kernels* kernels : FastKernels())
    for (const float spread : {1.0f, 20.0f, 200.0f}) {
      const std::vector<float> a = Random(53, spread), b = Random(53, 1, 9);
      std::vector<float> actual(53), expected(53);
      kernels->silu_multiply(a.data(), b.data(), 53, actual.data());
      kScalarKernels.silu_multiply(a.data(), b.data(), 53, expected.data());
      ExpectNear(actual, expected, 1e-6f, kernels->name);
    }
}

TEST(Kernels, SoftmaxOverBlocksIsTheSoftmaxOverAllScores) {
  for (const Kernels* kernels : SupportedKernels())
    for (int valid = 1; valid <= kPanelWidth; ++valid) {
      std::vector<float> scores = Random(2 * kPanelWidth, 15, static_cast<uint32_t>(valid));
      const std::vector<float> given = scores;
      SoftmaxState state{-kInfinity, 0};
      kernels->softmax_block(scores.data(), kPanelWidth, &state);
      const float factor = kernels->softmax_block(scores.data() + kPanelWidth, valid, &state);
      double max = -kInfinity, sum = 0;
      for (int i = 0; i < kPanelWidth + valid; ++i) max = std::max<double>(max, given[i]);
      for (int i = 0; i < kPanelWidth + valid; ++i) sum += std::exp(given[i] - max);
      for (int i = 0; i < 2 * kPanelWidth; ++i) {
        const double weight = scores[i] * (i < kPanelWidth ? factor : 1) / state.sum;
        const double expected = i < kPanelWidth + valid ? std::exp(given[i] - max) / sum : 0;
        ASSERT_NEAR(weight, expected, 1e-6) << kernels->name << ", score " << i << " of " << kPanelWidth + valid;
      }
    }
}

TEST(Kernels, MaxScaleAndExpOfEverySizeAreTheScalarOnes) {
  for (const Kernels* kernels : FastKernels())
    for (const int size : {1, 7, 8, 9, 16, 31, 33, 1000}) {
      const std::vector<float> x = Random(size, 60);
      EXPECT_EQ(kernels->max(x.data(), size), kScalarKernels.max(x.data(), size)) << kernels->name;
      std::vector<float> actual = x, expected = x;
      kernels->scale(actual.data(), 0.3f, size);
      kScalarKernels.scale(expected.data(), 0.3f, size);
      EXPECT_EQ(actual, expected) << kernels->name;
      kernels->exp_shifted(x.data(), 60, 0.5f, size, actual.data());
      kScalarKernels.exp_shifted(x.data(), 60, 0.5f, size, expected.data());
      ExpectNear(actual, expected, 1e-6f, kernels->name);
    }
}

TEST(Kernels, ExpIsExactAtZeroNothingAtMinusInfinityAndNoNumberOfNoNumber) {
  const float x[] = {0, -kInfinity, std::nanf(""), 88, -86, 1};
  for (const Kernels* kernels : SupportedKernels()) {
    float out[6];
    kernels->exp_shifted(x, 0, 1, 6, out);
    EXPECT_EQ(out[0], 1) << kernels->name;
    EXPECT_EQ(out[1], 0) << kernels->name;
    EXPECT_TRUE(std::isnan(out[2])) << kernels->name;
    for (const int i : {3, 4, 5}) EXPECT_NEAR(out[i] / std::exp(static_cast<double>(x[i])), 1, 3e-7) << kernels->name;
  }
}

TEST(Kernels, EveryFloat16BecomesItsFloat) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double expected = exponent == 0    ? std::ldexp(fraction, -24)
                      : exponent == 31 ? (fraction == 0 ? kInfinity : std::nan(""))
                                       : std::ldexp(1024 + fraction, exponent - 25);
    if (bits & 0x8000) expected = -expected;
    const float actual = Float16ToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(actual)) << bits;
    else
      ASSERT_EQ(actual, expected) << bits;
  }
}

TEST(Kernels, AFloatBecomesTheNearestFloat16AndNoneBecomesInfinity) {
  for (const Kernels* kernels : SupportedKernels()) {
    for (int bits = 0; bits < 0x7C00; bits += 16) {  // and what lies beside each of 16 neighbours
      std::vector<float> x;
      std::vector<uint16_t> expected, actual;
      for (int each = bits; each < bits + 16 && each < 0x7BFF; ++each) {
        const float here = Float16ToFloat(static_cast<uint16_t>(each));
        const float next = Float16ToFloat(static_cast<uint16_t>(each + 1));
        for (const float part : {0.0f, 0.499f, 0.501f}) {
          x.push_back(-(here + (next - here) * part));
          expected.push_back(static_cast<uint16_t>(0x8000 | (part > 0.5f ? each + 1 : each)));
        }
      }
      actual.resize(x.size());
      kernels->to_float16(x.data(), static_cast<int>(x.size()), actual.data());
      ASSERT_EQ(actual, expected) << kernels->name;
    }
    const float outside[] = {70000, -1e30f, kInfinity, std::nanf("")};
    uint16_t out[5] = {0, 0, 0, 0, 7};
    kernels->to_float16(outside, 4, out);
    EXPECT_EQ(out[0], 0x7BFF) << kernels->name;
    EXPECT_EQ(out[1], 0xFBFF) << kernels->name;
    EXPECT_EQ(out[2], 0x7BFF) << kernels->name;
    EXPECT_TRUE(std::isnan(Float16ToFloat(out[3]))) << kernels->name;
    EXPECT_EQ(out[4], 7) << kernels->name << " wrote past the end";
  }
}

TEST(Kernels, Int8IsTheNearestWholeNumberOfEverySizeAndNothingIsWrittenPastTheEnd) {
  for (const Kernels* kernels : SupportedKernels())
    for (const int size : {1, 7, 8, 15, 16, 17, 48, 65}) {
      const std::vector<float> x = Random(size, 3);
      const float largest = kernels->max_magnitude(x.data(), size);
      EXPECT_EQ(largest, kScalarKernels.max_magnitude(x.data(), size)) << kernels->name;
      std::vector<int8_t> out(size + 1, 99);
      kernels->to_int8(x.data(), 127 / largest, size, out.data());
      for (int i = 0; i < size; ++i) ASSERT_EQ(out[i], std::lrint(x[i] * (127 / largest))) << kernels->name;
      EXPECT_EQ(out[size], 99) << kernels->name;
    }
}

TEST(Kernels, TheLargestMagnitudeIsThatOfANegativeNumberTooAndNoNumberStays) {
  for (const Kernels* kernels : SupportedKernels())
    for (const size_t at : {0, 5, 16, 34}) {
      std::vector<float> x = Random(35);
      x[at] = -7;
      EXPECT_EQ(kernels->max_magnitude(x.data(), 35), 7) << kernels->name;
      for (const float none : {std::nanf(""), kInfinity, -kInfinity}) {
        x[at] = none;
        EXPECT_TRUE(std::isnan(kernels->max_magnitude(x.data(), 35))) << kernels->name;
      }
    }
}

TEST(Kernels, TheEnvironmentVariableForcesAnyLevelTheMachineHas) {
  for (const Kernels* kernels : SupportedKernels()) {
    setenv("NODE_TENSORRT_LLM_CPU_KERNELS", kernels->name, 1);
    EXPECT_EQ(&SelectKernels(), kernels);
  }
  unsetenv("NODE_TENSORRT_LLM_CPU_KERNELS");
  EXPECT_EQ(&SelectKernels(), SupportedKernels().front());
}

TEST(Kernels, AnUnknownLevelIsRefusedWithTheListOfThoseThereAre) {
  setenv("NODE_TENSORRT_LLM_CPU_KERNELS", "sse9", 1);
  try {
    SelectKernels();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_INVALID_OPTION);
    const std::string message = failure.what();
    EXPECT_NE(message.find("sse9"), std::string::npos) << message;
    EXPECT_NE(message.find("scalar"), std::string::npos) << message;
  }
  unsetenv("NODE_TENSORRT_LLM_CPU_KERNELS");
}

}  // namespace
}  // namespace embedded::cpu
