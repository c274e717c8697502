// What the executor counts, at points where it stands still.
#include <gtest/gtest.h>

#include <map>

#include "late_runner.h"
#include "table_client.h"

namespace embedded {
namespace {

// Over a runner that stops before it gives the results of a step.
class StatisticsTest : public testing::Test {
 protected:
  StatisticsTest() {
    script_.max_steps_in_flight = 1;
    script = &script_;
    DefaultModel().Write(directory_.path());
  }
  ~StatisticsTest() override {
    script_.Release();
    client_.reset();
    script = nullptr;
  }

  // Submits the requests together, and returns when the step has been submitted that is not collected.
  void StopAtStep(int step, const std::vector<TestRequest*>& requests) {
    script_.holds_at_collect = step;
    client_.emplace(directory_.path(), LateTable(), [](ExecutorConfig* config) {
      config->set |= CONFIG_REQUEST_STATS | CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS;
      config->request_stats = 1;
      config->max_batch_size = 2;
      config->max_num_tokens = 8;
    });
    ASSERT_EQ(client_->Submit(requests), EXECUTOR_OK) << client_->message();
    std::unique_lock<std::mutex> lock(script_.mutex);
    while (script_.events.empty() || script_.events.back() != "collect " + std::to_string(step)) {
      lock.unlock();
      client_->WaitOnce(1);
      lock.lock();
    }
  }
  std::map<uint64_t, ExecutorRequestStats> Requests(const ExecutorStats& stats) {
    std::map<uint64_t, ExecutorRequestStats> by_id;
    for (uint32_t i = 0; i < stats.request_count; ++i) by_id[stats.requests[i].id] = stats.requests[i];
    return by_id;
  }

  LateRunnerScript script_;
  TemporaryDirectory directory_;
  std::optional<TableClient> client_;
};

TEST_F(StatisticsTest, OfAStepThatRunsSayWhatItComputesAndWhatStandsInTheCache) {
  TestRequest decoding(1, {1, 2, 3}, 100), prompt(2, RandomPrompt(20, 101, 1), 100), waiting(3, {4, 5}, 100);
  // Steps of 8 tokens: 3 and 5, 1 and 7, 1 and 7, then 1 and the last one of the prompt.
  StopAtStep(3, {&decoding, &prompt, &waiting});
  const ExecutorStats stats = client_->stats();
  EXPECT_EQ(stats.steps, 3u);
  EXPECT_GT(stats.step_ms, 0);
  EXPECT_EQ(stats.active_requests, 2u);
  EXPECT_EQ(stats.queued_requests, 1u);
  EXPECT_EQ(stats.completed_requests, 0u);
  EXPECT_EQ(stats.new_active_requests, 2u);
  EXPECT_EQ(stats.queue_ms, 0) << "none joined in this step";
  EXPECT_EQ(stats.max_active_requests, 2u);
  EXPECT_EQ(stats.max_batch_size, 2u);
  EXPECT_EQ(stats.max_num_tokens, 8u);
  EXPECT_EQ(stats.scheduled_requests, 2u);
  EXPECT_EQ(stats.context_requests, 1u);
  EXPECT_EQ(stats.generation_requests, 1u);
  EXPECT_EQ(stats.paused_requests, 0u);
  EXPECT_EQ(stats.context_tokens, 1u);
  EXPECT_EQ(stats.decoded_tokens_per_step, 1);
  EXPECT_EQ(stats.draft_tokens, 0u);
  EXPECT_EQ(stats.preemptions, 0u);
  EXPECT_GT(stats.host_memory_bytes, 0u);
  EXPECT_EQ(stats.kv_blocks, 64u);
  EXPECT_EQ(stats.tokens_per_block, 4u);
  EXPECT_EQ(stats.kv_blocks_used, 2u + 5u) << "6 tokens and 20";
  EXPECT_EQ(stats.kv_blocks_free, 64u - 7u);
  EXPECT_EQ(stats.kv_blocks_allocated, 7u);
  EXPECT_EQ(stats.kv_blocks_allocated_new, 7u);
  EXPECT_EQ(stats.kv_blocks_reused, 0u);
  EXPECT_EQ(stats.kv_blocks_missed, 1u + 5u) << "of prompts alone";
  ASSERT_EQ(stats.request_count, 3u);
  const auto requests = Requests(stats);
  EXPECT_EQ(requests.at(1).stage, STAGE_GENERATION);
  EXPECT_EQ(requests.at(1).prompt_tokens_computed, 3u);
  EXPECT_EQ(requests.at(1).generated_tokens, 3u);
  EXPECT_EQ(requests.at(1).scheduled, 1u);
  EXPECT_EQ(requests.at(1).kv_blocks_allocated, 2u);
  EXPECT_EQ(requests.at(1).kv_blocks_missed, 1u);
  EXPECT_EQ(requests.at(1).decoded_tokens_per_step, 1);
  EXPECT_EQ(requests.at(2).prompt_tokens_computed, 20u);
  EXPECT_EQ(requests.at(2).generated_tokens, 0u);
  EXPECT_EQ(requests.at(2).scheduled, 1u);
  EXPECT_EQ(requests.at(3).stage, STAGE_QUEUED);
  EXPECT_EQ(requests.at(3).scheduled, 0u);
  EXPECT_EQ(requests.at(3).kv_blocks_allocated, 0u);
}

TEST_F(StatisticsTest, InTheMiddleOfAPromptTheRequestIsInItsContextStage) {
  TestRequest prompt(1, RandomPrompt(20, 101, 1), 100);
  StopAtStep(1, {&prompt});
  const ExecutorStats stats = client_->stats();
  EXPECT_EQ(stats.context_tokens, 8u);
  EXPECT_EQ(stats.generation_requests, 0u);
  EXPECT_EQ(stats.requests[0].stage, STAGE_CONTEXT);
  EXPECT_EQ(stats.requests[0].prompt_tokens_computed, 16u);
}

TEST_F(StatisticsTest, ARequestThatIsPreemptedIsPaused) {
  script_.kv_blocks = 5;
  TestRequest older(1, RandomPrompt(8, 101, 1), 12), younger(2, RandomPrompt(7, 101, 2), 12);
  // A step each for the prompts. Then they share 4 blocks, take the fifth for 9 tokens, and the younger one gives its own
  // back when the older one has 13.
  StopAtStep(6, {&older, &younger});
  const ExecutorStats stats = client_->stats();
  EXPECT_EQ(stats.preemptions, 1u);
  EXPECT_EQ(stats.paused_requests, 1u);
  EXPECT_EQ(stats.active_requests, 1u);
  EXPECT_EQ(stats.queued_requests, 1u);
  const auto requests = Requests(stats);
  EXPECT_EQ(requests.at(2).paused, 1u);
  EXPECT_EQ(requests.at(2).stage, STAGE_QUEUED);
  EXPECT_EQ(requests.at(1).paused, 0u);
}

TEST_F(StatisticsTest, ARequestThatJoinsCountsWithItsWait) {
  TestRequest first(1, {1, 2}, 100);
  StopAtStep(0, {&first});
  const ExecutorStats stats = client_->stats();
  EXPECT_EQ(stats.new_active_requests, 1u);
  EXPECT_GT(stats.queue_ms, 0);
  EXPECT_EQ(stats.steps, 0u) << "a step counts when its tokens are there";
}

}  // namespace
}  // namespace embedded
