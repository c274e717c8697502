// How blocks that the device gives up stay in host memory, and come back from there.
#include "native/embedded/host_blocks.h"

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <vector>

#include "native/embedded/scheduler.h"
#include "scheduler_steps.h"

namespace embedded {
namespace {

Sequence PromptOf(int first, int tokens) {
  Sequence sequence;
  sequence.tokens.resize(static_cast<size_t>(tokens));
  std::iota(sequence.tokens.begin(), sequence.tokens.end(), first);
  return sequence;
}

class HostBlocksOf : public testing::Test {
 protected:
  static Scheduler Make(int kv_blocks, int host_blocks, bool reuses_parts = false) {
    return SchedulerOf({512, 8, true}, kv_blocks, {}, {reuses_parts, true, host_blocks});
  }
  // Runs a prompt of these tokens to its first token. Gives the step's copies.
  std::vector<BlockCopy> Run(Scheduler* scheduler, Sequence sequence) {
    scheduler->Add(&sequence);
    const Step step = scheduler->PlanStep();
    Compute(step);
    scheduler->Remove(&sequence);
    reused_tokens_ = sequence.reused_tokens;
    return step.copies;
  }
  static std::vector<CopyWay> WaysOf(const std::vector<BlockCopy>& copies) {
    std::vector<CopyWay> ways;
    for (const BlockCopy& copy : copies) ways.push_back(copy.way);
    return ways;
  }

  size_t reused_tokens_ = 0;  // of the prompt that ran last
};

TEST_F(HostBlocksOf, ABlockThatIsGivenUpGoesToTheHostAndComesBack) {
  Scheduler scheduler = Make(2, 2);
  EXPECT_TRUE(Run(&scheduler, PromptOf(100, kTokensPerBlock)).empty());
  // Takes both blocks of the device.
  const std::vector<BlockCopy> out = Run(&scheduler, PromptOf(200, 2 * kTokensPerBlock));
  ASSERT_EQ(WaysOf(out), std::vector<CopyWay>{CopyWay::kToHost});
  const std::vector<BlockCopy> back = Run(&scheduler, PromptOf(100, kTokensPerBlock + 1));
  EXPECT_EQ(reused_tokens_, static_cast<size_t>(kTokensPerBlock));
  ASSERT_EQ(WaysOf(back), (std::vector<CopyWay>{CopyWay::kToHost, CopyWay::kFromHost, CopyWay::kToHost}))
      << "each block that it takes makes another one move out";
  EXPECT_EQ(back[1].from, out[0].to);
  EXPECT_NE(back[0].to, out[0].to) << "where it lies is not free before it is back";
  EXPECT_EQ(back[2].to, out[0].to);
}

TEST_F(HostBlocksOf, APartOfABlockOnTheHostIsCopiedAndStaysThere) {
  Scheduler scheduler = Make(2, 4, true);
  Run(&scheduler, PromptOf(100, kTokensPerBlock));
  Run(&scheduler, PromptOf(200, 2 * kTokensPerBlock));
  for (int i = 0; i < 2; ++i) {
    Sequence begins_alike = PromptOf(100, 20);
    begins_alike.tokens.push_back(7 + i);
    Run(&scheduler, begins_alike);
    EXPECT_EQ(reused_tokens_, 20u);
    Run(&scheduler, PromptOf(300 + 100 * i, 2 * kTokensPerBlock));
  }
}

TEST_F(HostBlocksOf, ABlockThatDraftsTakeMovesOutBeforeTheyAreComputed) {
  Scheduler scheduler = SchedulerOf({512, 8, true, 8}, 2, {}, {false, true, 2});
  Run(&scheduler, PromptOf(100, kTokensPerBlock));
  Sequence sequence = PromptOf(200, kTokensPerBlock - 1);
  scheduler.Add(&sequence);
  Compute(scheduler.PlanStep());
  Step step = scheduler.PlanStep();
  EXPECT_TRUE(step.copies.empty());
  scheduler.AddDrafts(&step, [](Sequence*, size_t) { return std::vector<int32_t>{1, 2}; });
  EXPECT_EQ(WaysOf(step.copies), std::vector<CopyWay>{CopyWay::kToHost});
}

TEST_F(HostBlocksOf, OneOfALowPriorityIsDropped) {
  Scheduler scheduler = Make(2, 2);
  Sequence plain = PromptOf(100, kTokensPerBlock);
  plain.retention.ranges = {{0, kTokensPerBlock, {kDefaultOffloadMinPriority - 1, std::nullopt}}};
  Run(&scheduler, plain);
  EXPECT_TRUE(Run(&scheduler, PromptOf(200, 2 * kTokensPerBlock)).empty());
  Run(&scheduler, PromptOf(100, kTokensPerBlock + 1));
  EXPECT_EQ(reused_tokens_, 0u);
}

KeptBlock BlockOf(uint64_t key, int priority) { return {0, {{key, key}, {}, {}}, {priority, std::nullopt}}; }

TEST(HostBlocks, GivesUpWhatCameFirstAndNothingForALowerPriority) {
  const HostBlocks::Clock::time_point now{};
  HostBlocks host(2, 10);
  EXPECT_EQ(host.Put(BlockOf(1, 9), now), std::nullopt);
  const auto first = host.Put(BlockOf(2, 50), now), second = host.Put(BlockOf(3, 40), now);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(host.Put(BlockOf(4, 39), now), std::nullopt) << "the host has none of so low a priority";
  EXPECT_EQ(host.Put(BlockOf(5, 40), now), second);
  EXPECT_EQ(host.Find({3, 3}), std::nullopt);
  EXPECT_EQ(host.Find({5, 5}), second);
  host.Hold(*second);
  EXPECT_EQ(host.Put(BlockOf(6, 60), now), first) << "the other one is held";
  EXPECT_TRUE(host.Take(*second).content.key == (BlockKey{5, 5}));
  EXPECT_EQ(host.Put(BlockOf(7, 10), now), second);
}

TEST(HostBlocks, KeepsABlockOnceThatWasComputedTwice) {
  const HostBlocks::Clock::time_point now{};
  HostBlocks host(2, 0);
  const auto first = host.Put(BlockOf(1, 50), now);
  host.Put(BlockOf(2, 50), now);
  EXPECT_EQ(host.Put(BlockOf(1, 50), now), std::nullopt);
  host.Put(BlockOf(3, 50), now);
  EXPECT_EQ(host.Find({1, 1}), first) << "it was used last";
}

}  // namespace
}  // namespace embedded
