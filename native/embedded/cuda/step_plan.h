// How the rows of a step lie on the GPU. Host logic alone, so that it is tested without one.
//
// Entries of one token come first ("decode rows", whatever they are of the prompt), then those of several. An entry's
// drafts are decode rows of their own: each has a context one token longer than the row before it. A step of
// decode rows alone is padded to one of few sizes, so that CUDA graphs can be kept of each; another one to a multiple
// that keeps the number of different matrix products small.
#ifndef EMBEDDED_CUDA_STEP_PLAN_H_
#define EMBEDDED_CUDA_STEP_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/embedded/cuda/prefill_attention.h"
#include "native/embedded/cuda/step_arrays.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"

namespace embedded::cuda {

constexpr int kNoAdapterSlot = -1;

// A token to be drawn.
struct PlannedDraw {
  const RequestSequence* sequence;  // whose logits they are
  uint32_t index;                   // of the sequence that gets the token: its own or a fork's
  int slot;                         // of that one
  size_t entry;                     // of the step
  size_t place;                     // among the entry's draws
  int logits_row;                   // of StepArrays::logits_rows
  uint64_t position;                // of the new token
  size_t drafts;                    // of the entry's, that come before it

  // Of a beam search. Sequences that are only forked from this one have the same.
  bool wants_candidates() const { return sequence->request->beams != nullptr && index == sequence->index; }
};

struct StepPlan {
  std::vector<size_t> order;       // entries of the step, as their rows follow each other
  int table_rows = 0;              // of the block table: one for each decode row and each entry of several tokens
  std::vector<int> first_token;    // by entry of the step
  int decode_rows = 0;             // padding included where they are all
  int tokens = 0;                  // padding included
  int logits_rows = 0;             // likewise
  std::vector<PlannedDraw> draws;  // those without logits processors first
  int plain_draws = 0;             // of those
  bool has_adapters = false;       // StepArrays::adapter_slots is filled

  bool decode_only() const { return decode_rows == tokens; }
};

// The sizes that steps of decode rows alone are padded to: `rows` rounded up, at most max_rows.
int DecodeBucket(int rows, int max_rows);
std::vector<int> DecodeBuckets(int max_rows);  // all of them, the smallest first
// Likewise for other steps; a multiple of 64 is its own.
int PaddedTokens(int tokens);

StepPlan PlanRows(const Step& step, int max_sequences);

// Fills everything of `arrays` but `sampling` and `adapter_slots`, and the rows of `block_table` [table_rows, max_blocks].
// Returns how many entries the longest of those rows has.
int FillArrays(const Step& step, const StepPlan& plan, const StepArrays& arrays, int32_t* block_table, int max_blocks);

// Fills `arrays.adapter_slots` from those of the step's entries.
void FillAdapterSlots(const Step& step, const StepPlan& plan, const std::vector<int>& slots, const StepArrays& arrays);

// The entries of several tokens, for PrefillAttention::Plan.
std::vector<PrefillSequence> PrefillSequencesOf(const Step& step, const StepPlan& plan);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_PLAN_H_
