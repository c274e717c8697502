#include "native/executor/cpp/logprobs.h"

#include <gtest/gtest.h>

namespace executor {
namespace {

constexpr float kLogits[] = {1, 3, 2, 3};

TEST(Logprobs, SumUpToOne) {
  const double log_sum = LogSumExp(kLogits, 4);
  double sum = 0;
  for (const float logit : kLogits) sum += std::exp(logit - log_sum);
  EXPECT_NEAR(sum, 1, 1e-12);
  const float large[] = {1000, 1000};
  EXPECT_NEAR(LogSumExp(large, 2), 1000 + std::log(2), 1e-9);
}

TEST(Logprobs, OfTheLikeliestTokensComeLikeliestFirstAndTheLowerIdFirstAmongEquals) {
  std::vector<TokenLogprob> scratch;
  const double log_sum = LogSumExp(kLogits, 4);
  const auto top = TopLogprobs(kLogits, 4, 3, log_sum, &scratch);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].token, 1);
  EXPECT_EQ(top[1].token, 3);
  EXPECT_EQ(top[2].token, 2);
  EXPECT_NEAR(top[2].logprob, 2 - log_sum, 1e-6);
  EXPECT_EQ(TopLogprobs(kLogits, 4, 9, log_sum, &scratch).size(), 4u) << "at most the vocabulary";
}

}  // namespace
}  // namespace executor
