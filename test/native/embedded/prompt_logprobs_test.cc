// What a request may ask about its prompt's tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "table_client.h"

namespace embedded {
namespace {

constexpr size_t kVocabSize = 101;

TestRequest PromptLogprobs(uint64_t id, int prompt_tokens, uint32_t top_count) {
  TestRequest request(id, RandomPrompt(prompt_tokens, kVocabSize, 3));
  request.output.flags |= OUTPUT_PROMPT_LOGPROBS;
  request.output.top_prompt_logprobs = top_count;
  return request;
}

TEST(PromptLogprobs, AreTheLogSoftmaxOfTheContextLogits) {
  TableClient client(DefaultModel());
  TestRequest request = PromptLogprobs(1, 150, 3);  // three chunks
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const TestResult result = client.Run(request);
  ASSERT_EQ(result.context_logits.size(), 150 * kVocabSize);
  ASSERT_EQ(result.prompt_logprobs.size(), 150u);
  ASSERT_EQ(result.prompt_top_tokens.size(), 150u * 3);
  ASSERT_EQ(result.prompt_top_logprobs.size(), 150u * 3);
  EXPECT_TRUE(std::isnan(result.prompt_logprobs[0]));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result.prompt_top_tokens[i], -1);
    EXPECT_TRUE(std::isnan(result.prompt_top_logprobs[i]));
  }
  for (size_t t = 1; t < 150; ++t) {
    std::vector<double> expected(result.context_logits.begin() + static_cast<std::ptrdiff_t>((t - 1) * kVocabSize),
                                 result.context_logits.begin() + static_cast<std::ptrdiff_t>(t * kVocabSize));
    double sum = 0;
    for (const double logit : expected) sum += std::exp(logit);
    for (double& logit : expected) logit -= std::log(sum);
    ASSERT_NEAR(result.prompt_logprobs[t], expected[static_cast<size_t>(request.tokens[t])], 1e-5) << t;
    for (size_t i = 3 * t; i < 3 * t + 3; ++i)
      ASSERT_NEAR(result.prompt_top_logprobs[i], expected[static_cast<size_t>(result.prompt_top_tokens[i])], 1e-5) << t;
    std::sort(expected.rbegin(), expected.rend());
    for (size_t i = 0; i < 3; ++i) ASSERT_NEAR(result.prompt_top_logprobs[3 * t + i], expected[i], 1e-5) << t;
  }
}

TEST(PromptLogprobs, ComeOnceWithTheFirstToken) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(PromptLogprobs(1, 150, 0));
  EXPECT_EQ(result.prompt_logprobs.size(), 150u);
  EXPECT_TRUE(result.prompt_top_tokens.empty());
  for (const TestRow& row : result.row_list) {
    const bool is_first_with_tokens = &row == &*std::find_if(result.row_list.begin(), result.row_list.end(),
                                                             [](const TestRow& other) { return other.tokens > 0; });
    EXPECT_EQ(row.has_prompt_logprobs, is_first_with_tokens);
  }
}

TEST(PromptLogprobs, FromAStartOnAreThoseOfTheWholePromptAndTakeKeptBlocksBeforeIt) {
  TableClient client(DefaultModel());
  TestRequest request = PromptLogprobs(1, 150, 2);
  const TestResult whole = client.Run(request);
  request.output.flags |= OUTPUT_PROMPT_LOGPROBS_START;
  for (const uint32_t start : {0u, 1u, 64u, 65u, 66u, 149u, 150u, 400u}) {
    request.output.prompt_logprobs_start = start;
    const TestResult part = client.Run(request);
    ASSERT_EQ(part.prompt_logprobs.size(), 150u);
    ASSERT_EQ(part.prompt_top_tokens.size(), 300u);
    for (uint32_t t = 1; t < 150; ++t) {
      if (t < start) {
        ASSERT_TRUE(std::isnan(part.prompt_logprobs[t])) << start << ": " << t;
        ASSERT_EQ(part.prompt_top_tokens[2 * t], -1);
      } else {
        ASSERT_EQ(part.prompt_logprobs[t], whole.prompt_logprobs[t]) << start << ": " << t;
        ASSERT_EQ(part.prompt_top_tokens[2 * t], whole.prompt_top_tokens[2 * t]);
      }
    }
    EXPECT_EQ(part.details->cached_tokens, std::min(std::max(start, 1u) - 1, 149u)) << start;
  }
}

TEST(PromptLogprobs, FromAStartOnLeaveTheContextLogitsWhole) {
  TableClient client(DefaultModel());
  TestRequest request = PromptLogprobs(1, 20, 0);
  request.output.flags |= OUTPUT_PROMPT_LOGPROBS_START | OUTPUT_RETURN_CONTEXT_LOGITS;
  request.output.prompt_logprobs_start = 10;
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.context_logits.size(), 20 * kVocabSize);
  EXPECT_TRUE(std::isnan(result.prompt_logprobs[9]));
  EXPECT_FALSE(std::isnan(result.prompt_logprobs[10]));
}

TEST(PromptLogprobs, APromptOfOneTokenHasNoneButItsNaN) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(PromptLogprobs(1, 1, 2));
  ASSERT_EQ(result.prompt_logprobs.size(), 1u);
  EXPECT_TRUE(std::isnan(result.prompt_logprobs[0]));
  EXPECT_EQ(result.prompt_top_tokens, (std::vector<int32_t>{-1, -1}));
}

TEST(PromptLogprobs, TheWholeVocabularyMayBeAskedFor) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(PromptLogprobs(1, 2, kVocabSize));
  ASSERT_EQ(result.prompt_top_logprobs.size(), 2 * kVocabSize);
  double sum = 0;
  for (size_t i = kVocabSize; i < 2 * kVocabSize; ++i) sum += std::exp(double{result.prompt_top_logprobs[i]});
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(PromptLogprobs, ComeWithTheLastRowOfARequestWhoseFirstTokenEndsIt) {
  TableClient client(DefaultModel());
  TestRequest request = PromptLogprobs(1, 20, 1);
  request.end_ids = client.Run(request).tokens;
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(result.rows, 1);
  EXPECT_TRUE(result.tokens.empty());
  EXPECT_EQ(result.prompt_logprobs.size(), 20u);
}

TEST(PromptLogprobs, ComeWithTheLastRowOfARequestCancelledAfterItsPrompt) {
  TinyModel endless;
  endless.max_positions = 1000000;
  TableClient client(endless.Fill());
  TestRequest request = PromptLogprobs(1, 20, 1);
  request.request.max_tokens = 1000000;
  request.request.streaming = 0;
  ASSERT_EQ(client.Submit(request), EXECUTOR_OK);
  while (client.stats().steps < 3) client.WaitOnce(1);
  client.Cancel(1);
  client.WaitForEnds(1);
  const TestResult& result = client.results[1];
  EXPECT_EQ(result.finish, FINISH_CANCELLED);
  EXPECT_FALSE(result.tokens.empty());
  EXPECT_EQ(result.prompt_logprobs.size(), 20u);
}

TEST(PromptLogprobs, OfSeveralSequencesComeOnce) {
  TableClient client(DefaultModel());
  TestRequest request = PromptLogprobs(1, 20, 1);
  const std::vector<float> alone = client.Run(request).prompt_logprobs;
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 3;
  const std::vector<float> several = client.Run(request).prompt_logprobs;
  ASSERT_EQ(several.size(), 20u);
  EXPECT_TRUE(std::equal(alone.begin() + 1, alone.end(), several.begin() + 1));
}

}  // namespace
}  // namespace embedded
