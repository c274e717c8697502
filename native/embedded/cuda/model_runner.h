// The model runner of an NVIDIA GPU: a step is copied and launched while the one before it still runs, and a token that
// was drawn is on the GPU when the next step wants it.
#ifndef EMBEDDED_CUDA_MODEL_RUNNER_H_
#define EMBEDDED_CUDA_MODEL_RUNNER_H_

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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
#include "native/embedded/cuda/step_pooling.h"
#include "native/embedded/cuda/step_sampler.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

// A thread for each rank of a stage submits what the ranks of all stages do, one stage after the other. The first rank of the last
// stage draws for all: the others read the drawn tokens in its memory or, behind stages or without peer access, in the host's.
class CudaModelRunner : public ModelRunner {
 public:
  // By rank the GPUs, which OpenDevice gave. Two ranks may share one.
  CudaModelRunner(const RunnerOptions& options, const std::vector<Device>& devices);
  ~CudaModelRunner() override;

  const RunnerInfo& info() const override { return info_; }
  // What looks at the history needs it on the host.
  bool DrawsAhead(const SamplingParams& sampling) const override { return !sampling.processors.needs_history(); }
  void Submit(const Step& step, const std::atomic<bool>& abandon) override;
  void SubmitWithoutDraws(const Step& step) override;
  void Draw() override;
  StepResults Collect() override;

 private:
  void LoadRanks(const RunnerOptions& options, const std::vector<Device>& devices);
  // Calls body(rank) for each, on its thread and device, stage by stage.
  template <typename Body>
  void OnEachRank(const Body& body);
  // The rank whose hidden states this one goes on with; null in the first stage.
  const Rank* Before(const Rank* rank) const;
  void SubmitStep(const Step& step);
  // By entry of the step the slot of its adapter, which is copied to all ranks where it is new; none: no entry has one. An entry whose
  // adapter cannot be copied fails. Waits for the GPU where one is copied.
  std::vector<int> LoadAdapters(const Step& step, StepBuffers* buffers);
  int LoadAdapter(const Adapter& adapter);
  void DropEvictedAdapters();
  // Fills in what was asked about the prompt's tokens of the step. Waits for the GPU where something was.
  void GatherPromptOutput(const Step& step, const StepPlan& plan, StepBuffers* buffers);
  void SetMasks(const StepPlan& plan, StepBuffers* buffers);
  void DrawTokens();
  Rank& drawer() const { return *ranks_[ranks_.size() - static_cast<size_t>(model_.tp_size)]; }
  cudaStream_t stream() const { return drawer().stream(); }
  DrawBuffers draw_buffers() const {
    return {newest_.data() != nullptr ? newest_.as<int32_t>() : sampler_.newest(), sampler_.logits()};
  }

  ModelConfig model_;  // the whole
  RankThreads threads_;
  std::vector<MemoryPlan> memory_;  // by rank; the limits and the number of blocks are the same in all
  std::vector<std::unique_ptr<RankExchange>> exchanges_;  // by stage; none: a stage has one rank
  std::vector<std::unique_ptr<Rank>> ranks_;              // by rank: of the first stage, then of the next
  struct LoadedAdapter {
    std::weak_ptr<const Adapter> adapter;  // expired: it was evicted
    int slot;
  };
  bool has_adapters_;                           // requests may have one
  std::map<uint64_t, LoadedAdapter> adapters_;  // by serial number
  std::vector<int> free_adapter_slots_;
  StepSampler sampler_;
  PinnedBuffer newest_;  // a copy of the sampler's for all ranks, where they cannot read that
  std::array<StepBuffers, kStepsInFlight> buffers_;
  std::array<StepPooling, kStepsInFlight> pooling_;
  Event drawn_;                     // the newest step's tokens are
  std::unique_ptr<StepGaps> gaps_;  // null: they are not measured
  // What Draw needs of the newest step.
  struct PlannedDraws {
    StepPlan plan;
    std::vector<int> host_logits;
    StepBuffers* buffers;
  };
  std::optional<PlannedDraws> planned_;  // its draws are not submitted yet
  uint64_t submitted_ = 0;
  uint64_t collected_ = 0;
  RunnerInfo info_{};
};

// An NVIDIA GPU as a device of the embedded executor.
const embedded::Device& CudaDevice();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MODEL_RUNNER_H_
