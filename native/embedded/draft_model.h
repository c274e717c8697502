// A second, smaller model that drafts for the sequences of the executor's own.
#ifndef EMBEDDED_DRAFT_MODEL_H_
#define EMBEDDED_DRAFT_MODEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "native/embedded/kv_blocks.h"
#include "native/embedded/limits.h"
#include "native/embedded/model_runner.h"
#include "native/embedded/request.h"

namespace embedded {

// Each sequence that it drafts for has one of its own, of the same tokens: its runner computes those that are new, and then
// draws the likeliest token time after time. What of its drafts did not come true is computed again as what came instead. It
// promises no drafts: a sequence that its blocks have no room for, or that is longer than it reaches, gets none and does
// without for some steps.
//
// For one thread, the one that changes the sequences.
class DraftModel {
 public:
  struct Wish {
    RequestSequence* sequence;  // all of whose tokens are known, and which takes drafts
    size_t tokens;              // drafts, at most; at least 1
  };

  // Within `limits`, which are its own: those of the sequences that it drafts for may be wider.
  DraftModel(std::unique_ptr<ModelRunner> runner, const Limits& limits, int vocab_size);

  const RunnerInfo& info() const { return runner_->info(); }

  // Takes over what is new of these sequences, and frees what it has for those that have ended or lost their blocks. The
  // executor's lock is held: other threads may end a sequence.
  void Begin(const std::vector<Wish>& wishes);

  // Computes the drafts, each sequence's in turn beside those of the others. A prompt that is new is computed over as many
  // calls as its tokens take, within one step's tokens each. Stops when `abandon` becomes true. Throws as ModelRunner does.
  void Compute(const std::atomic<bool>& abandon);

  // What the last two calls drafted for the sequence.
  std::vector<int32_t> DraftsOf(const Sequence* sequence) const;

 private:
  struct Drafted {
    std::weak_ptr<Request> request;  // whose sequence it drafts for
    std::shared_ptr<Request> own;    // of one sequence: what the runner computes
    size_t known = 0;                // leading tokens of its own that are the other's
    size_t wanted = 0;               // drafts, this time
    size_t submitted = 0;            // draws, this time
    bool has_unknown_token = false;  // that is not in the draft model's vocabulary

    RequestSequence& sequence() const { return own->sequences.front(); }
  };

  void FreeEnded();
  // False if there is no room.
  bool TakeOver(const Wish& wish, Drafted* drafted);
  bool TakeBlocks(RequestSequence* sequence, size_t tokens);
  void Free(RequestSequence* own);
  // False where the step was abandoned.
  bool Collect();

  std::unique_ptr<ModelRunner> runner_;
  size_t max_step_tokens_;
  size_t max_seq_len_;
  int vocab_size_;
  bool keeps_blocks_;
  BlockPool blocks_;
  std::map<const Sequence*, Drafted> drafted_;   // by the sequence that it drafts for
  std::vector<Drafted*> wished_;                 // by the last Begin
  std::deque<std::vector<Drafted*>> in_flight_;  // steps: of their entries, those that draw, else null
};

}  // namespace embedded

#endif  // EMBEDDED_DRAFT_MODEL_H_
