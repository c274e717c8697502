// Linear layers: y[t, n] = sum over k of x[t, k] * w[n, k], sums in fp32, with what comes before and after fused in.
//   w       [outputs, depth]  elements, row-major as in the unified checkpoint, 16-byte aligned; or packed (packed.h)
//   x       [tokens, depth]   elements, 16-byte aligned; depth is a multiple of 8
// "Elements" are of the layer's type. All pointers are to the GPU's memory and are borrowed until the work on the stream is done.
// Floor of every layer at few tokens: the bytes of w over the memory bandwidth.
#ifndef EMBEDDED_CUDA_LINEAR_H_
#define EMBEDDED_CUDA_LINEAR_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <variant>

#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/packed.h"

namespace embedded::cuda {

constexpr size_t kElementBytes = 2;  // of bf16 and of fp16

struct LinearShape {
  Element element;
  int outputs;
  int depth;
  WeightForm form = {};

  size_t element_bytes() const { return size_t{kElementBytes} * outputs * depth; }
  size_t weight_bytes() const { return form.is_packed() ? PackedShape(outputs, depth).bytes(form) : element_bytes(); }
};

// --- What x is.

struct ElementsInput {
  const void* x;  // [tokens, depth] elements
};
// x[t, k] = hidden[t, k] / sqrt(mean over k of hidden[t, k]^2 + epsilon) * weight[k] (RMSNorm, arXiv:1910.07467), rounded once.
struct NormalizedInput {
  const float* hidden;  // [tokens, depth]
  const void* weight;   // [depth] elements
  float epsilon;
};
using LinearInput = std::variant<ElementsInput, NormalizedInput>;

// --- What becomes of y.

struct ElementsOutput {
  void* y;  // [tokens, outputs] elements
};
struct FloatsOutput {
  float* y;  // [tokens, outputs]
};
// hidden[t, n] += y[t, n]
struct HiddenOutput {
  float* hidden;  // [tokens, outputs]
};
// out[t, n] = silu(y[t, n]) * y[t, outputs / 2 + n], silu(a) = a / (1 + exp(-a)): the rows of w are those of TensorRT-LLM's fc,
// then those of its gate (gate_proj and up_proj of Hugging Face).
struct SiluOutput {
  void* out;  // [tokens, outputs / 2] elements
};
// y holds the heads' queries, then keys, then values, head_dim each. Queries and keys are rotated by their token's position
// (i with i + head_dim / 2, arXiv:2104.09864); keys and values go to the paged cache. The buffers are those of rope_append.h.
struct RopeAppendOutput {
  void* queries;               // [tokens, heads, head_dim] elements
  void* keys;                  // [blocks, kv_heads, tokens_per_block, head_dim] elements
  void* values;                // like keys
  const float2* angles;        // [positions, head_dim / 2]: cos, sin
  const int32_t* positions;    // [tokens]; below 0: padding, nothing is stored
  const int32_t* sequence;     // [tokens] row of the block table; null: token t belongs to row t (decode)
  const int32_t* block_table;  // [sequences, max_blocks]
  int max_blocks;
  int heads;
  int kv_heads;
  int head_dim;  // even
  int tokens_per_block;
};
using LinearOutput = std::variant<ElementsOutput, FloatsOutput, HiddenOutput, SiluOutput, RopeAppendOutput>;

struct LinearCall {
  LinearShape shape;
  const void* weights;
  int tokens;
  LinearInput input;
  LinearOutput output;
};

// --- The kernels, for the current device. Ask first whether one can do a call.

// 1 to 64 tokens over packed weights, sm_80 on (packed_linear.cuh). `expanded` has room for w as elements.
bool CanPackedLinear(const LinearCall& call, const DeviceTraits& traits);
void PackedLinear(const LinearCall& call, void* expanded, cudaStream_t stream);

// Packed weights as elements, row-major [outputs, depth]: what the kernels below take.
void ExpandWeights(const LinearShape& shape, const void* weights, void* expanded, cudaStream_t stream);

// The plain twin: any call on any GPU; a warp sums two outputs of one token.
void PlainLinear(const LinearCall& call, cudaStream_t stream);

// One token, sm_90 on: decode-sized layers near memory bandwidth (ring_gemv.cuh).
bool CanRingGemv(const LinearCall& call, const DeviceTraits& traits);
void RingGemv(const LinearCall& call, cudaStream_t stream);
struct RingTuning {
  int warps;        // of a block
  int stages;       // of each warp's ring
  int chunk_bytes;  // of each of two rows, in a stage: 2048 or 4096
};
void RingGemv(const LinearCall& call, const RingTuning& tuning, cudaStream_t stream);  // for measuring

// 1 to 16 tokens whose input is ElementsInput, sm_90 on (block_ring_gemv.cuh).
bool CanBlockRingGemv(const LinearCall& call, const DeviceTraits& traits);
void BlockRingGemv(const LinearCall& call, cudaStream_t stream);
struct BlockRingTuning {
  int stages;
};
void BlockRingGemv(const LinearCall& call, const BlockRingTuning& tuning, cudaStream_t stream);  // for measuring

// One token, any GPU (direct_gemv.cu).
bool CanDirectGemv(const LinearCall& call, const DeviceTraits& traits);
void DirectGemv(const LinearCall& call, cudaStream_t stream);

// Finishes a call whose y another kernel, cuBLASLt's, stored as elements [tokens, outputs]: does call.output from there.
void FinishLinear(const LinearCall& call, const void* y, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LINEAR_H_
