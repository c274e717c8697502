// FlashInfer's paged prefill kernels (Apache-2.0, headers from its PyPI wheel at build time), behind functions of our
// own: no FlashInfer type leaves the units that include it, and FA2 and FA3 are units of their own because their headers
// define one struct name twice. Called by PrefillAttention only.
#ifndef EMBEDDED_CUDA_FLASHINFER_FLASHINFER_H_
#define EMBEDDED_CUDA_FLASHINFER_FLASHINFER_H_

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/kv_layout.h"

namespace embedded::cuda {

// A long history is cut into pieces that are merged; without one that only costs.
enum class SplitHistory { kNever, kWhereUseful };

struct FlashInferWorkspace {
  void* floats;  // device: partial results
  size_t float_bytes;
  void* ints;    // device: the plan
  void* pinned;  // its mirror in pinned host memory; may be written again once the copy of the last plan has ended
  size_t int_bytes;
};

// All in host memory.
struct FlashInferStep {
  int32_t* query_ends;  // [sequences + 1] rows of queries, from 0
  int32_t* block_ends;  // [sequences + 1] KV blocks, from 0
  int32_t* contexts;    // [sequences] tokens, the new ones included
  int rows;
  int sequences;
  int heads;
  KvLayout kv;
  SplitHistory split;
};

struct FlashInferPlan {
  std::array<int64_t, 16> values{};
  size_t count = 0;
};

// All in device memory.
struct FlashInferLayer {
  void* queries;     // [rows, heads, head_dim] element, rows query_stride apart
  int query_stride;  // elements
  void* keys;        // of the layer, as KvLayout lays them out
  void* values;
  int32_t* query_ends;         // [sequences + 1]
  int32_t* block_ends;         // [sequences + 1]
  int32_t* blocks;             // [block_ends[sequences]]
  int32_t* last_block_tokens;  // [sequences]
  void* out;                   // [rows, heads, head_dim] element
  float scale;
};

// FlashAttention 2 on mma.sync: sm_80 on in both types, sm_75 in fp16.
template <typename T, int kDim>
struct Fa2 {
  static FlashInferPlan Plan(const FlashInferWorkspace& workspace, const FlashInferStep& step, cudaStream_t stream);
  static void Run(const FlashInferWorkspace& workspace, const FlashInferPlan& plan, const FlashInferStep& step,
                  const FlashInferLayer& layer, cudaStream_t stream);
};

// FlashAttention 3 on wgmma: sm_90a alone.
template <typename T, int kDim>
struct Fa3 {
  static FlashInferPlan Plan(const FlashInferWorkspace& workspace, const FlashInferStep& step, cudaStream_t stream);
  static void Run(const FlashInferWorkspace& workspace, const FlashInferPlan& plan, const FlashInferStep& step,
                  const FlashInferLayer& layer, cudaStream_t stream);
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_FLASHINFER_FLASHINFER_H_
