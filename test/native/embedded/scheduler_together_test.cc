// Sequences that are only planned together, as the beams of a search are.
#include <gtest/gtest.h>

#include <array>

#include "scheduler_steps.h"

namespace embedded {
namespace {

// A first sequence with its prompt, and those to be forked from it.
struct Together {
  explicit Together(int prompt_tokens) {
    sequences[0] = Prompt(prompt_tokens);
    for (Sequence& sequence : sequences) {
      sequence.leader = &sequences[0];
      sequence.restart_length = static_cast<size_t>(prompt_tokens);
      sequence.planned_ahead = false;
      if (&sequence != sequence.leader) sequences[0].forks.push_back(&sequence);
    }
  }
  std::vector<Sequence*> all() { return {&sequences[0], &sequences[1], &sequences[2]}; }

  std::array<Sequence, 3> sequences;
};

// Each gets a token of its own.
void ComputeAll(Together* together) {
  for (Sequence& sequence : together->sequences)
    sequence.AddToken(static_cast<int32_t>(&sequence - together->sequences.data()));
}

Entries OneTokenEach(Together* together) {
  Entries entries;
  for (Sequence* sequence : together->all()) entries.push_back({sequence, 1});
  return entries;
}

TEST(SchedulerTogether, AStepAfterTheirPromptHasATokenForEach) {
  Together beams(4);
  Scheduler scheduler = SchedulerOf({8, 8}, kManyBlocks, {&beams.sequences[0]});
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&beams.sequences[0], 4}}));
  EXPECT_EQ(step.entries[0].draws, 3);
  EXPECT_TRUE(scheduler.PlanStep().entries.empty()) << "their tokens must be known";
  ComputeAll(&beams);
  EXPECT_EQ(Plan(scheduler.PlanStep()), OneTokenEach(&beams));
}

TEST(SchedulerTogether, AllArePreemptedWithOneAndStartAgainFromThePrompt) {
  Together beams(kTokensPerBlock);
  Sequence older = Prompt(2 * kTokensPerBlock - 1);
  Scheduler scheduler = SchedulerOf({128, 8}, 6, {&older, &beams.sequences[0]});
  scheduler.PlanStep();  // two blocks and one
  older.AddToken(1);
  ComputeAll(&beams);
  scheduler.PlanStep();
  EXPECT_EQ(scheduler.blocks().free_blocks(), 0) << "one more for each of the beams";
  older.AddToken(1);
  ComputeAll(&beams);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&older, 1}})) << "which needs a third block";
  EXPECT_EQ(scheduler.preemptions(), 1u);
  EXPECT_EQ(scheduler.running(), std::vector<Sequence*>{&older});
  EXPECT_EQ(scheduler.waiting(), std::vector<Sequence*>{&beams.sequences[0]});
  EXPECT_EQ(beams.sequences[0].tokens, Prompt(kTokensPerBlock).tokens);
  for (Sequence* sequence : beams.all()) EXPECT_TRUE(sequence->block_table.empty());
  scheduler.Remove(&older);
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&beams.sequences[0], kTokensPerBlock}}));
  EXPECT_EQ(step.entries[0].draws, 3);
  ComputeAll(&beams);
  EXPECT_EQ(Plan(scheduler.PlanStep()), OneTokenEach(&beams));
}

TEST(SchedulerTogether, TheyWaitUntilThereIsABlockForEach) {
  Together beams(kTokensPerBlock);
  Sequence older = Prompt(3 * kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 5, {&older, &beams.sequences[0]});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&older, 3 * kTokensPerBlock}})) << "two of three blocks are free";
  scheduler.Remove(&older);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&beams.sequences[0], kTokensPerBlock}}));
}

TEST(SchedulerTogether, OneReplacedByAnotherSharesItsBlocksAndTheFirstToWriteCopies) {
  Together beams(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({128, 8}, kManyBlocks, {&beams.sequences[0]});
  scheduler.PlanStep();
  ComputeAll(&beams);
  scheduler.PlanStep();
  EXPECT_EQ(scheduler.blocks().used_blocks(), 4);
  scheduler.Replace(&beams.sequences[2], beams.sequences[1]);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 3);
  EXPECT_EQ(beams.sequences[2].block_table, beams.sequences[1].block_table);
  EXPECT_EQ(beams.sequences[2].tokens, beams.sequences[1].tokens);
  EXPECT_NE(beams.sequences[2].slot, beams.sequences[1].slot);
  const int shared = beams.sequences[1].block_table[1];
  ComputeAll(&beams);
  const Step step = scheduler.PlanStep();
  ASSERT_EQ(step.copies.size(), 1u);
  EXPECT_EQ(step.copies[0].from, shared);
  EXPECT_EQ(step.copies[0].to, beams.sequences[1].block_table[1]);
  EXPECT_EQ(beams.sequences[2].block_table[1], shared);
  for (Sequence* sequence : beams.all()) scheduler.Remove(sequence);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
}

TEST(SchedulerTogether, OneReplacedLeavesNothingBehindForOthersButItsFullBlocks) {
  Together beams(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({128, 8, true}, kManyBlocks, {&beams.sequences[0]}, {/*reuses_parts=*/true});
  scheduler.PlanStep();
  ComputeAll(&beams);
  scheduler.PlanStep();
  ComputeAll(&beams);
  Sequence other;
  other.tokens = beams.sequences[2].tokens;
  scheduler.Replace(&beams.sequences[2], beams.sequences[1]);
  scheduler.Add(&other);
  scheduler.PlanStep();
  EXPECT_EQ(other.reused_tokens, static_cast<size_t>(kTokensPerBlock));
}

}  // namespace
}  // namespace embedded
