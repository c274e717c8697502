// How the scheduler shares KV blocks between sequences that start with the same tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "native/embedded/scheduler.h"
#include "scheduler_steps.h"

namespace embedded {
namespace {

Sequence PromptOf(std::vector<int32_t> tokens) {
  Sequence sequence;
  sequence.tokens = std::move(tokens);
  return sequence;
}

// `tokens` numbers from `first` on.
std::vector<int32_t> Numbers(int tokens, int first = 0) {
  std::vector<int32_t> numbers(static_cast<size_t>(tokens));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

constexpr SchedulerLimits kKeeps{512, 8, true};

TEST(SchedulerThatKeepsBlocks, StartsAfterTheBlocksThatAnEarlierSequenceHad) {
  Sequence first = PromptOf(Numbers(3 * kTokensPerBlock + 5)), second = PromptOf(Numbers(3 * kTokensPerBlock));
  second.tokens.push_back(7);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  const std::vector<int> table = first.block_table;
  scheduler.Remove(&first);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
  scheduler.Add(&second);
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&second, 1}}));
  EXPECT_EQ(step.entries[0].first, 3u * kTokensPerBlock);
  EXPECT_TRUE(std::equal(table.begin(), table.begin() + 3, second.block_table.begin()));
  EXPECT_EQ(second.reused_blocks, 3u);
  EXPECT_EQ(second.missed_blocks, 1u);
  EXPECT_EQ(scheduler.reused_blocks(), 3u);
  EXPECT_EQ(scheduler.missed_blocks(), 4u + 1);
}

TEST(SchedulerThatKeepsBlocks, SharesTheBlocksOfASequenceThatStillRuns) {
  Sequence first = PromptOf(Numbers(2 * kTokensPerBlock + 1)), second = PromptOf(Numbers(2 * kTokensPerBlock + 1));
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, 1}}));
  EXPECT_EQ(scheduler.blocks().used_blocks(), 2 + 2);
}

TEST(SchedulerThatKeepsBlocks, ComputesWhatTwoHaveInCommonTwiceWithinOneStep) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock + 1)), second = PromptOf(Numbers(kTokensPerBlock + 1));
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first, &second});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, kTokensPerBlock + 1}, {&second, kTokensPerBlock + 1}}));
}

TEST(SchedulerThatKeepsBlocks, AlwaysComputesTheLastToken) {
  Sequence first = PromptOf(Numbers(2 * kTokensPerBlock)), second = PromptOf(Numbers(2 * kTokensPerBlock));
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, kTokensPerBlock}}));
}

TEST(SchedulerThatKeepsBlocks, KeepsWhatWasGeneratedOnceItIsKnown) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock - 2));
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  for (int token = 0; token < 4; ++token) Compute(scheduler.PlanStep());
  std::vector<int32_t> conversation = first.tokens;
  scheduler.Remove(&first);
  Sequence next = PromptOf(conversation);
  scheduler.Add(&next);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&next, 2}}));
}

TEST(SchedulerThatKeepsBlocks, NeverKeepsATokenThatIsNotKnown) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock - 1));
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  scheduler.PlanStep();
  scheduler.PlanStep();  // fills the block with a token that the first step draws
  ASSERT_EQ(first.computed_tokens, static_cast<size_t>(kTokensPerBlock));
  scheduler.Remove(&first);
  std::vector<int32_t> tokens = Numbers(kTokensPerBlock - 1);
  tokens.insert(tokens.end(), {2, 5});
  Sequence second = PromptOf(tokens);
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, kTokensPerBlock + 1}}));
}

TEST(SchedulerThatKeepsBlocks, ASaltSeparates) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock + 1)), other = first, same = first;
  first.root_key = same.root_key = RootKey(1);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Remove(&first);
  scheduler.Add(&other);
  scheduler.Add(&same);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&other, kTokensPerBlock + 1}, {&same, 1}}));
}

TEST(SchedulerThatKeepsBlocks, APreemptedSequenceStartsFromWhatIsLeftOfIt) {
  Sequence oldest = PromptOf(Numbers(kTokensPerBlock, 1000)), youngest = PromptOf(Numbers(2 * kTokensPerBlock + 1));
  Scheduler scheduler = SchedulerOf(kKeeps, 4, {&oldest, &youngest});
  Compute(scheduler.PlanStep());
  Compute(scheduler.PlanStep());  // the oldest takes a block: the last of the youngest, which is not full
  EXPECT_EQ(scheduler.preemptions(), 1u);
  scheduler.Remove(&oldest);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&youngest, 2}}));
  EXPECT_EQ(youngest.reused_blocks, 0u) << "counted when it started";
}

TEST(SchedulerThatKeepsBlocks, AForkThatIsPreemptedCountsNoPromptOnceMore) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock)), fork;
  first.forks = {&fork};
  Scheduler scheduler = SchedulerOf(kKeeps, 2, {&first});
  ComputeAndFork(scheduler.PlanStep(), {&fork});
  Compute(scheduler.PlanStep());
  ASSERT_EQ(scheduler.preemptions(), 1u) << "there is one block for the next token of both";
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&fork, 1}}));
  EXPECT_EQ(scheduler.reused_blocks(), 0u);
  EXPECT_EQ(scheduler.missed_blocks(), 1u);
}

TEST(SchedulerThatKeepsBlocks, ComputesAllOfASequenceThatAsksForIt) {
  Sequence first = PromptOf(Numbers(kTokensPerBlock + 1)), second = first;
  second.most_kept_tokens = 0;
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, kTokensPerBlock + 1}}));
}

TEST(SchedulerThatKeepsBlocks, KeptBlocksStandForNoMoreThanASequenceAllows) {
  Sequence first = PromptOf(Numbers(3 * kTokensPerBlock + 1)), second = first;
  second.most_kept_tokens = 2 * kTokensPerBlock - 1;
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, 2 * kTokensPerBlock + 1}}));
  EXPECT_EQ(second.reused_blocks, 1u);
}

TEST(SchedulerThatKeepsBlocks, GivesUpWhatHasTheLowestPriority) {
  const auto run = [](Scheduler* scheduler, Sequence* sequence) {
    scheduler->Add(sequence);
    Compute(scheduler->PlanStep());
    scheduler->Remove(sequence);
  };
  Sequence precious = PromptOf(Numbers(kTokensPerBlock, 100)), plain = PromptOf(Numbers(kTokensPerBlock, 200));
  precious.retention.ranges = {{0, kTokensPerBlock, {80, std::nullopt}}};
  Scheduler scheduler = SchedulerOf(kKeeps, 3, {});
  run(&scheduler, &precious);
  run(&scheduler, &plain);
  Sequence large = PromptOf(Numbers(2 * kTokensPerBlock, 300));  // needs the block that is free and one that is kept
  run(&scheduler, &large);
  Sequence precious_again = PromptOf(Numbers(kTokensPerBlock + 1, 100));
  run(&scheduler, &precious_again);
  EXPECT_EQ(precious_again.reused_blocks, 1u);
  Sequence plain_again = PromptOf(Numbers(kTokensPerBlock + 1, 200));
  run(&scheduler, &plain_again);
  EXPECT_EQ(plain_again.reused_blocks, 0u);
}

}  // namespace
}  // namespace embedded
