// One rank of an engine on its GPU: its part of the weights and of the KV cache, and the launches of a step up to the logits.
#ifndef EMBEDDED_CUDA_RANK_H_
#define EMBEDDED_CUDA_RANK_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "native/embedded/cuda/decode_graphs.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/linear_layers.h"
#include "native/embedded/cuda/llama.h"
#include "native/embedded/cuda/matmul.h"
#include "native/embedded/cuda/memory_plan.h"
#include "native/embedded/cuda/rank_adapters.h"
#include "native/embedded/cuda/rank_exchange.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/step_buffers.h"
#include "native/embedded/cuda/step_gaps.h"
#include "native/embedded/cuda/step_plan.h"
#include "native/embedded/cuda/weights.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

// Where tokens are drawn.
struct DrawBuffers {
  const int32_t* newest;  // [slots] the newest tokens drawn, where all ranks can read them
  float* logits;          // [max_draws, vocab_size], of the rank that draws
};

// Used by one thread at a time, the device being its own; of several ranks, by the rank's thread of RankThreads.
class Rank {
 public:
  // Loads the weights. A null `end`: it is the only rank.
  Rank(const RunnerOptions& options, int rank, const Device& device, const MemoryPlan& memory, RankEnd* end,
       const std::function<bool(double)>& on_progress);
  // The memory may still be in use by other ranks: wait for all of them first.
  ~Rank() = default;
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  const Device& device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }
  // Has the kernels of decode steps chosen by measuring, for a short time: the next load goes on where this one ends.
  void Tune(const DrawBuffers& draw);

  // Null where there are none.
  RankAdapters* adapters() { return adapters_ ? &*adapters_ : nullptr; }

  // In this order; those that do not meet, in one launch. `pinned` holds them once more.
  void CopyBlocks(const std::vector<BlockCopy>& copies, const KvBlockCopy* pinned);
  void Upload(const StepPlan& plan, int longest_table, const StepBuffers& buffers);
  // Takes the hidden states that the rank of the stage before it computed last, which are not changed before this one has computed.
  void Receive(const Rank& before, const StepPlan& plan);
  // The logits too, where all are decode rows. `gaps` may be null.
  void Compute(const Step& step, const StepPlan& plan, const DrawBuffers& draw, StepGaps* gaps);
  // Logits of the rows that the step's arrays name, in the last stage.
  void StepLogits(const StepPlan& plan, const DrawBuffers& draw);
  // Logits of these tokens of the step.
  void LogitsOf(const std::vector<int32_t>& tokens, const DrawBuffers& draw);

  // In the last stage, sums of the step's hidden states as Llama has them.
  void SumFinal(const StepPlan& plan, const RowSpan* spans, int count, float* out) {
    llama_.SumFinal(plan.tokens, spans, count, out, stream_.get());
  }

  // The step's arrays on the GPU.
  StepArrays Arrays(const StepPlan& plan) const;

 private:
  void Logits(const int32_t* rows, int count, const DrawBuffers& draw, cudaStream_t stream);
  // Of its stage.
  bool is_first() const { return end_ == nullptr || end_->is_first(); }

  Device device_;
  ModelConfig model_;
  MemoryPlan memory_;
  RankEnd* end_;
  Stream stream_;
  Matmul matmul_;
  LinearLayers linear_;
  LlamaWeights weights_;
  DeviceBuffer cache_;
  Llama llama_;
  std::optional<RankAdapters> adapters_;
  DecodeGraphs graphs_;
  Event computed_;            // what the next stage waits for
  DeviceBuffer arrays_;       // StepArrays
  DeviceBuffer block_table_;  // [sequences, max_blocks]
  DeviceBuffer copies_;       // of one launch
  PinnedBuffer host_cache_;   // blocks that are not on the GPU, laid out as those that are
  DeviceBuffer prompt_rows_;  // [max_draws] tokens of a prompt that logits are wanted of
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RANK_H_
