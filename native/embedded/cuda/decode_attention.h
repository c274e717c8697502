// Attention of one new token for each sequence (decode), keys and values by block table.
//   out[s, h] = sum over t < context_length[s] of softmax_t(scale * dot(q[s, h], k[t, g])) * v[t, g],
//   g = h / (heads / kv_heads)
// The work is cut into tiles of 64 tokens, and every thread block takes an equal run of them, across the ends of
// sequences; a piece that shares a sequence and head with others is merged by the block that finishes last, in a fixed order.
// Which block takes what is computed on the device from context_length (PlanDecodeAttention, once a step, before the
// first layer). So the host need not know the lengths, and a captured graph stays right whatever they become.
//
// For sm_80 on; head_dim a multiple of 8, of 16 in 8 bits, at most 256; tokens_per_block a power of two from 16 on: see CanDecodeAttention.
// Sums in fp32; equal inputs give equal bits, in another batch within rounding.
// Floor: sum(context_length) * kv_heads * head_dim * 4 bytes over the memory bandwidth; in 8 bits (head_dim + 4) * 2.
// Sources: online softmax, arXiv:1805.02867; grouped queries, arXiv:2305.13245; an equal share of the tiles for each
// block, "Stream-K", arXiv:2301.03598.
#ifndef EMBEDDED_CUDA_DECODE_ATTENTION_H_
#define EMBEDDED_CUDA_DECODE_ATTENTION_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

struct DecodeAttentionShape {
  KvFormat kv;
  int sequences;  // padding included
  int heads;
  int max_blocks;    // entries in a row of the block table
  int query_stride;  // elements from one sequence's queries to the next one's
  float scale;       // 1 / sqrt(head_dim)
};

struct DecodeAttentionBuffers {
  const void* queries;  // [sequences, heads, head_dim] element, rows query_stride apart
  const void* keys;     // this layer's, as KvFormat lays them out
  const void* values;
  const int32_t* block_table;      // [sequences, max_blocks]; entries past the context are not read
  const int32_t* context_lengths;  // [sequences] tokens, the new one included; 0: padding, out becomes 0
  void* out;                       // [sequences, heads, head_dim] element
  void* workspace;                 // DecodeAttentionWorkspaceBytes; one step at a time
};

// Whether the current device and the shape fit; else PlainAttention serves.
bool CanDecodeAttention(const KvFormat& kv);

// Enough for every shape with at most `sequences` sequences, on a device like this.
size_t DecodeAttentionWorkspaceBytes(const KvFormat& kv, int heads, int sequences, const DeviceTraits& traits);

// Once a step, and again whenever the shape or context_lengths change.
void PlanDecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& buffers, cudaStream_t stream);

void DecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DECODE_ATTENTION_H_
