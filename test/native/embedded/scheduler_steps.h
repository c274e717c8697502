// What tests of the scheduler plan and compute.
#ifndef TEST_EMBEDDED_SCHEDULER_STEPS_H_
#define TEST_EMBEDDED_SCHEDULER_STEPS_H_

#include <utility>
#include <vector>

#include "native/embedded/scheduler.h"

namespace embedded {

constexpr int kManyBlocks = 1000;
constexpr int kTokensPerBlock = 32;

inline Sequence Prompt(int tokens) {
  Sequence sequence;
  sequence.tokens.assign(static_cast<size_t>(tokens), 1);
  return sequence;
}

inline Scheduler SchedulerOf(SchedulerLimits limits, int kv_blocks, const std::vector<Sequence*>& sequences,
                             BlockPoolOptions pool = {}) {
  Scheduler scheduler(limits, BlockPool(kv_blocks, kTokensPerBlock, pool));
  for (Sequence* sequence : sequences) scheduler.Add(sequence);
  return scheduler;
}

// What the model would do: each sequence whose tokens are all computed gets another.
inline void Compute(const Step& step) {
  for (const StepEntry& entry : step.entries)
    if (entry.draws > 0) entry.sequence->AddToken(2);
}

// The step that completes a sequence with these forks.
inline void ComputeAndFork(const Step& step, const std::vector<Sequence*>& forks) {
  Compute(step);
  for (Sequence* fork : forks) fork->AddToken(3);
}

inline std::vector<std::pair<Sequence*, int>> Plan(const Step& step) {
  std::vector<std::pair<Sequence*, int>> plan;
  for (const StepEntry& entry : step.entries) plan.push_back({entry.sequence, entry.tokens});
  return plan;
}
using Entries = std::vector<std::pair<Sequence*, int>>;

}  // namespace embedded

#endif  // TEST_EMBEDDED_SCHEDULER_STEPS_H_
