// What is between the matrix product of queries, keys and values and attention, where a layer has more of it than the
// rotation that RopeAppendOutput fuses into the product: biases, norms of queries and keys, or no rotation.
//   x[t, h]       = qkv[t, h] + bias[h]
//   x[t, h]       = x[t, h] / sqrt(mean(x[t, h]^2) + epsilon) * norm, for queries and keys, each head by itself
//   queries, keys = x rotated by its token's position (i with i + head_dim / 2, arXiv:2104.09864)
// It is also what writes a cache in 8 bits: their scale is a whole head's.
// Sums in fp32. Floor: tokens * (heads + 2 * kv_heads) * head_dim * 4 bytes over the memory bandwidth.
#ifndef EMBEDDED_CUDA_FINISH_HEADS_H_
#define EMBEDDED_CUDA_FINISH_HEADS_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/linear.h"

namespace embedded::cuda {

struct FinishHeadsInput {
  Element element;
  int tokens;
  const void* qkv;     // [tokens, heads + 2 * kv_heads, head_dim] element
  const void* bias;    // [heads + 2 * kv_heads, head_dim] element; null: none
  const void* q_norm;  // [head_dim] element; null: none, and then there is no k_norm either
  const void* k_norm;  // likewise
  float epsilon;
  KvType kv_type = KvType::kElements;  // how the cache has keys and values
};

// `to` as for a linear layer; without its angles nothing is rotated. head_dim is at most 256.
void FinishHeads(const FinishHeadsInput& input, const RopeAppendOutput& to, cudaStream_t stream);

// hidden[t, i] += bias[i], for hidden [tokens, size] and bias [size] element.
void AddBias(Element element, int tokens, int size, const void* bias, float* hidden, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_FINISH_HEADS_H_
