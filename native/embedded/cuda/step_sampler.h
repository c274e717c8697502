// Draws the tokens of a step on the GPU from its logits.
#ifndef EMBEDDED_CUDA_STEP_SAMPLER_H_
#define EMBEDDED_CUDA_STEP_SAMPLER_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/processor_upload.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/sampling.h"
#include "native/embedded/cuda/step_plan.h"

namespace embedded::cuda {

// Whether the host lists the likeliest tokens that the request wants: they are more than the GPU lists, or others than those
// that a beam search has from there.
bool ListsOnHost(const Request& request);

// Fills the row of `draw`; the token goes to *newest as well.
SamplingRow SamplingRowOf(const PlannedDraw& draw, int32_t* newest);

class StepSampler {
 public:
  static size_t DeviceBytes(int max_rows, int vocab_size);

  StepSampler(int max_rows, int vocab_size);

  float* logits() const { return logits_.as<float>(); }  // [max_rows, vocab_size], what tokens are drawn from
  const DrawnToken* drawn() const { return drawn_.as<DrawnToken>(); }  // [draws], after Run
  const TopLogprob* top() const { return top_.as<TopLogprob>(); }      // [draws, top_width()], after Run
  int top_width() const { return top_width_; }
  // [slots] the newest token drawn for each.
  int32_t* newest() const { return newest_.as<int32_t>(); }

  // Fills the host's rows. What it keeps of the step lasts until Run.
  void Plan(const Step& step, const StepPlan& plan, SamplingRow* rows);
  // The mask of a Guide for a draw of the planned step, before Run.
  void SetMask(size_t draw, const std::vector<uint32_t>& mask) {
    upload_.SetMask(draw - static_cast<size_t>(plain_draws_), mask);
  }
  // Draws, with `rows` in device memory. `staging` is pinned, and may be written again once this has run on the stream.
  void Run(const SamplingRow* rows, PinnedBuffer* staging, cudaStream_t stream);

 private:
  void Draw(const SamplingRow* rows, int first, int count, SamplingWork work, cudaStream_t stream);

  int vocab_size_;
  DeviceBuffer logits_;
  DeviceBuffer drawn_;
  DeviceBuffer tokens_;  // as SampleTokens writes them; newest_ is what is read
  DeviceBuffer top_;
  DeviceBuffer newest_;
  DeviceBuffer workspace_;
  DeviceBuffer log_sums_;   // [kProcessedRows or max_rows]
  DeviceBuffer counts_;     // [kProcessedRows or max_rows, vocab_size]
  DeviceBuffer processed_;  // likewise
  DeviceBuffer uploaded_;   // what the processors read

  // Of the planned step.
  int draws_ = 0;
  int plain_draws_ = 0;
  int top_width_ = 0;
  SamplingWork plain_work_ = SamplingWork::kGreedy;
  ProcessorUpload upload_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_SAMPLER_H_
