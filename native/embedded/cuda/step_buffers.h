// The host's side of one step on the GPU: what it uploads and downloads, and for which requests.
#ifndef EMBEDDED_CUDA_STEP_BUFFERS_H_
#define EMBEDDED_CUDA_STEP_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "native/embedded/cuda/kv_copy.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/sampling.h"
#include "native/embedded/cuda/step_plan.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

constexpr size_t kStepsInFlight = 2;  // submitted and not collected, at most
constexpr int kNoLogits = -1;

// A drawn token on its way to the host, without anything of the request that may be gone by then.
struct DrawOnItsWay {
  uint64_t request_id;
  size_t entry;  // of the step
  size_t place;  // among the entry's draws
  uint64_t position;
  bool wants_logprob;
  int top_logprobs;
  bool lists_on_host;  // those
  bool wants_logits;
  int host_logits;  // row of the logits that come too, or kNoLogits
  bool is_beam;     // it has candidates instead of a token
  int beam_candidates;
};

struct StepBufferLimits {
  int max_tokens;
  int max_sequences;
  int max_blocks;  // of a sequence
  int vocab_size;
};

// Pinned memory of a step in flight.
class StepBuffers {
 public:
  explicit StepBuffers(const StepBufferLimits& limits);

  StepArrays Arrays(int tokens) const { return {arrays_.data(), tokens, limits_.max_sequences}; }
  int32_t* block_table() const { return block_table_.as<int32_t>(); }
  DrawnToken* drawn() const { return drawn_.as<DrawnToken>(); }
  TopLogprob* top() const { return top_.as<TopLogprob>(); }
  PinnedBuffer* processors() { return &processors_; }

  // Records which requests the step draws for. Returns the rows of its logits that must come to the host.
  std::vector<int> Expect(const StepPlan& plan, size_t entries, int top_width);
  // Room for so many copies, which may be any number where blocks go to host memory.
  KvBlockCopy* Copies(size_t count);
  // Room for so many rows of logits.
  float* HostLogits(size_t rows);

  void FailEntry(size_t entry, const executor::Failure& failure) { failed_.push_back({entry, failure}); }

  // After everything was copied.
  StepResults Results(const std::string& dtype) const;

  const Event& done() const { return done_; }

 private:
  DrawResult ResultOf(const DrawOnItsWay& draw, size_t row, const std::string& dtype) const;
  // False if the logits were not finite.
  bool AddCandidates(const DrawOnItsWay& draw, size_t row, DrawResult* result) const;

  struct FailedEntry {
    size_t entry;
    executor::Failure failure;
  };

  StepBufferLimits limits_;
  PinnedBuffer arrays_;
  PinnedBuffer block_table_;
  PinnedBuffer drawn_;
  PinnedBuffer top_;
  PinnedBuffer processors_;   // as large as it ever had to be
  PinnedBuffer copies_;       // likewise
  PinnedBuffer host_logits_;  // likewise
  Event done_;

  size_t entries_ = 0;
  int top_width_ = 0;
  std::vector<DrawOnItsWay> draws_;
  std::vector<FailedEntry> failed_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_BUFFERS_H_
