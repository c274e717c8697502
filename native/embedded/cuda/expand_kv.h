// Keys and values in 8 bits as elements, for kernels that read no others.
#ifndef EMBEDDED_CUDA_EXPAND_KV_H_
#define EMBEDDED_CUDA_EXPAND_KV_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/kv_format.h"

namespace embedded::cuda {

struct ExpandKvBuffers {
  const int32_t* blocks;  // [count] device memory: blocks of the cache. Block i becomes block i of what is written
  int count;
  const void* keys;  // of a layer, as KvFormat lays them out
  const void* values;
  void* expanded_keys;  // [count, kv_heads, tokens_per_block, head_dim] elements
  void* expanded_values;
};

// Whole blocks, whether they are full or not. head_dim is a multiple of 8.
void ExpandKv(const KvLayout& layout, const ExpandKvBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_EXPAND_KV_H_
