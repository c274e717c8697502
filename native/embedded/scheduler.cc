#include "native/embedded/scheduler.h"

#include <algorithm>

namespace embedded {

Scheduler::Scheduler(SchedulerLimits limits, int kv_blocks) : limits_(limits), blocks_(kv_blocks) {}

void Scheduler::Remove(Sequence* sequence) {
  running_.erase(std::remove(running_.begin(), running_.end(), sequence), running_.end());
  waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), sequence), waiting_.end());
  blocks_.Free(&sequence->block_table);
}

void Scheduler::Fork(Sequence* sequence, const std::vector<Sequence*>& forks) {
  for (Sequence* fork : forks) {
    fork->tokens = sequence->tokens;
    fork->computed_tokens = sequence->computed_tokens;
    fork->block_table = blocks_.Share(sequence->block_table);
  }
  running_.insert(std::find(running_.begin(), running_.end(), sequence) + 1, forks.begin(), forks.end());
  sequence->forks = 0;
}

Step Scheduler::PlanStep() {
  Step step;
  size_t budget = static_cast<size_t>(limits_.max_step_tokens);
  const auto schedule = [&](Sequence* sequence) {
    const size_t tokens = std::min(budget, sequence->tokens_to_compute());
    step.entries.push_back({sequence, static_cast<int>(tokens)});
    budget -= tokens;
  };
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {                                // oldest first
    while (i < running_.size() && !TakeBlocks(running_[i], &step.copies)) PreemptYoungest();  // at worst running_[i]
    if (i < running_.size()) schedule(running_[i]);
  }
  size_t slots = static_cast<size_t>(limits_.max_sequences) - TakenSlots();
  while (budget > 0 && !waiting_.empty() && waiting_.front()->forks + 1 <= slots) {
    Sequence* const next = waiting_.front();
    if (!TakeBlocks(next, &step.copies)) break;  // no shorter prompt overtakes
    slots -= next->forks + 1;
    running_.push_back(next);
    waiting_.pop_front();
    schedule(next);
  }
  return step;
}

size_t Scheduler::TakenSlots() const {
  size_t slots = 0;
  for (const Sequence* sequence : running_) slots += 1 + sequence->forks;
  return slots;
}

// Blocks for all tokens the sequence has, not for its chunk: two prompts half in the cache could each wait for the
// other's blocks. False if too few are free.
bool Scheduler::TakeBlocks(Sequence* sequence, std::vector<BlockCopy>* copies) {
  const uint64_t allocations = blocks_.allocations();
  const size_t written = sequence->computed_tokens / kTokensPerBlock;  // from here on; only this one can be shared
  if (written < sequence->block_table.size()) {
    int& block = sequence->block_table[written];
    if (const int from = block; blocks_.shared(from)) {
      if (!blocks_.Unshare(&block)) return false;
      copies->push_back({from, block});
    }
  }
  const bool enough = blocks_.Grow(&sequence->block_table, sequence->tokens.size());
  sequence->allocated_blocks += blocks_.allocations() - allocations;
  return enough;
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
