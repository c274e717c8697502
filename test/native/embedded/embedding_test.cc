// Requests for an embedding of their prompt.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "table_client.h"

namespace embedded {
namespace {

constexpr int kVocabSize = 101;

TestRequest Embedding(uint64_t id, std::vector<int32_t> prompt, ExecutorPooling pooling) {
  TestRequest request(id, std::move(prompt), 0);
  request.request.type = REQUEST_EMBEDDING;
  request.output.pooling = pooling;
  return request;
}

void ExpectNear(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-5) << i;
}

std::vector<double> AsDouble(const std::vector<float>& values) { return {values.begin(), values.end()}; }

TEST(Embedding, OfTheLastTokenIsWhatTheHeadMakesItsLogitsOf) {
  const TinyModel& model = DefaultModel();
  TableClient client(model);
  ASSERT_EQ(client.info().hidden_size, static_cast<uint32_t>(model.hidden_size));
  const std::vector<int32_t> prompt = RandomPrompt(150, kVocabSize, 3);  // three chunks
  const std::vector<float> embedding = client.Run(Embedding(1, prompt, POOLING_LAST)).embedding;
  ASSERT_EQ(embedding.size(), static_cast<size_t>(model.hidden_size));
  TestRequest logits(2, prompt, 1);
  logits.output.flags = OUTPUT_RETURN_GENERATION_LOGITS;
  const std::vector<float> expected = client.Run(logits).generation_logits;
  const std::vector<float>& head = model.tensors.at("transformer.vocab_embedding.weight");  // tied
  for (size_t token = 0; token < kVocabSize; ++token) {
    double logit = 0;
    for (size_t i = 0; i < embedding.size(); ++i) logit += double{embedding[i]} * head[token * embedding.size() + i];
    ASSERT_NEAR(logit, expected[token], 1e-3) << token;
  }
}

TEST(Embedding, OfTheMeanIsThatOfEachTokensAndOfClsTheFirstTokens) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> prompt = RandomPrompt(150, kVocabSize, 4);
  std::vector<double> sum(static_cast<size_t>(DefaultModel().hidden_size));
  std::vector<double> first;
  for (size_t length = 1; length <= prompt.size(); ++length) {  // a token's states do not depend on what follows it
    const auto end = prompt.begin() + static_cast<std::ptrdiff_t>(length);
    const std::vector<float> last = client.Run(Embedding(length, {prompt.begin(), end}, POOLING_LAST)).embedding;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += last[i] / static_cast<double>(prompt.size());
    if (length == 1) first = AsDouble(last);
  }
  ExpectNear(client.Run(Embedding(1000, prompt, POOLING_MEAN)).embedding, sum);
  ExpectNear(client.Run(Embedding(1001, prompt, POOLING_CLS)).embedding, first);
}

TEST(Embedding, EndsItsRequestByItsLengthWithoutATokenAndComesOnce) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(Embedding(1, RandomPrompt(150, kVocabSize, 5), POOLING_MEAN));
  EXPECT_TRUE(result.tokens.empty());
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(result.details->prompt_tokens, 150u);
  EXPECT_EQ(result.rows_with_usage, 2) << "the first row and the last";
  EXPECT_EQ(result.embedding.size(), static_cast<size_t>(DefaultModel().hidden_size));
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Embedding, TakesKeptBlocksForTheLastTokenOnly) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> prompt = RandomPrompt(150, kVocabSize, 6);
  const TestResult computed = client.Run(Embedding(1, prompt, POOLING_LAST));
  const TestResult cached = client.Run(Embedding(2, prompt, POOLING_LAST));
  EXPECT_EQ(computed.details->cached_tokens, 0u);
  EXPECT_EQ(cached.details->cached_tokens, 149u);
  EXPECT_EQ(cached.embedding, computed.embedding);
  for (const ExecutorPooling pooling : {POOLING_MEAN, POOLING_CLS})
    EXPECT_EQ(client.Run(Embedding(3, prompt, pooling)).details->cached_tokens, 0u);
}

TEST(Embedding, RunsBesideRequestsForTokens) {
  TableClient client(DefaultModel());
  const auto prompt = [](uint64_t id) { return RandomPrompt(static_cast<int>(5 + 11 * id), kVocabSize, 7); };
  std::vector<std::vector<float>> alone;
  for (uint64_t id = 1; id <= 8; ++id) alone.push_back(client.Run(Embedding(id, prompt(id), POOLING_LAST)).embedding);
  std::vector<TestRequest> requests;
  for (uint64_t id = 1; id <= 8; ++id) {
    requests.push_back(Embedding(id, prompt(id), POOLING_LAST));
    requests.push_back(TestRequest(100 + id, prompt(id + 1), 6));
  }
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK);
  client.WaitForEnds(16 + 8);
  for (uint64_t id = 1; id <= 8; ++id) {
    EXPECT_EQ(client.results[id].embedding, alone[id - 1]) << id;
    EXPECT_EQ(client.results[100 + id].tokens.size(), 6u);
  }
}

TEST(Embedding, FailsWhereTheHiddenStatesAreNotFinite) {
  TinyModel model;
  model.Fill();
  model.tensors.at("transformer.ln_f.weight")[0] = std::numeric_limits<float>::infinity();
  TableClient client(model);
  const TestResult result = client.Run(Embedding(1, {1, 2, 3}, POOLING_LAST));
  ASSERT_TRUE(result.error.has_value());
  EXPECT_EQ(result.error->code, EXECUTOR_ENGINE_WEIGHTS);
  EXPECT_EQ(client.Run(TestRequest(2, {1, 2}, 1)).finals, 1) << "the executor goes on";
}

TEST(Embedding, AnUnknownPoolingIsRefused) {
  TableClient client(DefaultModel());
  TestRequest request = Embedding(1, {1, 2, 3}, static_cast<ExecutorPooling>(3));
  EXPECT_EQ(client.Submit({&request}), EXECUTOR_INVALID_OPTION);
  EXPECT_STREQ(client.error().field, "pooling");
}

}  // namespace
}  // namespace embedded
