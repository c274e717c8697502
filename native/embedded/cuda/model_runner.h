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

#include "native/embedded/cuda/decode_graphs.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/linear_layers.h"
#include "native/embedded/cuda/llama.h"
#include "native/embedded/cuda/matmul.h"
#include "native/embedded/cuda/memory_plan.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/step_buffers.h"
#include "native/embedded/cuda/step_gaps.h"
#include "native/embedded/cuda/step_plan.h"
#include "native/embedded/cuda/step_sampler.h"
#include "native/embedded/cuda/weights.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

class CudaModelRunner : public ModelRunner {
 public:
  // Of the calling thread's device, which OpenDevice gave.
  CudaModelRunner(const RunnerOptions& options, const Device& device);
  ~CudaModelRunner() override;

  const RunnerInfo& info() const override { return info_; }
  // What looks at the history needs it on the host.
  bool DrawsAhead(const SamplingParams& sampling) const override { return !sampling.processors.needs_history(); }
  void Submit(const Step& step, const std::atomic<bool>& abandon) override;
  StepResults Collect() override;

 private:
  static constexpr size_t kStepsInFlight = 2;

  // Has the kernels of decode steps chosen by measuring, for a short time: the next load goes on where this one ends.
  void Tune();
  void SubmitStep(const Step& step);
  // Together as many as the step has, in launches that each may be made in any order.
  void CopyBlocks(const std::vector<BlockCopy>& copies, StepBuffers* buffers);
  void Upload(const StepPlan& plan, int longest_table, const StepBuffers& buffers);
  void Compute(const Step& step, const StepPlan& plan);
  // Fills in what was asked about the prompt's tokens of the step. Waits for the GPU where something was.
  void GatherPromptOutput(const Step& step, const StepPlan& plan, StepBuffers* buffers);
  void Draw(const StepPlan& plan, const std::vector<int>& host_logits, StepBuffers* buffers);

  Device device_;
  ModelConfig model_;
  MemoryPlan memory_;
  Stream stream_;
  Matmul matmul_;
  LinearLayers linear_;
  LlamaWeights weights_;
  DeviceBuffer cache_;
  Llama llama_;
  StepSampler sampler_;
  DecodeGraphs graphs_;
  DeviceBuffer arrays_;       // StepArrays
  DeviceBuffer block_table_;  // [sequences, max_blocks]
  DeviceBuffer copies_;
  DeviceBuffer prompt_rows_;  // [max_batch_size] tokens of a prompt that logits are wanted of
  std::array<StepBuffers, kStepsInFlight> buffers_;
  std::unique_ptr<StepGaps> gaps_;  // null: they are not measured
  uint64_t submitted_ = 0;
  uint64_t collected_ = 0;
  RunnerInfo info_{};
};

// An NVIDIA GPU as a device of the embedded executor.
const embedded::Device& CudaDevice();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MODEL_RUNNER_H_
