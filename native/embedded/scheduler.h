// Which sequences advance in a step, and by how many tokens. Pure logic: no threads, no model.
#ifndef EMBEDDED_SCHEDULER_H_
#define EMBEDDED_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "embedded/kv_cache.h"

namespace embedded {

struct Sequence {
  std::vector<int32_t> tokens;   // the prompt, then what was generated
  std::vector<int> block_table;  // KV blocks, in order
  size_t computed_tokens = 0;    // leading tokens whose keys and values are in the blocks

  size_t tokens_to_compute() const { return tokens.size() - computed_tokens; }
};

struct StepEntry {
  Sequence* sequence;
  int tokens;  // from computed_tokens on
  // The sequence's last token is among them, so its logits give the next one.
  bool completes() const { return static_cast<size_t>(tokens) == sequence->tokens_to_compute(); }
};
using Step = std::vector<StepEntry>;

struct SchedulerLimits {
  int max_step_tokens;  // at least max_sequences, so that every sequence in decode advances in every step
  int max_sequences;    // in one step
};

// Sequences are borrowed from Add until Remove. First come, first served: those in decode are older than the one in
// prefill, so they go first by themselves.
class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, int kv_blocks);

  // The sequence may never outgrow the whole cache: then no step is empty while one is left.
  void Add(Sequence* sequence) { waiting_.push_back(sequence); }
  // Gives its blocks back, wherever it is.
  void Remove(Sequence* sequence);
  // A step is one token for each sequence in decode and a chunk of the prompt for those in prefill. When blocks run out
  // the youngest gives its blocks back, waits, and is computed again later.
  Step PlanStep();

  const std::vector<Sequence*>& running() const { return running_; }
  const std::deque<Sequence*>& waiting() const { return waiting_; }
  const BlockPool& blocks() const { return blocks_; }
  uint64_t preemptions() const { return preemptions_; }

 private:
  void PreemptYoungest();

  SchedulerLimits limits_;
  BlockPool blocks_;
  std::vector<Sequence*> running_;  // oldest first
  std::deque<Sequence*> waiting_;
  uint64_t preemptions_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_SCHEDULER_H_
