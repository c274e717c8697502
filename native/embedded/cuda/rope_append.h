// Rotary position embedding of queries and keys, and the keys and values into the paged cache, for one layer.
//   (x[i], x[i + half]) of every query and key head by the angle of (position, i), in fp32: cpu/rope.h
//   queries are rotated in place; rotated keys and the values go to block block_table[sequence, position /
//   tokens_per_block], row position % tokens_per_block
// Floor: tokens * (2 * heads + 4 * kv_heads) * head_dim * 2 bytes over the memory bandwidth. Source: arXiv:2104.09864.
#ifndef EMBEDDED_CUDA_ROPE_APPEND_H_
#define EMBEDDED_CUDA_ROPE_APPEND_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "native/embedded/cuda/kv_layout.h"

namespace embedded::cuda {

struct RopeAppendShape {
  KvLayout kv;
  int tokens;
  int heads;
  int max_blocks;  // entries in a row of the block table
};

struct RopeAppendBuffers {
  void* qkv;                   // [tokens, heads + 2 * kv_heads, head_dim] element
  const float2* angles;        // [positions, head_dim / 2] (cos, sin): AngleTable
  const int32_t* positions;    // [tokens]; below 0: padding, nothing is read or written
  const int32_t* sequence;     // [tokens] row of the block table; null: token t belongs to row t (decode)
  const int32_t* block_table;  // [sequences, max_blocks]
  void* keys;                  // this layer's, as KvLayout lays them out
  void* values;
};

void RopeAppend(const RopeAppendShape& shape, const RopeAppendBuffers& buffers, cudaStream_t stream);

// (cos, sin) of positions [0, positions), [positions, frequencies]: computed on the host as the CPU executor computes
// them (cpu/rope.h), from RopeFrequencies(); both are multiplied by `factor`, RopeScaling::attention_factor.
std::vector<float2> AngleTable(const std::vector<float>& frequencies, float factor, int positions);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_ROPE_APPEND_H_
