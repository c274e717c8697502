#include "native/embedded/cpu/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace embedded::cpu {
namespace {

ModelConfig Model(int head_dim, double base) {
  ModelConfig model{};
  model.head_dim = head_dim;
  model.rotary_base = base;
  return model;
}

double PlainFrequency(size_t i, int head_dim, double base) {
  return std::pow(base, -2.0 * static_cast<double>(i) / head_dim);
}

TEST(Rope, FrequenciesFallGeometrically) {
  const Rope rope(Model(64, 10000));
  ASSERT_EQ(rope.frequencies().size(), 32u);
  for (size_t i = 0; i < 32; ++i) EXPECT_NEAR(rope.frequencies()[i] / PlainFrequency(i, 64, 10000), 1, 5e-7) << i;
}

TEST(Rope, LinearScalingDividesEveryFrequency) {
  ModelConfig model = Model(24, 10000);
  model.rope_scaling.type = RopeScalingType::kLinear;
  model.rope_scaling.factor = 4;
  const Rope rope(model);
  for (size_t i = 0; i < 12; ++i) EXPECT_NEAR(rope.frequencies()[i] * 4 / PlainFrequency(i, 24, 10000), 1, 5e-7) << i;
}

// The values that transformers computes for Llama 3.1: factor 8, low 1, high 4, 8,192 positions.
TEST(Rope, Llama3ScalingKeepsShortWavesStretchesLongOnesAndMixesBetween) {
  ModelConfig model = Model(128, 500000);
  model.rope_scaling = {RopeScalingType::kLlama3, 8, 1, 4, 8192};
  const Rope rope(model);
  int kept = 0, stretched = 0, mixed = 0;
  for (size_t i = 0; i < 64; ++i) {
    const double plain = PlainFrequency(i, 128, 500000);
    const double wave = 2 * 3.14159265358979323846 / plain;
    double expected = plain;
    if (wave > 8192) {
      expected = plain / 8;
      ++stretched;
    } else if (wave >= 2048) {
      const double smooth = (8192 / wave - 1) / 3;
      expected = (1 - smooth) * plain / 8 + smooth * plain;
      ++mixed;
    } else {
      ++kept;
    }
    EXPECT_NEAR(rope.frequencies()[i] / expected, 1, 1e-6) << i;
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(stretched, 0);
  EXPECT_GT(mixed, 0);
}

TEST(Rope, DynamicScalingGoesByTheTokensASequenceHasWhenATokenIsComputed) {
  ModelConfig model = Model(8, 10000);
  model.rope_scaling.type = RopeScalingType::kDynamic;
  model.rope_scaling.factor = 4;
  model.rope_scaling.original_max_positions = 64;
  const Rope rope(model);
  float cos[4], sin[4];
  const auto expect_base_of = [&](double tokens, int position, int prompt_tokens) {
    rope.Angles(position, prompt_tokens, cos, sin);
    const double base = 10000 * std::pow(4 * tokens / 64 - 3, 8.0 / 6);
    for (size_t i = 0; i < 4; ++i)
      EXPECT_NEAR(sin[i], std::sin(position * PlainFrequency(i, 8, base)), 1e-5) << position << " " << prompt_tokens;
  };
  expect_base_of(64, 10, 20);
  expect_base_of(64, 63, 20);
  expect_base_of(65, 64, 20);
  expect_base_of(100, 10, 100);
  expect_base_of(101, 100, 100);
}

TEST(Rope, YarnKeepsFastPairsStretchesSlowOnesAndMultipliesByItsFactor) {
  ModelConfig model = Model(32, 10000);
  model.rope_scaling.type = RopeScalingType::kYarn;
  model.rope_scaling.factor = 4;
  model.rope_scaling.original_max_positions = 1024;
  model.rope_scaling.attention_factor = 1.25;
  const Rope rope(model);
  EXPECT_FLOAT_EQ(rope.frequencies()[0], 1);
  EXPECT_NEAR(rope.frequencies()[15] * 4 / PlainFrequency(15, 32, 10000), 1, 1e-6);
  float cos[16], sin[16];
  rope.Angles(0, 1, cos, sin);
  EXPECT_FLOAT_EQ(cos[0], 1.25f);
}

TEST(Rope, RotationTurnsEachPairByItsAngleAndKeepsItsLength) {
  const Rope rope(Model(4, 100));
  float cos[2], sin[2], head[4] = {1, 2, 3, 4};
  rope.Angles(7, 1, cos, sin);
  rope.Rotate(cos, sin, head);
  for (int i = 0; i < 2; ++i) {
    const double angle = 7 * PlainFrequency(static_cast<size_t>(i), 4, 100);
    EXPECT_NEAR(head[i], (1 + i) * std::cos(angle) - (3 + i) * std::sin(angle), 1e-5);
    EXPECT_NEAR(head[i + 2], (3 + i) * std::cos(angle) + (1 + i) * std::sin(angle), 1e-5);
  }
}

}  // namespace
}  // namespace embedded::cpu
