// A rank's LoRA adapters in its GPU's memory, each in a slot that the rows of a step name.
#ifndef EMBEDDED_CUDA_RANK_ADAPTERS_H_
#define EMBEDDED_CUDA_RANK_ADAPTERS_H_

#include <cuda_runtime_api.h>

#include <vector>

#include "native/embedded/adapter.h"
#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/lora.h"
#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

constexpr int kAdapterSlots = 4096;

class RankAdapters {
 public:
  // `model` is the whole one.
  RankAdapters(const ModelConfig& model, int rank, Element element);

  // [slots], as LoraRows has them.
  const LoraPair* const* table() const { return table_.as<const LoraPair*>(); }
  // Copies the rank's part into the slot, for work that `stream` gets later. Waits for the
  // GPU. Throws executor::Failure with EXECUTOR_OUT_OF_MEMORY, or EXECUTOR_INVALID_INPUT for a value that the GPU's element cannot
  // hold.
  void Load(int slot, const Adapter& adapter, cudaStream_t stream);
  // Waits for the work that `stream` has got.
  void Drop(const std::vector<int>& slots, cudaStream_t stream);

 private:
  ModelConfig model_;
  int rank_;
  Element element_;
  DeviceBuffer table_;
  std::vector<DeviceBuffer> adapters_;  // by slot: pairs, then matrices
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RANK_ADAPTERS_H_
