// How the scheduler starts a sequence from a block of which only the first tokens match.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "native/embedded/scheduler.h"
#include "scheduler_steps.h"

namespace embedded {
namespace {

constexpr SchedulerLimits kKeeps{512, 8, true};
constexpr BlockPoolOptions kCopies{true, true}, kTakesOver{true, false};

// The first `same` tokens of all prompts are the same, the others only of prompts with the same `own`.
Sequence PromptOf(int same, int own_tokens, int own = 1) {
  Sequence sequence;
  sequence.tokens.resize(static_cast<size_t>(same));
  std::iota(sequence.tokens.begin(), sequence.tokens.end(), 0);
  for (int i = 0; i < own_tokens; ++i) sequence.tokens.push_back(1000 * own + i);
  return sequence;
}

class PartialReuse : public testing::Test {
 protected:
  // Runs the sequence for one step.
  Step Start(Scheduler* scheduler, Sequence* sequence) {
    scheduler->Add(sequence);
    Step step = scheduler->PlanStep();
    Compute(step);
    return step;
  }
  void RunAndEnd(Scheduler* scheduler, Sequence* sequence) {
    Start(scheduler, sequence);
    scheduler->Remove(sequence);
  }
};

TEST_F(PartialReuse, CopiesABlockAndStartsAfterTheTokensThatMatch) {
  Sequence first = PromptOf(kTokensPerBlock + 10, kTokensPerBlock), second = PromptOf(kTokensPerBlock + 10, 5, 2);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kCopies);
  Start(&scheduler, &first);
  const int matching = first.block_table[1];
  scheduler.Remove(&first);
  const Step step = Start(&scheduler, &second);
  ASSERT_EQ(step.copies.size(), 1u);
  EXPECT_EQ(step.copies[0].from, matching);
  EXPECT_EQ(step.copies[0].to, second.block_table[1]);
  EXPECT_NE(step.copies[0].to, matching);
  EXPECT_EQ(step.entries[0].first, kTokensPerBlock + 10u);
  EXPECT_EQ(step.entries[0].tokens, 5);
  EXPECT_EQ(second.reused_tokens, kTokensPerBlock + 10u);
  EXPECT_EQ(second.reused_blocks, 2u);
  EXPECT_EQ(second.missed_blocks, 0u);
}

TEST_F(PartialReuse, CopiesFromASequenceThatStillRuns) {
  Sequence first = PromptOf(10, kTokensPerBlock), second = PromptOf(10, 5, 2);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kCopies);
  Start(&scheduler, &first);
  const Step step = Start(&scheduler, &second);
  ASSERT_EQ(step.copies.size(), 1u);
  EXPECT_EQ(step.copies[0].from, first.block_table[0]);
  EXPECT_EQ(second.reused_tokens, 10u);
}

TEST_F(PartialReuse, ComputesTheLastTokenOfAPromptWhoseBlocksAreAllKept) {
  Sequence first = PromptOf(2 * kTokensPerBlock, 1), second = PromptOf(2 * kTokensPerBlock, 0);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kCopies);
  RunAndEnd(&scheduler, &first);
  const Step step = Start(&scheduler, &second);
  EXPECT_EQ(Plan(step), (Entries{{&second, 1}}));
  EXPECT_EQ(step.copies.size(), 1u) << "it writes its last token, and its first new ones";
}

TEST_F(PartialReuse, WithoutCopyingTakesABlockThatNobodyHoldsAndNoOther) {
  Sequence first = PromptOf(10, kTokensPerBlock), second = PromptOf(10, 5, 2), third = PromptOf(10, 5, 3);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kTakesOver);
  Start(&scheduler, &first);
  const int matching = first.block_table[0];
  Start(&scheduler, &second);
  EXPECT_EQ(second.reused_tokens, 0u);
  scheduler.Remove(&first);
  const Step step = Start(&scheduler, &third);
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(third.block_table[0], matching);
  EXPECT_EQ(third.reused_tokens, 10u);
  Sequence again = PromptOf(10, kTokensPerBlock);
  Start(&scheduler, &again);
  EXPECT_EQ(again.reused_tokens, 0u) << "the block was given up";
}

TEST_F(PartialReuse, GoesOnInTheBlockThatAConversationEndedIn) {
  Sequence first = PromptOf(kTokensPerBlock + 5, 0);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kCopies);
  Start(&scheduler, &first);
  const int last = first.block_table[1];
  Compute(scheduler.PlanStep());
  Sequence next = PromptOf(0, 0);
  next.tokens = first.tokens;  // of which the last is not computed
  next.tokens.push_back(50);
  scheduler.Remove(&first);
  const Step step = Start(&scheduler, &next);
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(next.block_table[1], last);
  EXPECT_EQ(Plan(step), (Entries{{&next, 2}}));
}

TEST_F(PartialReuse, CopiesTheBlockOfAConversationThatGoesOnTwoWays) {
  Sequence first = PromptOf(10, 0), one = PromptOf(5, 3, 1), other = PromptOf(8, 3, 2);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {}, kCopies);
  RunAndEnd(&scheduler, &first);
  Start(&scheduler, &one);
  const Step step = Start(&scheduler, &other);
  EXPECT_EQ(one.reused_tokens, 5u);
  EXPECT_EQ(other.reused_tokens, 8u);
  EXPECT_EQ(step.copies.size(), 1u);
}

TEST_F(PartialReuse, TakesABlockThatItCannotCopyBecauseTheCacheIsFull) {
  Sequence first = PromptOf(10, kTokensPerBlock), second = PromptOf(10, kTokensPerBlock, 2);
  Scheduler scheduler = SchedulerOf(kKeeps, 2, {}, kCopies);
  RunAndEnd(&scheduler, &first);
  const Step step = Start(&scheduler, &second);
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(second.reused_tokens, 10u);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 2);
}

TEST_F(PartialReuse, NeverEvictsTheBlockThatItCopies) {
  Sequence first = PromptOf(10, kTokensPerBlock), other = PromptOf(0, kTokensPerBlock, 2), second = PromptOf(10, 5, 3);
  Scheduler scheduler = SchedulerOf(kKeeps, 2, {}, kCopies);
  RunAndEnd(&scheduler, &first);  // it is the next to be evicted
  RunAndEnd(&scheduler, &other);
  const Step step = Start(&scheduler, &second);
  ASSERT_EQ(step.copies.size(), 1u);
  EXPECT_NE(step.copies[0].from, step.copies[0].to);
}

TEST_F(PartialReuse, IsOffWhereItIsNotWanted) {
  Sequence first = PromptOf(10, kTokensPerBlock), second = PromptOf(10, 5, 2);
  Scheduler scheduler = SchedulerOf(kKeeps, kManyBlocks, {});
  RunAndEnd(&scheduler, &first);
  Start(&scheduler, &second);
  EXPECT_EQ(second.reused_tokens, 0u);
}

}  // namespace
}  // namespace embedded
