#include "embedded/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace embedded {
namespace {

constexpr int kManyBlocks = 1000;

Sequence Prompt(int tokens) {
  Sequence sequence;
  sequence.tokens.assign(static_cast<size_t>(tokens), 1);
  return sequence;
}

Scheduler SchedulerOf(SchedulerLimits limits, int kv_blocks, const std::vector<Sequence*>& sequences) {
  Scheduler scheduler(limits, kv_blocks);
  for (Sequence* sequence : sequences) scheduler.Add(sequence);
  return scheduler;
}

// What the model would do: each sequence whose tokens are all computed gets another.
void Compute(const Step& step) {
  for (const StepEntry& entry : step) {
    const bool completes = entry.completes();
    entry.sequence->computed_tokens += static_cast<size_t>(entry.tokens);
    if (completes) entry.sequence->tokens.push_back(2);
  }
}

std::vector<std::pair<Sequence*, int>> Plan(const Step& step) {
  std::vector<std::pair<Sequence*, int>> plan;
  for (const StepEntry& entry : step) plan.push_back({entry.sequence, entry.tokens});
  return plan;
}
using Entries = std::vector<std::pair<Sequence*, int>>;

TEST(Scheduler, AStepWithoutSequencesIsEmpty) { EXPECT_TRUE(Scheduler({16, 4}, kManyBlocks).PlanStep().empty()); }

TEST(Scheduler, ALongPromptIsComputedInChunksOfTheBudget) {
  Sequence sequence = Prompt(40);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&sequence});
  for (const int tokens : {16, 16, 8, 1, 1}) {
    const Step step = scheduler.PlanStep();
    EXPECT_EQ(Plan(step), (Entries{{&sequence, tokens}}));
    EXPECT_EQ(step[0].completes(), tokens < 16);
    Compute(step);
  }
}

TEST(Scheduler, SequencesInDecodeComeBeforeANewPrompt) {
  Sequence first = Prompt(4), second = Prompt(30);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, 15}}));
}

TEST(Scheduler, WhatOnePromptLeavesOfTheBudgetGoesToTheNext) {
  Sequence first = Prompt(10), second = Prompt(10);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &second});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 10}, {&second, 6}}));
}

TEST(Scheduler, NoMoreSequencesRunThanAllowed) {
  Sequence first = Prompt(2), second = Prompt(2), third = Prompt(2);
  Scheduler scheduler = SchedulerOf({16, 2}, kManyBlocks, {&first, &second, &third});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 2}, {&second, 2}}));
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, 2}, {&third, 2}}));
}

TEST(Scheduler, NoShorterPromptOvertakesOneThatWaitsForBlocks) {
  Sequence running = Prompt(2 * kTokensPerBlock), large = Prompt(3 * kTokensPerBlock), small = Prompt(1);
  Scheduler scheduler = SchedulerOf({512, 8}, 4, {&running, &large, &small});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&running, 2 * kTokensPerBlock}}));
  EXPECT_EQ(scheduler.waiting().front(), &large);
  scheduler.Remove(&running);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&large, 3 * kTokensPerBlock}, {&small, 1}}));
}

TEST(Scheduler, PreemptsTheYoungestSequenceWhenKvBlocksRunOut) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&oldest, &youngest});
  Compute(scheduler.PlanStep());  // both prefill, and every block is taken
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&oldest, 1}}));
  EXPECT_TRUE(youngest.block_table.empty()) << "a preempted sequence gives its blocks back";
  EXPECT_EQ(youngest.computed_tokens, 0u);
  EXPECT_EQ(scheduler.preemptions(), 1u);
}

TEST(Scheduler, APreemptedSequenceIsComputedAgainWithWhatItHadGenerated) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 3, {&oldest, &youngest});
  Compute(scheduler.PlanStep());
  Compute(scheduler.PlanStep());  // the oldest takes the third block
  scheduler.Remove(&oldest);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&youngest, kTokensPerBlock + 1}}));
}

TEST(Scheduler, APreemptedSequenceComesBeforeThoseThatNeverRan) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock), late = Prompt(1);
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&oldest, &youngest});
  Compute(scheduler.PlanStep());
  scheduler.Add(&late);
  Compute(scheduler.PlanStep());
  ASSERT_EQ(scheduler.waiting().size(), 2u);
  EXPECT_EQ(scheduler.waiting()[0], &youngest);
  EXPECT_EQ(scheduler.waiting()[1], &late);
}

TEST(Scheduler, RemoveGivesTheBlocksBackWhereverTheSequenceIs) {
  Sequence running = Prompt(100), waiting = Prompt(100);
  Scheduler scheduler = SchedulerOf({512, 1}, kManyBlocks, {&running, &waiting});
  Compute(scheduler.PlanStep());
  EXPECT_EQ(scheduler.blocks().used_blocks(), 4);
  scheduler.Remove(&waiting);
  scheduler.Remove(&running);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
  EXPECT_TRUE(scheduler.PlanStep().empty());
}

// Every plan keeps what the header promises, for sequences that come and go at random over a cache that is too small.
TEST(Scheduler, RandomLoadNeverBreaksAnInvariantAndAlwaysEnds) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const SchedulerLimits limits{static_cast<int>(4 + random() % 60), static_cast<int>(1 + random() % 4)};
    const int blocks = static_cast<int>(4 + random() % 8);
    Scheduler scheduler(limits, blocks);
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<size_t> ends;
    for (int i = 0; i < 12; ++i) {
      sequences.push_back(std::make_unique<Sequence>(Prompt(static_cast<int>(1 + random() % 60))));
      ends.push_back(sequences.back()->tokens.size() + 1 + random() % 60);
      scheduler.Add(sequences.back().get());
    }
    size_t left = sequences.size();
    for (int steps = 0; left > 0; ++steps) {
      ASSERT_LT(steps, 10000) << "no progress, seed " << seed;
      const Step step = scheduler.PlanStep();
      ASSERT_FALSE(step.empty());
      int tokens = 0;
      std::set<int> used;
      for (const StepEntry& entry : step) {
        ASSERT_GT(entry.tokens, 0);
        tokens += entry.tokens;
        ASSERT_GE(entry.sequence->block_table.size() * kTokensPerBlock, entry.sequence->computed_tokens + entry.tokens);
        for (const int block : entry.sequence->block_table) ASSERT_TRUE(used.insert(block).second) << "a shared block";
      }
      ASSERT_LE(tokens, limits.max_step_tokens);
      ASSERT_LE(step.size(), static_cast<size_t>(limits.max_sequences));
      ASSERT_LE(scheduler.blocks().used_blocks(), blocks);
      Compute(step);
      for (size_t i = 0; i < sequences.size(); ++i)
        if (sequences[i] && (sequences[i]->tokens.size() >= ends[i] || random() % 200 == 0)) {
          scheduler.Remove(sequences[i].get());
          sequences[i].reset();
          --left;
        }
    }
    EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
  }
}

}  // namespace
}  // namespace embedded
