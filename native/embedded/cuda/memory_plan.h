// How a GPU's memory is shared out, worked out before any of it is taken.
#ifndef EMBEDDED_CUDA_MEMORY_PLAN_H_
#define EMBEDDED_CUDA_MEMORY_PLAN_H_

#include <cstdint>

#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/llama.h"
#include "native/embedded/model_runner.h"

namespace embedded::cuda {

struct MemoryPlan {
  Element element;
  uint64_t weight_bytes;
  uint64_t work_bytes;     // everything but weights and cache
  uint64_t adapter_bytes;  // of these, for adapters
  KvFormat kv;
  LlamaLimits limits;
  int host_blocks = 0;  // of this rank's part of the cache, in pinned host memory

  uint64_t host_bytes() const { return static_cast<uint64_t>(host_blocks) * kv.bytes_per_block(); }
  uint64_t bytes() const { return weight_bytes + work_bytes + kv.bytes(); }
};

// For one rank, on a device of which so much memory is free. Throws executor::Failure: EXECUTOR_MODEL_UNSUPPORTED where the kernels have no such
// shape, EXECUTOR_INVALID_OPTION for a step they cannot launch, EXECUTOR_OUT_OF_MEMORY with what is needed and free.
MemoryPlan PlanMemory(const RunnerOptions& options, int rank, const Device& device, const DeviceTraits& traits,
                      uint64_t free_bytes);

// How many blocks the host memory holds that kvCache.hostBytes gives; `block_bytes` are those of all ranks together.
int HostBlocksOf(const Limits& limits, uint64_t block_bytes);

// What ranks exchange in steps within these limits; `model` is the whole one.
ExchangeSizes ExchangeSizesOf(const ModelConfig& model, const LlamaLimits& limits);

constexpr double kKvMemoryFraction = 0.9;  // of what weights and work leave

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MEMORY_PLAN_H_
