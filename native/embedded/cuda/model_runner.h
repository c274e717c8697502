// The model runner of an NVIDIA GPU: a step is copied and launched while the one before it still runs, and a token that
// was drawn is on the GPU when the next step wants it.
#ifndef EMBEDDED_CUDA_MODEL_RUNNER_H_
#define EMBEDDED_CUDA_MODEL_RUNNER_H_

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/memory_plan.h"
#include "native/embedded/cuda/rank.h"
#include "native/embedded/cuda/rank_exchange.h"
#include "native/embedded/cuda/rank_threads.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/step_buffers.h"
#include "native/embedded/cuda/step_gaps.h"
#include "native/embedded/cuda/step_plan.h"
#include "native/embedded/cuda/step_sampler.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

// The first rank draws for all: the others read the drawn tokens in its memory.
class CudaModelRunner : public ModelRunner {
 public:
  // By rank the GPUs, which OpenDevice gave; the first one's is the calling thread's. Two ranks may share one.
  CudaModelRunner(const RunnerOptions& options, const std::vector<Device>& devices);
  ~CudaModelRunner() override;

  const RunnerInfo& info() const override { return info_; }
  // What looks at the history needs it on the host.
  bool DrawsAhead(const SamplingParams& sampling) const override { return !sampling.processors.needs_history(); }
  void Submit(const Step& step, const std::atomic<bool>& abandon) override;
  StepResults Collect() override;

 private:
  static constexpr size_t kStepsInFlight = 2;

  void LoadRanks(const RunnerOptions& options, const std::vector<Device>& devices);
  // Calls body(rank) for each, on its thread and device.
  template <typename Body>
  void OnEachRank(const Body& body);
  void SubmitStep(const Step& step);
  // Fills in what was asked about the prompt's tokens of the step. Waits for the GPU where something was.
  void GatherPromptOutput(const Step& step, const StepPlan& plan, StepBuffers* buffers);
  void Draw(const StepPlan& plan, const std::vector<int>& host_logits, StepBuffers* buffers);
  cudaStream_t stream() const { return ranks_.front()->stream(); }  // the first rank's
  DrawBuffers draw_buffers() const {
    return {exchange_ ? exchange_->Newest(sampler_.newest()) : sampler_.newest(), sampler_.logits()};
  }

  ModelConfig model_;  // the whole
  RankThreads threads_;
  std::vector<MemoryPlan> memory_;          // by rank; the limits and the number of blocks are the same in all
  std::unique_ptr<RankExchange> exchange_;  // null: one rank
  std::vector<std::unique_ptr<Rank>> ranks_;
  StepSampler sampler_;
  std::array<StepBuffers, kStepsInFlight> buffers_;
  Event drawn_;                     // the newest step's tokens are
  std::unique_ptr<StepGaps> gaps_;  // null: they are not measured
  uint64_t submitted_ = 0;
  uint64_t collected_ = 0;
  RunnerInfo info_{};
};

// An NVIDIA GPU as a device of the embedded executor.
const embedded::Device& CudaDevice();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MODEL_RUNNER_H_
