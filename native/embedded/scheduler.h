// Which sequences advance in a step, and by how many tokens. Pure logic: no threads, no model.
#ifndef EMBEDDED_SCHEDULER_H_
#define EMBEDDED_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "native/embedded/block_key.h"
#include "native/embedded/kv_blocks.h"
#include "native/embedded/retention.h"

namespace embedded {

constexpr int kNoSlot = -1;
constexpr float kDefaultRequestPriority = 0.5f;

struct Sequence {
  std::vector<int32_t> tokens;   // the prompt, then what was generated, as far as it is known
  size_t pending_tokens = 0;     // drawn by planned steps whose results are not known yet; they follow `tokens`
  size_t computed_tokens = 0;    // leading tokens whose keys and values are in the blocks after the planned steps
  std::vector<int> block_table;  // KV blocks, in order
  size_t allocated_blocks = 0;   // taken from the pool so far, those given back included
  BlockKey root_key = RootKey();
  std::optional<uint64_t> lora_id;
  std::vector<BlockKey> keys;  // of the blocks that `tokens` fill, as far as the scheduler needed them
  size_t kept_blocks = 0;      // leading blocks of the table that were offered to others
  RetentionPlan retention;
  size_t most_kept_tokens = std::numeric_limits<size_t>::max();  // leading ones that kept blocks may stand for
  bool has_started = false;
  size_t reused_tokens = 0;      // found in the cache when it first ran
  size_t reused_blocks = 0;      // likewise, with one that only begins alike
  size_t missed_blocks = 0;      // that were not
  std::vector<Sequence*> forks;  // forked from it once its prompt is computed; until then each has a slot kept
  // Of sequences that are only planned together, the one that the others were forked from; null: it goes alone. Where they
  // are preempted, all are, and start again from its first restart_length tokens.
  Sequence* leader = nullptr;
  size_t restart_length = std::numeric_limits<size_t>::max();
  int slot = kNoSlot;                                      // while it runs: a number of its own, below max_sequences
  size_t max_length = std::numeric_limits<size_t>::max();  // tokens, at which it ends
  float priority = kDefaultRequestPriority;                // of those that wait, the highest runs first
  bool draws = true;                                       // else it ends when its prompt is computed
  bool planned_ahead = true;                               // its next step may be planned while tokens are pending
  bool has_unverified_drafts = false;  // in a planned step, so that it is not known how many tokens are pending
  std::optional<std::list<Sequence*>::iterator> waits_at;  // while it waits: its place, which the scheduler keeps

  size_t length() const { return tokens.size() + pending_tokens; }
  size_t tokens_to_compute() const { return length() - computed_tokens; }
  // The oldest pending token became known.
  void AddToken(int32_t token) {
    tokens.push_back(token);
    --pending_tokens;
  }
  // The oldest pending token is the draft that a planned step computed after it: one more is drawn from that.
  void AcceptDraft() {
    ++pending_tokens;
    if (!waits_at) ++computed_tokens;  // else it was preempted since
  }
};

// Adds the keys of the blocks that its tokens fill and that have none yet.
void ExtendKeys(Sequence* sequence, size_t tokens_per_block);
// Offers the blocks that planned steps fill with known tokens to sequences that begin alike.
void KeepWritten(Sequence* sequence, BlockPool* blocks);

struct StepEntry {
  Sequence* sequence;
  size_t first;  // position of the first token to compute
  int tokens;
  // Sequences that a token is drawn for from the last one's logits: the sequence itself and those forked from it, which
  // follow it by index. 0 in the middle of a prompt, and where none is drawn.
  int draws;
  // Computed after the last token, with a draw for the sequence after each. They are not the sequence's tokens: it is not
  // known whether they will be.
  std::vector<int32_t> drafts = {};

  int rows() const { return tokens + static_cast<int>(drafts.size()); }
};
// Its sequence is in decode and all its tokens are known.
bool TakesDrafts(const StepEntry& entry);
struct Step {
  std::vector<StepEntry> entries;
  std::vector<BlockCopy> copies;  // to be made in this order before the entries
};

struct SchedulerLimits {
  int max_step_tokens;        // at least max_sequences, so that every sequence in decode advances in every step
  int max_sequences;          // that run, forks to come counted
  bool keeps_blocks = false;  // for sequences that start with the same tokens
  int max_draws = 0;          // of a step with drafts, an entry without a draw counted as one
};

// Plans step after step, also while earlier ones still run: they are computed in the order they were planned, so blocks
// that one step gives up may be written by the next. Sequences are borrowed from Add until Remove, their forks from the
// step that draws their first token. First come, first served among those of one priority; those in decode are older than
// the one in prefill, so they go first by themselves.
class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, BlockPool blocks);

  // The sequence may never outgrow the whole cache, nor it and its forks max_sequences: then no step is empty while one
  // is left that has no pending token.
  void Add(Sequence* sequence);
  // Gives its blocks back, wherever it is. One that waits costs the same however many others do.
  void Remove(Sequence* sequence);
  // A running sequence goes on as another one, whose blocks it shares from now on. Neither is part of a step in flight.
  void Replace(Sequence* sequence, const Sequence& by);
  // A step is one token for each sequence in decode and a chunk of the prompt for those in prefill. When blocks run out
  // the youngest of the lowest priority gives its blocks back, waits, and is computed again later, but for what is still kept of it.
  Step PlanStep();
  // Gives the step's sequences in decode the drafts that `propose` names, at most so many, within what the step has left
  // of its limits and of the free blocks: nobody waits for a draft.
  void AddDrafts(Step* step, const std::function<std::vector<int32_t>(Sequence*, size_t most)>& propose);

  // How many drafts the step has left of its limits.
  int RoomForDrafts(const Step& step) const;

  // Of max_sequences: those of the running sequences and those kept for their forks.
  size_t TakenSlots() const;
  const std::vector<Sequence*>& running() const { return running_; }
  // In the order in which they will run.
  std::vector<Sequence*> waiting() const;
  const BlockPool& blocks() const { return blocks_; }
  uint64_t preemptions() const { return preemptions_; }
  // Sums over all sequences that ever ran.
  uint64_t reused_blocks() const { return reused_blocks_; }
  uint64_t missed_blocks() const { return missed_blocks_; }

 private:
  bool TakeBlocks(Sequence* sequence);
  bool TakeFirstBlocks(Sequence* sequence);
  void KeepWritten(Sequence* sequence);
  void KeepEnd(Sequence* sequence);
  void GiveBlocksBack(Sequence* sequence);
  size_t CountTogether(size_t first) const;
  void PreemptFrom(size_t first);
  void LeaveQueue(Sequence* sequence);
  void Fork(Sequence* sequence);
  void CopyProgress(const Sequence& from, Sequence* to);
  void TakeSlot(Sequence* sequence);
  void GiveSlotBack(Sequence* sequence);

  SchedulerLimits limits_;
  BlockPool blocks_;
  std::vector<int> free_slots_;
  std::vector<Sequence*> running_;                                 // oldest first, sequences of one fork side by side
  std::map<float, std::list<Sequence*>, std::greater<>> waiting_;  // by priority; no list is empty
  uint64_t preemptions_ = 0;
  uint64_t reused_blocks_ = 0;
  uint64_t missed_blocks_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_SCHEDULER_H_
