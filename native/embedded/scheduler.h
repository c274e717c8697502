// Which sequences advance in a step, and by how many tokens. Pure logic: no threads, no model.
#ifndef EMBEDDED_SCHEDULER_H_
#define EMBEDDED_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "native/embedded/kv_cache.h"

namespace embedded {

struct Sequence {
  std::vector<int32_t> tokens;   // the prompt, then what was generated
  std::vector<int> block_table;  // KV blocks, in order
  size_t computed_tokens = 0;    // leading tokens whose keys and values are in the blocks
  size_t allocated_blocks = 0;   // taken from the pool so far, those given back included
  size_t forks = 0;              // sequences still to be forked from it; while it runs, each has a slot kept

  size_t tokens_to_compute() const { return tokens.size() - computed_tokens; }
};

struct StepEntry {
  Sequence* sequence;
  int tokens;  // from computed_tokens on
  // The sequence's last token is among them, so its logits give the next one.
  bool completes() const { return static_cast<size_t>(tokens) == sequence->tokens_to_compute(); }
};
// What a block holds is copied, because a sequence is about to write to it and others hold it too.
struct BlockCopy {
  int from;
  int to;
};
struct Step {
  std::vector<StepEntry> entries;
  std::vector<BlockCopy> copies;  // to be made in this order before the entries: a later one may reuse a block
};

struct SchedulerLimits {
  int max_step_tokens;  // at least max_sequences, so that every sequence in decode advances in every step
  int max_sequences;    // that run, forks to come counted
};

// Sequences are borrowed from Add or Fork until Remove. First come, first served: those in decode are older than the
// one in prefill, so they go first by themselves.
class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, int kv_blocks);

  // The sequence may never outgrow the whole cache, nor it and its forks max_sequences: then no step is empty while one
  // is left.
  void Add(Sequence* sequence) { waiting_.push_back(sequence); }
  // The sequence's forks, as many as it said, run beside it from now on, with its tokens and sharing its blocks. It
  // runs, and all its tokens are computed.
  void Fork(Sequence* sequence, const std::vector<Sequence*>& forks);
  // Gives its blocks back, wherever it is.
  void Remove(Sequence* sequence);
  // A step is one token for each sequence in decode and a chunk of the prompt for those in prefill. When blocks run out
  // the youngest gives its blocks back, waits, and is computed again later, sharing nothing.
  Step PlanStep();

  // Of max_sequences: those of the running sequences and those kept for their forks.
  size_t TakenSlots() const;
  const std::vector<Sequence*>& running() const { return running_; }
  const std::deque<Sequence*>& waiting() const { return waiting_; }
  const BlockPool& blocks() const { return blocks_; }
  uint64_t preemptions() const { return preemptions_; }

 private:
  bool TakeBlocks(Sequence* sequence, std::vector<BlockCopy>* copies);
  void PreemptYoungest();

  SchedulerLimits limits_;
  BlockPool blocks_;
  std::vector<Sequence*> running_;  // oldest first, sequences of one fork side by side
  std::deque<Sequence*> waiting_;
  uint64_t preemptions_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_SCHEDULER_H_
