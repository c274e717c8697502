// What a long prompt costs the sequences beside it.
#include <gtest/gtest.h>

#include "scheduler_steps.h"

namespace embedded {
namespace {

constexpr int kBudget = 512, kLongPrompt = 30'000;

TEST(SchedulerFairness, RunningSequencesGetATokenInEveryStepWhileALongPromptIsComputed) {
  Sequence running[3] = {Prompt(4), Prompt(4), Prompt(4)}, long_prompt = Prompt(kLongPrompt);
  Scheduler scheduler = SchedulerOf({kBudget, 8}, kManyBlocks, {&running[0], &running[1], &running[2]});
  Compute(scheduler.PlanStep());
  scheduler.Add(&long_prompt);
  int steps = 0;
  for (bool is_done = false; !is_done; ++steps) {
    const Step step = scheduler.PlanStep();
    ASSERT_EQ(step.entries.size(), 4u);
    int tokens = 0;
    for (const StepEntry& entry : step.entries) {
      tokens += entry.tokens;
      if (entry.sequence == &long_prompt) {
        is_done = entry.draws > 0;
      } else {
        EXPECT_EQ(entry.tokens, 1);
        EXPECT_EQ(entry.draws, 1);
      }
    }
    EXPECT_LE(tokens, kBudget);
    Compute(step);
  }
  EXPECT_EQ(steps, (kLongPrompt + kBudget - 3 - 1) / (kBudget - 3)) << "the prompt has all that the others leave";
}

TEST(SchedulerFairness, APromptStartsInTheStepThatEndsTheOneBeforeItHoweverShortItIs) {
  Sequence long_prompt = Prompt(kLongPrompt), short_prompt = Prompt(8);
  Scheduler scheduler = SchedulerOf({kBudget, 8}, kManyBlocks, {&long_prompt});
  Compute(scheduler.PlanStep());
  scheduler.Add(&short_prompt);
  for (int step = 1; step < kLongPrompt / kBudget; ++step)
    EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&long_prompt, kBudget}})) << step;
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&long_prompt, kLongPrompt % kBudget}, {&short_prompt, 8}}));
}

}  // namespace
}  // namespace embedded
