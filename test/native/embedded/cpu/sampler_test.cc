#include "native/embedded/cpu/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/random.h"

namespace embedded::cpu {
namespace {

const Kernels& AnyKernels() { return *SupportedKernels().front(); }

std::vector<float> RandomLogits(int count, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(static_cast<size_t>(count));
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// What Hugging Face's processors leave: temperature, top-k, top-p, min-p, one after the other, each over a sorted list.
std::vector<double> ExpectedProbabilities(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (params.top_k > 0) order.resize(std::min<size_t>(order.size(), static_cast<size_t>(params.top_k)));
  const auto softmax = [&] {
    std::vector<double> p(logits.size());
    double sum = 0;
    for (const size_t i : order) sum += p[i] = std::exp((double{logits[i]} - logits[order[0]]) / params.temperature);
    for (double& value : p) value /= sum;
    return p;
  };
  std::vector<double> p = softmax();
  double before = 0;
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || before < params.top_p)) before += p[order[kept++]];
  order.resize(kept);
  p = softmax();
  order.erase(std::remove_if(order.begin(), order.end(), [&](size_t i) { return p[i] < params.min_p * p[order[0]]; }),
              order.end());
  return softmax();
}

// Pearson's chi-square of 20,000 draws with a fixed seed; bins of few expected draws are put together.
void ExpectDistribution(const std::vector<float>& logits, const SamplingParams& params) {
  constexpr int kDraws = 20000;
  Sampler sampler(AnyKernels(), static_cast<int>(logits.size()));
  std::vector<int> counts(logits.size());
  for (uint64_t i = 0; i < kDraws; ++i)
    ++counts[static_cast<size_t>(sampler.Sample(logits.data(), params, Uniform(42, 0, i)))];
  const std::vector<double> expected = ExpectedProbabilities(logits, params);
  double chi_square = 0, rest_expected = 0;
  int bins = 0, rest = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (expected[i] == 0) {
      ASSERT_EQ(counts[i], 0) << "token " << i << " was cut away";
    } else if (expected[i] * kDraws < 10) {
      rest += counts[i];
      rest_expected += expected[i] * kDraws;
    } else {
      chi_square += std::pow(counts[i] - expected[i] * kDraws, 2) / (expected[i] * kDraws);
      ++bins;
    }
  }
  if (rest_expected > 10) {
    chi_square += std::pow(rest - rest_expected, 2) / rest_expected;
    ++bins;
  }
  // Mean bins - 1, deviation sqrt(2 (bins - 1)).
  EXPECT_LT(chi_square, bins - 1 + 5 * std::sqrt(2.0 * bins)) << bins << " bins";
}

TEST(Philox, GivesThePublishedNumbers) {  // Random123's known answers
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, ADrawDependsOnSeedSequenceAndPositionAndNothingElse) {
  EXPECT_EQ(Uniform(1, 2, 3), Uniform(1, 2, 3));
  EXPECT_NE(Uniform(1, 2, 3), Uniform(2, 2, 3));
  EXPECT_NE(Uniform(1, 2, 3), Uniform(1, 3, 3));
  EXPECT_NE(Uniform(1, 2, 3), Uniform(1, 2, 4));
  EXPECT_NE(Uniform(1, 2, 3), Uniform(1 + (uint64_t{1} << 32), 2, 3));
}

TEST(Sampler, TemperatureZeroTakesTheLikeliestAndOfEqualsTheLowestId) {
  const float logits[] = {1, 5, 3, 5, 5};
  SamplingParams params;
  params.temperature = 0;
  EXPECT_EQ(Sampler(AnyKernels(), 5).Sample(logits, params, 0.99), 1);
}

TEST(Sampler, PlainSamplingFollowsTheSoftmax) { ExpectDistribution(RandomLogits(300, 1.5f, 1), {}); }

TEST(Sampler, TemperatureDividesTheLogits) {
  for (const float temperature : {0.3f, 2.0f}) {
    SamplingParams params;
    params.temperature = temperature;
    ExpectDistribution(RandomLogits(300, 1.5f, 2), params);
  }
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  for (const int top_k : {1, 5, 250, 300}) {
    SamplingParams params;
    params.top_k = top_k;
    ExpectDistribution(RandomLogits(300, 1.5f, 3), params);
  }
}

TEST(Sampler, TopPKeepsTheFewestThatReachTheMass) {
  for (const float top_p : {0.0001f, 0.3f, 0.9f, 0.999f})
    for (const float spread : {0.01f, 1.0f, 4.0f}) {
      SamplingParams params;
      params.top_p = top_p;
      ExpectDistribution(RandomLogits(700, spread, 4), params);
    }
}

TEST(Sampler, MinPKeepsWhatIsNearTheLikeliest) {
  for (const float min_p : {0.05f, 0.5f, 1.0f}) {
    SamplingParams params;
    params.min_p = min_p;
    ExpectDistribution(RandomLogits(300, 1.0f, 5), params);
  }
}

TEST(Sampler, TheCutsTogetherApplyInHuggingFacesOrder) {
  SamplingParams params;
  params.temperature = 1.3f;
  params.top_k = 60;
  params.top_p = 0.8f;
  params.min_p = 0.1f;
  ExpectDistribution(RandomLogits(500, 1.2f, 6), params);
}

TEST(Sampler, TopKKeepsTheLowerIdsOfEqualLogits) {
  const std::vector<float> logits(50, 0.5f);
  SamplingParams params;
  params.top_k = 3;
  Sampler sampler(AnyKernels(), 50);
  for (uint64_t i = 0; i < 200; ++i) EXPECT_LT(sampler.Sample(logits.data(), params, Uniform(1, 0, i)), 3);
}

TEST(Sampler, TheLastDrawBeforeOneStillPicksATokenThatHasWeight) {
  const float least = std::nextafter(1.0f, 0.0f);
  std::vector<float> logits(1000, -1000.0f);
  logits[3] = logits[500] = 0;
  SamplingParams params;
  EXPECT_EQ(Sampler(AnyKernels(), 1000).Sample(logits.data(), params, std::nextafter(1.0, 0.0)), 500);
  params.top_p = least;
  EXPECT_EQ(Sampler(AnyKernels(), 1000).Sample(logits.data(), params, std::nextafter(1.0, 0.0)), 500);
}

TEST(Sampler, TheLastDrawBeforeOneNeverPicksATokenThatIsRuledOut) {
  std::vector<float> logits(50, -std::numeric_limits<float>::infinity());
  std::fill_n(logits.begin(), 11, -36.55f);  // each weighs 0.6 ulp of 1, which the sum rounds up to 1 ulp
  logits[0] = 0;
  SamplingParams params;
  params.top_k = 20;
  EXPECT_LE(Sampler(AnyKernels(), 50).Sample(logits.data(), params, std::nextafter(1.0, 0.0)), 10);
}

TEST(Sampler, ATinyTemperatureIsAlmostGreedyAndNoError) {
  SamplingParams params;
  params.temperature = std::numeric_limits<float>::denorm_min();
  const float logits[] = {1, 2, 1.5f};
  EXPECT_EQ(Sampler(AnyKernels(), 3).Sample(logits, params, 0.9), 1);
}

TEST(Sampler, LogitsThatAreNoNumbersGiveNoToken) {
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  const float all_nan[] = {nan, nan, nan}, one_infinite[] = {0, infinity, 0},
              nothing[] = {-infinity, -infinity, -infinity};
  for (const float temperature : {0.0f, 1.0f})
    for (const float* logits : {all_nan, one_infinite, nothing}) {
      SamplingParams params;
      params.temperature = temperature;
      EXPECT_EQ(Sampler(AnyKernels(), 3).Sample(logits, params, 0.5), -1);
    }
}

TEST(Sampler, LogprobsAreTheLogSoftmaxOfTheLogits) {
  const std::vector<float> logits = RandomLogits(1000, 3, 8);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  Sampler sampler(AnyKernels(), 1000);
  for (const int token : {0, 17, 999})
    EXPECT_NEAR(sampler.Logprob(logits.data(), token), logits[static_cast<size_t>(token)] - std::log(sum), 1e-5);
  const std::vector<TokenLogprob> top = sampler.TopLogprobs(logits.data(), 20);
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  ASSERT_EQ(top.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(logits[static_cast<size_t>(top[i].token)], sorted[i]);
    EXPECT_NEAR(top[i].logprob, sorted[i] - std::log(sum), 1e-5);
  }
}

}  // namespace
}  // namespace embedded::cpu
