// Requests with a time limit, over both a model and a runner whose results come late.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "late_runner.h"
#include "native/embedded/deadlines.h"
#include "table_client.h"

namespace embedded {
namespace {

using Clock = Deadlines::Clock;

TestRequest WithTimeout(TestRequest request, uint32_t timeout_ms) {
  request.request.set |= REQUEST_TIMEOUT;
  request.request.timeout_ms = timeout_ms;
  return request;
}
TestRequest LongRequest(uint64_t id) { return TestRequest(id, {1, 2, 3}, 1000000); }

constexpr uint32_t kHourMs = 3'600'000;

TEST(Deadlines, TellTheOneThatIsOverdueFirstAndForgetWhatHasEnded) {
  Request none, late, early;
  late.deadline = Clock::now() + std::chrono::minutes(5);
  early.deadline = Clock::now() - std::chrono::minutes(5);
  Deadlines deadlines;
  EXPECT_EQ(deadlines.TimeLeft(std::chrono::minutes(1)), std::chrono::minutes(1));
  for (Request* request : {&none, &late, &early}) deadlines.Add(request);
  EXPECT_EQ(deadlines.Overdue(), &early);
  EXPECT_LE(deadlines.TimeLeft(std::chrono::minutes(1)), Clock::duration::zero());
  for (Request* request : {&none, &early}) deadlines.Remove(request);
  EXPECT_EQ(deadlines.Overdue(), nullptr);
  EXPECT_GT(deadlines.TimeLeft(std::chrono::hours(1)), std::chrono::minutes(4));
  EXPECT_LE(deadlines.TimeLeft(std::chrono::hours(1)), std::chrono::minutes(5));
}

TEST(Timeouts, ARunningRequestEndsWithWhatItHasAndItsUsage) {
  TableClient client(EndlessModel());
  const TestResult result = client.Run(WithTimeout(LongRequest(1), 50));
  EXPECT_EQ(result.finish, FINISH_TIMEOUT);
  EXPECT_EQ(result.finals, 1);
  std::vector<int32_t> more =
      client.Run(TestRequest(2, {1, 2, 3}, static_cast<uint32_t>(result.tokens.size()) + 1)).tokens;
  more.pop_back();
  EXPECT_EQ(result.tokens, more);
  ASSERT_TRUE(result.details.has_value());
  EXPECT_TRUE(result.details->set & DETAILS_USAGE);
  EXPECT_EQ(result.details->prompt_tokens, 3u);
  EXPECT_GE(result.details->total_ms, 50);
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Timeouts, ARequestThatWaitsEndsWithoutATokenAndTheOneBeforeItRunsOn) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 1;
  });
  TestRequest running = WithTimeout(LongRequest(1), kHourMs), waiting = WithTimeout(LongRequest(2), 5);
  ASSERT_EQ(client.Submit({&running, &waiting}), EXECUTOR_OK);
  client.WaitForEnds(1);
  EXPECT_EQ(client.results[2].finish, FINISH_TIMEOUT);
  EXPECT_TRUE(client.results[2].tokens.empty());
  const size_t tokens = client.results[1].tokens.size();
  while (client.results[1].tokens.size() < tokens + 5) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
}

TEST(Timeouts, ARequestThatEndsInTimeEndsAsItWould) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(WithTimeout(TestRequest(1), kHourMs));
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(result.tokens, client.Run(TestRequest(1)).tokens);
}

TEST(Timeouts, EndEverySequenceOnceWhileStepsAreInFlight) {
  LateRunnerScript late;
  late.holds_at_collect = 10;
  script = &late;
  TemporaryDirectory directory;
  DefaultModel().Write(directory.path());
  {
    TableClient client(directory.path(), LateTable());
    TestRequest request = WithTimeout(TestRequest(1, {1, 2, 3}, 40), 30);
    request.sampling.set |= SAMPLING_N;
    request.sampling.n = 3;
    ASSERT_EQ(client.Submit(request), EXECUTOR_OK);
    const auto deadline = Clock::now() + std::chrono::milliseconds(30);
    while (client.results[1].tokens.size() < 10 && client.ended() == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
    while (Clock::now() < deadline) std::this_thread::yield();
    late.Release();
    client.WaitForEnds(1);
    EXPECT_EQ(client.results[1].finals, 1);
    ASSERT_EQ(client.results[1].sequences.size(), 3u);
    for (const auto& [index, sequence] : client.results[1].sequences) {
      EXPECT_EQ(sequence.finish, FINISH_TIMEOUT) << index;
      EXPECT_EQ(sequence.finals, 1) << index;
    }
    client.results.clear();
    EXPECT_EQ(client.Run(TestRequest(1)).finish, FINISH_LENGTH) << "its id and its slots are free again";
    EXPECT_EQ(client.stats().kv_blocks_used, 0u);
  }
  script = nullptr;
}

}  // namespace
}  // namespace embedded
