// The executor through its table: how requests begin, run and end.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "native/executor/cpp/failure.h"
#include "table_client.h"
#include "thread_limit.h"

namespace embedded {
namespace {

TestRequest LongRequest(uint64_t id) { return TestRequest(id, {1, 2, 3}, 1000000); }

// One whose tokens differ: a tiny model repeats itself when it is greedy.
TestRequest VariedRequest(uint64_t id) {
  TestRequest request(id);
  request.sampling.set |= SAMPLING_SEED;
  request.sampling.temperature = 3;
  request.sampling.seed = 5;
  return request;
}

TEST(Executor, DescribesItselfAndItsLimits) {
  const TableClient client(DefaultModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_THREADS;
    config->threads = 2;
  });
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  const ExecutorInfo& info = client.info();
  EXPECT_STREQ(info.name, "cpu");
  EXPECT_STREQ(info.data_type, "float32");
  EXPECT_EQ(std::string(info.device).rfind("2 threads, ", 0), 0u) << info.device;
  EXPECT_EQ(info.vocab_size, 101u);
  EXPECT_EQ(info.max_seq_len, 256u);
  EXPECT_EQ(info.max_input_len, 255u);
  EXPECT_EQ(info.max_batch_size, 64u);
  EXPECT_TRUE(info.capabilities & CAN_LOGPROBS);
  EXPECT_TRUE(info.capabilities & CAN_PROMPT_LOGPROBS);
  EXPECT_TRUE(info.capabilities & CAN_SEVERAL_SEQUENCES);
  EXPECT_TRUE(info.capabilities & CAN_TIMEOUT);
  EXPECT_TRUE(info.capabilities & CAN_BEAM_SEARCH);
  EXPECT_EQ(info.max_beam_width, 64u);
}

TEST(Executor, WithAMaxBeamWidthOfOneThereIsNoBeamSearch) {
  TableClient client(DefaultModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BEAM_WIDTH;
    config->max_beam_width = 1;
  });
  EXPECT_FALSE(client.info().capabilities & CAN_BEAM_SEARCH);
  EXPECT_EQ(client.info().max_beam_width, 1u);
}

TEST(Executor, MaxTokensEndsARequestByLength) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(TestRequest(1, {1, 2, 3}, 8));
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(result.tokens.size(), 8u);
  EXPECT_EQ(result.finals, 1);
  ASSERT_TRUE(result.details.has_value());
  EXPECT_EQ(result.details->set, DETAILS_USAGE | DETAILS_TIMING);
  EXPECT_EQ(result.details->prompt_tokens, 3u);
  EXPECT_LE(result.details->queue_ms, result.details->first_token_ms);
  EXPECT_LE(result.details->first_token_ms, result.details->last_token_ms);
  EXPECT_LE(result.details->last_token_ms, result.details->total_ms);
}

TEST(Executor, MaxTokensIsCutToWhatTheContextLeaves) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(TestRequest(1, RandomPrompt(250, 101, 1), 100000));
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(result.tokens.size(), 6u);
}

TEST(Executor, AnyOfTheEndIdsEndsARequestAndIsNotAmongItsTokens) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> tokens = client.Run(VariedRequest(1)).tokens;
  const auto end = std::find_if(tokens.begin(), tokens.end(), [&](int32_t token) { return token != tokens[0]; });
  ASSERT_NE(end, tokens.end());
  TestRequest request = VariedRequest(2);
  request.end_ids = {static_cast<int32_t>((*end + 1) % 101), *end};
  request.end_ids[0] = request.end_ids[0] == tokens[0] ? (request.end_ids[0] + 1) % 101 : request.end_ids[0];
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(result.tokens, std::vector<int32_t>(tokens.begin(), end));
  EXPECT_TRUE(result.details->set & DETAILS_STOP_TOKEN);
  EXPECT_EQ(result.details->stop_token, *end);
}

TEST(Executor, ARunOfStopTokensEndsARequestAndIsAmongItsTokens) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> tokens = client.Run(VariedRequest(1)).tokens;
  TestRequest request = VariedRequest(2);
  const int32_t words[] = {tokens[2], tokens[3]};
  const uint32_t offsets[] = {0, 2};
  request.request.stop_tokens = {words, offsets, 1};
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.finish, FINISH_STOP_TOKENS);
  ASSERT_LE(result.tokens.size(), 4u);
  EXPECT_TRUE(std::equal(result.tokens.begin(), result.tokens.end(), tokens.begin()));
  EXPECT_EQ(result.tokens.back(), tokens[3]);
}

TEST(Executor, WithoutStreamingAllTokensComeInOneRow) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> streamed = client.Run(TestRequest(1)).tokens;
  TestRequest request(2);
  request.request.streaming = 0;
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.rows, 1);
  EXPECT_EQ(result.tokens, streamed);
}

TEST(Executor, UsageComesWithTheFirstRowAndTheLastAlone) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(TestRequest(1, {1, 2, 3}, 8));
  EXPECT_EQ(result.rows, 8);
  EXPECT_EQ(result.rows_with_usage, 2);
}

TEST(Executor, AnEmptyFirstRowSaysThatAPromptOfSeveralStepsNoLongerWaits) {
  TableClient client(DefaultModel());
  const TestResult long_prompt = client.Run(TestRequest(1, RandomPrompt(150, 101, 1), 8));  // three chunks
  ASSERT_EQ(long_prompt.rows, 1 + 8);
  EXPECT_EQ(long_prompt.row_list[0].tokens, 0u);
  EXPECT_EQ(long_prompt.row_list[0].flags, 0);
  EXPECT_TRUE(long_prompt.row_list[0].has_usage);
  EXPECT_EQ(long_prompt.rows_with_usage, 2);
  EXPECT_EQ(client.Run(TestRequest(2, RandomPrompt(64, 101, 1), 8)).rows, 8) << "one step has no such row";
  TestRequest request(3, RandomPrompt(150, 101, 1), 8);
  request.request.streaming = 0;
  EXPECT_EQ(client.Run(request).rows, 1);
}

TEST(Executor, LogprobsAndTheLikeliestTokensComeWithEachToken) {
  TableClient client(DefaultModel());
  TestRequest request(1);
  request.output.flags = OUTPUT_LOGPROBS | OUTPUT_RETURN_GENERATION_LOGITS;
  request.output.top_logprobs = 3;
  const TestResult result = client.Run(request);
  ASSERT_EQ(result.logprobs.size(), 8u);
  ASSERT_EQ(result.top.size(), 24u);
  ASSERT_EQ(result.generation_logits.size(), 8u * 101);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(result.top[3 * i].first, result.tokens[i]) << "greedy takes the likeliest";
    EXPECT_EQ(result.top[3 * i].second, result.logprobs[i]);
    EXPECT_GE(result.top[3 * i].second, result.top[3 * i + 1].second);
    double sum = 0;
    for (size_t v = 0; v < 101; ++v) sum += std::exp(double{result.generation_logits[101 * i + v]});
    EXPECT_NEAR(result.logprobs[i], result.generation_logits[101 * i + result.tokens[i]] - std::log(sum), 1e-5);
  }
}

TEST(Executor, ContextLogitsComeOnceAndItsLastRowChoosesTheFirstToken) {
  TableClient client(DefaultModel());
  TestRequest request(1, RandomPrompt(150, 101, 3));  // three chunks
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const TestResult result = client.Run(request);
  ASSERT_EQ(result.context_logits.size(), 150u * 101);
  const auto last = result.context_logits.end() - 101;
  EXPECT_EQ(std::max_element(last, result.context_logits.end()) - last, result.tokens[0]);
}

TEST(Executor, WithoutASeedTwoRequestsDrawDifferently) {
  TableClient client(DefaultModel());
  const auto sampled = [](uint64_t id) {
    TestRequest request(id, {1, 2, 3}, 60);
    request.sampling.temperature = 3;
    return request;
  };
  EXPECT_NE(client.Run(sampled(1)).tokens, client.Run(sampled(2)).tokens);
}

TEST(Executor, RequestsJoinAndLeaveWhileOthersRun) {
  TableClient client(EndlessModel());
  const std::vector<int32_t> alone = client.Run(TestRequest(1, {5, 6}, 20)).tokens;
  ASSERT_EQ(client.Submit(LongRequest(2)), EXECUTOR_OK);
  for (uint64_t id = 10; id < 15; ++id) EXPECT_EQ(client.Run(TestRequest(id, {5, 6}, 20)).tokens, alone);
  EXPECT_EQ(client.results[2].finals, 0);
  client.Cancel(2);
  client.WaitForEnds(7);
  EXPECT_EQ(client.results[2].finish, FINISH_CANCELLED);
}

TEST(Executor, CancelEndsARunningRequestWithinTwoStepsWithWhatItHas) {
  TableClient client(EndlessModel());
  ASSERT_EQ(client.Submit(LongRequest(1)), EXECUTOR_OK);
  while (client.results[1].tokens.empty()) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(1);
  const uint64_t steps = client.stats().steps;
  client.WaitForEnds(1);
  EXPECT_EQ(client.results[1].finish, FINISH_CANCELLED);
  EXPECT_EQ(client.results[1].finals, 1);
  EXPECT_LE(client.stats().steps, steps + 2);
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Executor, CancelEndsAWaitingRequestAtOnce) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 1;
  });
  TestRequest running = LongRequest(1), waiting = LongRequest(2);
  ASSERT_EQ(client.Submit({&running, &waiting}), EXECUTOR_OK);
  client.Cancel(2);
  ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  EXPECT_EQ(client.results[2].finish, FINISH_CANCELLED);
  EXPECT_TRUE(client.results[2].tokens.empty());
}

TEST(Executor, CancelOfAnUnknownOrEndedIdIsIgnored) {
  TableClient client(DefaultModel());
  client.Run(TestRequest(1));
  client.Cancel(1);
  client.Cancel(99);
  EXPECT_EQ(client.Run(TestRequest(2)).finals, 1);
  EXPECT_EQ(client.results[99].rows, 0);
}

TEST(Executor, AnIdMayBeUsedAgainOnceItsRequestHasEnded) {
  TableClient client(DefaultModel());
  EXPECT_EQ(client.Run(TestRequest(1)).finals, 1);
  EXPECT_EQ(client.Run(TestRequest(1)).finals, 1);
}

TEST(Executor, SubmitTakesAllRequestsOrNone) {
  TableClient client(DefaultModel());
  TestRequest good(1), other(2), again(1);
  EXPECT_EQ(client.Submit({&good, &other, &again}), EXECUTOR_INVALID_INPUT);
  EXPECT_EQ(client.error().request_id, 1u);
  EXPECT_EQ(client.stats().queued_requests + client.stats().active_requests, 0u);
  TestRequest empty(3, {});
  EXPECT_EQ(client.Submit({&good, &empty}), EXECUTOR_EMPTY_PROMPT);
  EXPECT_EQ(client.error().request_id, 3u);
  EXPECT_EQ(client.Submit({&good, &other}), EXECUTOR_OK);
  client.WaitForEnds(2);
}

TEST(Executor, AnIdThatStillRunsIsRefusedAndItsRequestGoesOn) {
  TableClient client(EndlessModel());
  ASSERT_EQ(client.Submit(LongRequest(1)), EXECUTOR_OK);
  EXPECT_EQ(client.Submit(TestRequest(1)), EXECUTOR_INVALID_INPUT);
  while (client.results[1].tokens.size() < 20) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
}

TEST(Executor, AFullQueueRefusesMore) {
  TableClient client(DefaultModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_QUEUE_SIZE;
    config->max_batch_size = 1;
    config->max_queue_size = 1;  // behind the one that finds a place
  });
  TestRequest one(1), two(2), three(3);
  EXPECT_EQ(client.Submit({&one, &two, &three}), EXECUTOR_QUEUE_FULL);
  EXPECT_EQ(client.Submit({&one, &two}), EXECUTOR_OK);
  client.WaitForEnds(2);
}

TEST(Executor, ASmallCacheShortensTheLongestSequence) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 64;
  TableClient client(DefaultModel(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  EXPECT_EQ(client.info().max_seq_len, 64u);
  EXPECT_EQ(client.Submit(TestRequest(1, RandomPrompt(64, 101, 1))), EXECUTOR_PROMPT_TOO_LONG);
  EXPECT_EQ(client.Run(TestRequest(2, RandomPrompt(63, 101, 1), 100)).tokens.size(), 1u);
}

TEST(Executor, LogitsThatAreNoNumbersFailTheirRequestAlone) {
  TinyModel model = DefaultModel();
  std::vector<float>& embedding = model.tensors["transformer.vocab_embedding.weight"];
  std::fill_n(embedding.begin() + 5 * model.hidden_size, model.hidden_size, std::nanf(""));
  model.tied_head = false;
  model.tensors["lm_head.weight"] = DefaultModel().tensors.at("transformer.vocab_embedding.weight");
  model.shapes["lm_head.weight"] = {model.vocab_size, model.hidden_size};
  TableClient client(model);
  TestRequest good(1, {1, 2, 3}), bad(2, {1, 5, 3});
  good.end_ids = {5};
  ASSERT_EQ(client.Submit({&good, &bad}), EXECUTOR_OK) << client.message();
  client.WaitForEnds(2);
  EXPECT_EQ(client.results[2].finish, FINISH_ERROR);
  ASSERT_TRUE(client.results[2].error.has_value());
  EXPECT_EQ(client.results[2].error->code, EXECUTOR_ENGINE_WEIGHTS);
  EXPECT_EQ(client.results[2].error->request_id, 2u);
  EXPECT_NE(client.results[1].finish, FINISH_ERROR);
}

TEST(Executor, WaitWithoutRowsEndsByInterruptOrTime) {
  TableClient client(DefaultModel());
  EXPECT_EQ(client.WaitOnce(1), EXECUTOR_OK);
  client.table().interrupt(client.executor());
  EXPECT_EQ(client.WaitOnce(1000000), EXECUTOR_OK) << "an interrupt before the wait counts for it";
  std::thread other([&] { client.table().interrupt(client.executor()); });
  EXPECT_EQ(client.WaitOnce(1000000), EXECUTOR_OK);
  other.join();
}

TEST(Executor, WhatWaitGaveStaysAsItIsUntilTheNextWait) {
  TableClient client(EndlessModel());
  ASSERT_EQ(client.Submit(TestRequest(1, {1, 2, 3}, 1000)), EXECUTOR_OK);
  const ExecutorBatch* batch = nullptr;
  ASSERT_EQ(client.table().wait(client.executor(), 10000, &batch, nullptr), EXECUTOR_OK);
  ASSERT_GT(batch->row_count, 0u);
  const std::vector<int32_t> tokens(batch->tokens, batch->tokens + batch->token_offsets[batch->row_count]);
  const uint64_t step = batch->step;
  while (client.stats().completed_requests == 0) std::this_thread::yield();
  EXPECT_EQ(batch->step, step);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), batch->tokens));
  client.results[1].tokens = tokens;
  while (client.results[1].finals == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  EXPECT_EQ(client.results[1].tokens.size(), 1000u) << "a slow reader misses nothing";
}

TEST(Executor, StatsCountStepsRequestsAndBlocks) {
  TableClient client(DefaultModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_REQUEST_STATS;
    config->request_stats = 1;
  });
  client.Run(TestRequest(1, RandomPrompt(100, 101, 1), 5));  // chunks of 64 and 36, then four tokens
  const ExecutorStats stats = client.stats();
  EXPECT_EQ(stats.steps, 6u);
  EXPECT_EQ(stats.completed_requests, 1u);
  EXPECT_EQ(stats.new_active_requests, 1u);
  EXPECT_EQ(stats.kv_blocks_allocated, 4u);
  EXPECT_EQ(stats.kv_blocks_used, 0u);
  EXPECT_EQ(stats.kv_blocks_free, stats.kv_blocks);
  EXPECT_GT(stats.host_memory_bytes, 0u);
  EXPECT_EQ(stats.request_count, 0u);
}

TEST(Executor, StatsCountWhatIsFoundInPartAndWhatTakesAKeptBlock) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 5 * 32;
  TableClient client(DefaultModel(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  client.Run(TestRequest(1, RandomPrompt(100, 101, 1), 1));
  const auto second = client.Run(TestRequest(2, RandomPrompt(100, 101, 1), 1));
  EXPECT_EQ(second.details->cached_tokens, 99u);
  EXPECT_EQ(second.details->kv_blocks_reused, 4u);
  EXPECT_EQ(second.details->kv_blocks_missed, 0u);
  EXPECT_EQ(second.details->kv_blocks_allocated, 1u) << "a copy of the last";
  client.Run(TestRequest(3, RandomPrompt(100, 101, 2), 1));
  const ExecutorStats stats = client.stats();
  EXPECT_EQ(stats.kv_blocks_reused, 4u);
  EXPECT_EQ(stats.kv_blocks_missed, 4u + 4u);
  EXPECT_EQ(stats.kv_blocks_allocated, 4u + 1u + 4u);
  EXPECT_EQ(stats.kv_blocks_allocated_new, 4u + 1u + 1u) << "three were kept for the first prompt";
}

TEST(Executor, RequestStatsSayHowFarEachRequestIs) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_REQUEST_STATS;
    config->request_stats = 1;
  });
  ASSERT_EQ(client.Submit(LongRequest(2)), EXECUTOR_OK);
  while (client.results[2].tokens.empty()) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  const ExecutorStats stats = client.stats();
  ASSERT_EQ(stats.request_count, 1u);
  EXPECT_EQ(stats.requests[0].id, 2u);
  EXPECT_EQ(stats.requests[0].stage, STAGE_GENERATION);
  EXPECT_EQ(stats.requests[0].prompt_tokens_computed, 3u);
  EXPECT_GT(stats.requests[0].generated_tokens, 0u);
  EXPECT_EQ(stats.active_requests, 1u);
}

TEST(Executor, ShutdownEndsWhatRunsAndRefusesMore) {
  TableClient client(EndlessModel());
  TestRequest one = LongRequest(1), two = LongRequest(2);
  ASSERT_EQ(client.Submit({&one, &two}), EXECUTOR_OK);
  ASSERT_EQ(client.table().shutdown(client.executor(), 10000, nullptr), EXECUTOR_OK);
  client.WaitForEnds(2);
  EXPECT_EQ(client.Submit(TestRequest(3)), EXECUTOR_CLOSED);
  EXPECT_EQ(client.message(), executor::kClosedMessage);
}

TEST(Executor, DestroyIsSafeWithRequestsInEveryStage) {
  for (int round = 0; round < 10; ++round) {
    TableClient client(EndlessModel());
    std::vector<TestRequest> requests;
    std::vector<TestRequest*> pointers;
    for (uint64_t id = 0; id < 100; ++id) requests.push_back(LongRequest(id));
    for (TestRequest& request : requests) pointers.push_back(&request);
    ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK);
    for (int waits = 0; waits < round; ++waits) client.WaitOnce();
  }
}

TEST(Executor, SubmitCancelStatsAndWaitMayRunAtOnceFromManyThreads) {
  TableClient client(DefaultModel());
  std::vector<std::thread> threads;
  constexpr uint64_t kThreads = 3, kEach = 40;
  for (uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&client, t] {
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t id = t * 1000 + i;
        TestRequest request(id, {1, static_cast<int32_t>(i)}, 20);
        const ExecutorRequest* pointer = request.Get();
        ExecutorError error{};
        error.size = sizeof(error);
        EXPECT_EQ(client.table().submit(client.executor(), &pointer, 1, &error), EXECUTOR_OK) << error.message;
        if (i % 3 == 0) client.table().cancel(client.executor(), &id, 1, nullptr);
      }
    });
  client.WaitForEnds(kThreads * kEach);
  for (std::thread& thread : threads) thread.join();
  for (const auto& [id, result] : client.results) EXPECT_EQ(result.finals, 1) << id;
  EXPECT_EQ(client.stats().completed_requests, kThreads * kEach);
}

TEST(Executor, ALoadThatLacksAThreadSaysWhatToRaiseWhicheverItIs) {
  bool was_met = true;
  for (int starts = 0; was_met; ++starts) {
    const ThreadLimit limit(starts);
    TableClient client(DefaultModel(), [](ExecutorConfig* config) {
      config->set |= CONFIG_THREADS;
      config->threads = 3;
    });
    was_met = limit.was_met();
    EXPECT_EQ(client.code(), was_met ? EXECUTOR_UNAVAILABLE : EXECUTOR_OK) << starts;
    EXPECT_EQ(client.message().find("ulimit -u") != std::string::npos, was_met) << client.message();
  }
}

}  // namespace
}  // namespace embedded
