// The upper half over a runner whose results come one or two steps late.
#include "late_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "table_client.h"

namespace embedded {
namespace {

class LateRunnerTest : public testing::TestWithParam<int> {
 protected:
  LateRunnerTest() {
    script_.max_steps_in_flight = GetParam();
    script = &script_;
    DefaultModel().Write(directory_.path());
  }
  ~LateRunnerTest() override { script = nullptr; }

  std::unique_ptr<TableClient> Open(const std::function<void(ExecutorConfig*)>& change = {}) {
    return std::make_unique<TableClient>(directory_.path(), LateTable(), change);
  }

  LateRunnerScript script_;
  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(StepsInFlight, LateRunnerTest, testing::Values(1, 2, 3));

constexpr int kVocabSize = 101;  // DefaultModel's

TestRequest Seeded(uint64_t id, std::vector<int32_t> prompt, uint32_t max_tokens, uint32_t sequences = 1) {
  TestRequest request(id, std::move(prompt), max_tokens);
  request.sampling.set |= SAMPLING_SEED | SAMPLING_N;
  request.sampling.seed = id;
  request.sampling.n = sequences;
  return request;
}

// What the request's sequence says if nothing ends it before `tokens`.
std::vector<int32_t> TextOf(const TestRequest& request, uint32_t sequence, size_t tokens) {
  SamplingParams sampling;
  if (request.sampling.set & SAMPLING_REPETITION_PENALTY)
    sampling.processors.repetition_penalty = request.sampling.repetition_penalty;
  std::vector<int32_t> history = request.tokens;
  while (history.size() < request.tokens.size() + tokens)
    history.push_back(LateRunner::NextToken(history, request.sampling.seed, sequence,
                                            LateRunner::MemoryOf(sampling, history), kVocabSize));
  return {history.begin() + static_cast<std::ptrdiff_t>(request.tokens.size()), history.end()};
}

TEST_P(LateRunnerTest, ARequestGetsItsTextAndEndsAtMaxTokens) {
  const auto client = Open();
  const TestRequest request = Seeded(1, RandomPrompt(150, kVocabSize, 1), 40);
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.tokens, TextOf(request, 0, 40));
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(client->stats().kv_blocks_used, 0u);
}

TEST_P(LateRunnerTest, ADeviceThatWarmsUpHasComputedPromptsAndTokensBeforeTheFirstRequest) {
  script_.warms_up = true;
  const auto client = Open();
  // A prompt of 16 tokens and one of 254, which leave two, in steps of at most 64 tokens, and a decode step each.
  EXPECT_EQ(script_.events.size(), 2u * (2 + 5));
  EXPECT_EQ(client->stats().steps, 0u);
  EXPECT_EQ(client->stats().kv_blocks_used, 0u);
  const TestRequest request = Seeded(1, RandomPrompt(150, kVocabSize, 1), 40);
  EXPECT_EQ(client->Run(request).tokens, TextOf(request, 0, 40));
}

TEST_P(LateRunnerTest, StepsAreSubmittedAheadAsFarAsTheRunnerTakesThem) {
  const auto client = Open();
  client->Run(Seeded(1, {1, 2, 3}, 5));
  std::vector<std::string> events;
  int submitted = 0, collected = 0;
  for (; submitted < std::min(GetParam(), 5); ++submitted) events.push_back("submit " + std::to_string(submitted));
  while (collected < 5) {
    events.push_back("collect " + std::to_string(collected++));
    if (submitted < 5) events.push_back("submit " + std::to_string(submitted++));
  }
  EXPECT_EQ(script_.events, events) << "and none is submitted whose token could not be of use";
}

TEST_P(LateRunnerTest, WhatComesAfterAnEndTokenIsDropped) {
  const auto client = Open();
  TestRequest request = Seeded(1, {1, 2, 3}, 50);
  const std::vector<int32_t> text = TextOf(request, 0, 50);
  request.end_ids = {text[7]};
  const auto end = std::find(text.begin(), text.end(), text[7]);
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.tokens, std::vector<int32_t>(text.begin(), end));
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(client->Run(Seeded(2, {1, 2}, 20)).tokens, TextOf(Seeded(2, {1, 2}, 20), 0, 20)) << "its slot is clean";
}

TEST_P(LateRunnerTest, ARequestThatNeedsItsHistoryGetsItAndHoldsUpNobody) {
  const auto client = Open();
  TestRequest penalized = Seeded(1, {1, 2, 3}, 10);
  penalized.sampling.set |= SAMPLING_REPETITION_PENALTY;
  penalized.sampling.repetition_penalty = 2;
  TestRequest plain = Seeded(2, {4, 5, 6}, 40);
  ASSERT_EQ(client->Submit({&penalized, &plain}), EXECUTOR_OK);
  client->WaitForEnds(2);
  EXPECT_EQ(client->results[1].tokens, TextOf(penalized, 0, 10));
  EXPECT_EQ(client->results[2].tokens, TextOf(plain, 0, 40));
  EXPECT_LE(client->stats().steps, 40u + static_cast<uint64_t>(GetParam()));
}

TEST_P(LateRunnerTest, AnEmbeddingIsOfItsPromptOnceHoweverOftenItIsPreempted) {
  script_.kv_blocks = 45;  // four tokens each
  const auto client = Open();
  std::vector<TestRequest> requests;
  for (uint64_t id = 1; id <= 3; ++id) requests.push_back(Seeded(id, RandomPrompt(20, kVocabSize, 7), 80));
  for (uint64_t id = 11; id <= 13; ++id) {
    requests.emplace_back(id, RandomPrompt(100, kVocabSize, static_cast<uint32_t>(id)));
    requests.back().request.type = REQUEST_EMBEDDING;
    requests.back().output.pooling = POOLING_MEAN;
  }
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(client->Submit(pointers), EXECUTOR_OK);
  client->WaitForEnds(6);
  for (const TestRequest& request : requests) {
    const TestResult& result = client->results[request.id];
    EXPECT_EQ(result.finals, 1);
    if (request.id < 11) {
      EXPECT_EQ(result.tokens, TextOf(request, 0, 80));
      continue;
    }
    EXPECT_TRUE(result.tokens.empty());
    const double sum = std::accumulate(request.tokens.begin(), request.tokens.end(), 0.0);
    EXPECT_EQ(result.embedding, std::vector<float>{static_cast<float>(sum / 100)});
  }
  EXPECT_GT(client->stats().preemptions, 0u);
  EXPECT_EQ(client->stats().kv_blocks_used, 0u);
}

TEST_P(LateRunnerTest, CancelEndsARequestOnceWithABeginningOfItsText) {
  script_.holds_at_collect = 10;
  const auto client = Open();
  const TestRequest request = Seeded(1, {1, 2, 3}, 40, 3);
  ASSERT_EQ(client->Submit(request), EXECUTOR_OK);
  while (client->results[1].tokens.size() < 10) ASSERT_EQ(client->WaitOnce(), EXECUTOR_OK);
  client->Cancel(1);
  script_.Release();
  client->WaitForEnds(1);
  for (const auto& [index, sequence] : client->results[1].sequences) {
    EXPECT_EQ(sequence.finish, FINISH_CANCELLED);
    EXPECT_EQ(sequence.tokens, TextOf(request, index, sequence.tokens.size()));
  }
  EXPECT_EQ(client->results[1].finals, 1);
  client->results.clear();
  EXPECT_EQ(client->Run(Seeded(1, {7}, 20)).tokens, TextOf(Seeded(1, {7}, 20), 0, 20)) << "its id is free again";
  EXPECT_EQ(client->stats().kv_blocks_used, 0u);
}

TEST_P(LateRunnerTest, AFailedDrawEndsItsRequestAlone) {
  script_.failing_request = 2;
  const auto client = Open();
  TestRequest first = Seeded(1, {1, 2, 3}, 30), failing = Seeded(2, {4, 5, 6}, 30, 2), last = Seeded(3, {7, 8}, 30, 2);
  ASSERT_EQ(client->Submit({&first, &failing, &last}), EXECUTOR_OK);
  client->WaitForEnds(3);
  EXPECT_EQ(client->results[1].tokens, TextOf(first, 0, 30));
  for (uint32_t i = 0; i < 2; ++i) EXPECT_EQ(client->results[3].sequences[i].tokens, TextOf(last, i, 30));
  ASSERT_TRUE(client->results[2].error.has_value());
  EXPECT_EQ(client->results[2].error->code, EXECUTOR_ENGINE_WEIGHTS);
  for (uint32_t i = 0; i < 2; ++i) EXPECT_EQ(client->results[2].sequences[i].tokens, TextOf(failing, i, 2));
  EXPECT_EQ(client->stats().kv_blocks_used, 0u);
}

TEST_P(LateRunnerTest, ALostDeviceEndsAllRequestsAndTakesNoMore) {
  for (const bool at_submit : {true, false}) {
    SCOPED_TRACE(at_submit ? "at submit" : "at collect");
    const std::string lost = at_submit ? "A step failed: the device is lost. Load the engine again."
                                       : "A step failed: The device is lost. Restart it.";
    (at_submit ? script_.throws_at_submit : script_.throws_at_collect) = 4;
    const auto client = Open();
    TestRequest first = Seeded(1, {1, 2, 3}, 30), second = Seeded(2, {4, 5, 6}, 30, 2);
    ASSERT_EQ(client->Submit({&first, &second}), EXECUTOR_OK);
    client->WaitForEnds(2);
    for (const auto& [id, request] : {std::pair<uint64_t, TestRequest*>{1, &first}, {2, &second}}) {
      const TestResult& result = client->results[id];
      ASSERT_TRUE(result.error.has_value());
      EXPECT_EQ(result.error->code, EXECUTOR_FAILED);
      EXPECT_EQ(result.error->message, lost);
      EXPECT_EQ(result.finals, 1);
      for (const auto& [index, sequence] : result.sequences)
        EXPECT_EQ(sequence.tokens, TextOf(*request, index, sequence.tokens.size()));
    }
    EXPECT_EQ(client->Submit(Seeded(3, {1}, 5)), EXECUTOR_FAILED);
    EXPECT_EQ(client->message(), lost);
    EXPECT_EQ(client->WaitOnce(), EXECUTOR_FAILED);
    EXPECT_EQ(client->message(), lost);
    EXPECT_EQ(client->stats().active_requests, 0u);
    EXPECT_EQ(client->table().shutdown(client->executor(), /*deadline_ms=*/1000, nullptr), EXECUTOR_OK);
    script_.throws_at_submit = script_.throws_at_collect = -1;
  }
}

TEST_P(LateRunnerTest, MemoryThatRunsOutInAStepEndsAllRequestsToo) {
  script_.throws_at_collect = 4;
  script_.thrown_at_collect = executor::Failure(EXECUTOR_OUT_OF_MEMORY, "No memory is left. Use a smaller batch.");
  const auto client = Open();
  TestRequest first = Seeded(1, {1, 2, 3}, 30), waits = Seeded(2, {4, 5, 6}, 30, 16);
  ASSERT_EQ(client->Submit({&first, &waits}), EXECUTOR_OK);
  client->WaitForEnds(2);
  for (const uint64_t id : {1, 2}) {
    ASSERT_TRUE(client->results[id].error.has_value());
    EXPECT_EQ(client->results[id].error->code, EXECUTOR_FAILED) << "none of them runs again";
    EXPECT_STREQ(client->results[id].error->message, "A step failed: No memory is left. Use a smaller batch.");
  }
  EXPECT_EQ(client->Submit(Seeded(3, {1}, 5)), EXECUTOR_FAILED);
}

TEST_P(LateRunnerTest, ShutdownEndsWhatIsInFlight) {
  script_.holds_at_collect = 5;
  const auto client = Open();
  TestRequest first = Seeded(1, {1, 2, 3}, 30), second = Seeded(2, {4, 5, 6}, 30, 2);
  ASSERT_EQ(client->Submit({&first, &second}), EXECUTOR_OK);
  while (client->results[2].tokens.empty()) ASSERT_EQ(client->WaitOnce(), EXECUTOR_OK);
  ASSERT_EQ(client->table().shutdown(client->executor(), /*deadline_ms=*/1, nullptr), EXECUTOR_OK);
  script_.Release();
  client->WaitForEnds(2);
  EXPECT_EQ(client->results[1].finish, FINISH_CANCELLED);
}

TEST_P(LateRunnerTest, ADraftThatComesTrueTakesOneStep) {
  const auto client = Open();
  TestRequest request = Seeded(1, {1, 2, 3}, 12);
  request.draft_tokens = TextOf(request, 0, 12);
  EXPECT_EQ(client->Run(request).tokens, TextOf(request, 0, 12));
  const ExecutorStats stats = client->stats();
  EXPECT_EQ(stats.steps, 2u) << "the prompt, then all of the draft";
  EXPECT_EQ(stats.draft_tokens, 10u) << "the first token comes with the prompt, the last from what is before it";
  EXPECT_EQ(stats.draft_tokens_accepted, 10u);
}

TEST_P(LateRunnerTest, WhatIsDrawnAfterARejectedDraftCountsForNothing) {
  script_.failing_request = 1;  // at its third token
  const auto client = Open();
  TestRequest request = Seeded(1, {1, 2, 3}, 12);
  request.end_ids = {TextOf(request, 0, 2)[1]};
  request.draft_tokens = {TextOf(request, 0, 1)[0], 5, 6, 7};
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(result.tokens, TextOf(request, 0, 1));
  EXPECT_EQ(result.details->draft_tokens, 3u);
  EXPECT_EQ(result.details->draft_tokens_accepted, 0u);
}

// Requests of mixed sequences, ends, drafts and needs over a cache that is too small for them, some of them cancelled.
TEST_P(LateRunnerTest, ARandomLoadGetsExactTexts) {
  uint64_t preemptions = 0, accepted = 0, rejected = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    script_.kv_blocks = 30 + static_cast<int>(random() % 30);
    ExecutorPromptLookup lookup{};
    lookup.size = sizeof(lookup);
    ExecutorDecodingConfig decoding{};
    decoding.size = sizeof(decoding);
    decoding.prompt_lookup = &lookup;
    const auto client = Open([&](ExecutorConfig* config) {
      if (random() % 2) config->decoding = &decoding;
    });
    std::vector<TestRequest> requests;
    std::vector<TestRequest*> pointers;
    for (uint64_t id = 1; id <= 60; ++id) {
      const int prompt_tokens = static_cast<int>(1 + random() % 80);
      requests.push_back(Seeded(id, RandomPrompt(prompt_tokens, kVocabSize, static_cast<uint32_t>(id)),
                                1 + static_cast<uint32_t>(random() % 30), 1 + static_cast<uint32_t>(random() % 5)));
      TestRequest& request = requests.back();
      request.request.streaming = random() % 2;
      if (random() % 3 == 0) request.end_ids = RandomPrompt(2, kVocabSize, static_cast<uint32_t>(id));
      if (random() % 4 == 0) {
        request.sampling.set |= SAMPLING_REPETITION_PENALTY;
        request.sampling.repetition_penalty = 2;
      }
      if (random() % 2 == 0) {
        request.draft_tokens = TextOf(request, random() % request.sampling.n, request.request.max_tokens);
        request.draft_tokens[random() % request.draft_tokens.size()] = 7;
      }
    }
    for (TestRequest& request : requests) pointers.push_back(&request);
    ASSERT_EQ(client->Submit(pointers), EXECUTOR_OK) << client->message();
    for (uint64_t id = 5; id <= 60; id += 5) {
      if (client->ended() < 60) client->WaitOnce();
      client->Cancel(id);
    }
    client->WaitForEnds(60);
    for (const TestRequest& request : requests) {
      SCOPED_TRACE(request.id);
      const TestResult& result = client->results[request.id];
      EXPECT_EQ(result.finals, 1);
      EXPECT_EQ(result.sequences.size(), request.sampling.n);
      for (const auto& [index, sequence] : result.sequences) {
        EXPECT_EQ(sequence.finals, 1);
        std::vector<int32_t> text = TextOf(request, index, request.request.max_tokens);
        const auto end = std::find_first_of(text.begin(), text.end(), request.end_ids.begin(), request.end_ids.end());
        const bool reaches_end = end != text.end();
        text.erase(end, text.end());
        if (sequence.finish == FINISH_CANCELLED) {
          ASSERT_LE(sequence.tokens.size(), text.size());
          text.resize(sequence.tokens.size());
        } else {
          EXPECT_EQ(sequence.finish, reaches_end ? FINISH_END_ID : FINISH_LENGTH);
        }
        EXPECT_EQ(sequence.tokens, text);
      }
    }
    const ExecutorStats stats = client->stats();
    preemptions += stats.preemptions;
    accepted += stats.draft_tokens_accepted;
    rejected += stats.draft_tokens - stats.draft_tokens_accepted;
    EXPECT_EQ(stats.kv_blocks_used, 0u);
    EXPECT_EQ(stats.completed_requests, 60u);
  }
  EXPECT_GT(preemptions, 0u);
  EXPECT_GT(accepted, 0u);
  EXPECT_GT(rejected, 0u);
}

}  // namespace
}  // namespace embedded
