#include "embedded/scheduler.h"

#include <algorithm>

namespace embedded {

Scheduler::Scheduler(SchedulerLimits limits, int kv_blocks) : limits_(limits), blocks_(kv_blocks) {}

void Scheduler::Remove(Sequence* sequence) {
  running_.erase(std::remove(running_.begin(), running_.end(), sequence), running_.end());
  waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), sequence), waiting_.end());
  blocks_.Free(&sequence->block_table);
}

Step Scheduler::PlanStep() {
  Step step;
  size_t budget = static_cast<size_t>(limits_.max_step_tokens);
  const auto schedule = [&](Sequence* sequence) {
    const size_t tokens = std::min(budget, sequence->tokens_to_compute());
    step.push_back({sequence, static_cast<int>(tokens)});
    budget -= tokens;
  };
  // Blocks are taken for all tokens a sequence has, not for its chunk: two prompts half in the cache could each wait
  // for the other's blocks.
  const auto grow = [&](Sequence* sequence) { return blocks_.Grow(&sequence->block_table, sequence->tokens.size()); };
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {            // oldest first
    while (i < running_.size() && !grow(running_[i])) PreemptYoungest();  // at worst running_[i] itself
    if (i < running_.size()) schedule(running_[i]);
  }
  while (budget > 0 && !waiting_.empty() && running_.size() < static_cast<size_t>(limits_.max_sequences)) {
    if (!grow(waiting_.front())) break;  // no shorter prompt overtakes
    running_.push_back(waiting_.front());
    waiting_.pop_front();
    schedule(running_.back());
  }
  return step;
}

void Scheduler::PreemptYoungest() {
  Sequence* youngest = running_.back();
  running_.pop_back();
  blocks_.Free(&youngest->block_table);
  youngest->computed_tokens = 0;
  waiting_.push_front(youngest);
  ++preemptions_;
}

}  // namespace embedded
