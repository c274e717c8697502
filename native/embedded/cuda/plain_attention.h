// Attention in its plainest form: the twin that the fast kernels are tested against, and what serves where they do not
// fit (before sm_80, a head_dim that is no multiple of 8). Any head_dim up to 256, any tokens_per_block.
//   out[r, h] = sum over t <= position[r] of softmax_t(scale * dot(q[r, h], k[t, g])) * v[t, g],
//   g = h / (heads / kv_heads); with a window t starts at position[r] + 1 - window
// Everything in fp32.
#ifndef EMBEDDED_CUDA_PLAIN_ATTENTION_H_
#define EMBEDDED_CUDA_PLAIN_ATTENTION_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <optional>

#include "native/embedded/cuda/kv_format.h"

namespace embedded::cuda {

struct PlainAttentionShape {
  KvFormat kv;
  int rows;  // of queries, of any sequences
  int heads;
  int max_blocks;                            // entries in a row of the block table
  int query_stride;                          // elements from one row's queries to the next one's
  float scale;                               // 1 / sqrt(head_dim)
  std::optional<int> window = std::nullopt;  // tokens that a row sees, its own included
};

struct PlainAttentionBuffers {
  const void* queries;  // [rows, heads, head_dim] element, rows query_stride apart
  const void* keys;     // this layer's, as KvFormat lays them out
  const void* values;
  const int32_t* positions;    // [rows]; the row sees tokens 0 to its position; below 0: padding, out becomes 0
  const int32_t* sequence;     // [rows] row of the block table; null: row r belongs to row r
  const int32_t* block_table;  // [sequences, max_blocks]
  void* out;                   // [rows, heads, head_dim] element
  const int32_t* table_begin = nullptr;  // [sequences] where in block_table a sequence's entries begin; null: a matrix
};

void PlainAttention(const PlainAttentionShape& shape, const PlainAttentionBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PLAIN_ATTENTION_H_
