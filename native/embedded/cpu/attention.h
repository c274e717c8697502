// Causal grouped-query attention over the paged KV cache.
#ifndef EMBEDDED_CPU_ATTENTION_H_
#define EMBEDDED_CPU_ATTENTION_H_

#include <optional>
#include <vector>

#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/kv_memory.h"

namespace embedded::cpu {

// Some consecutive queries of one sequence, for the heads that share one key and value head (arXiv:2305.13245).
//   out[i, h] = sum over t <= first_position + i of softmax_t(dot(q[i, h], k[t]) / sqrt(head_dim)) * v[t]
// With a window t starts at first_position + i + 1 - window (arXiv:2004.05150).
struct AttentionTile {
  const float* queries;  // [query_count, group, head_dim], rows row_stride apart
  size_t row_stride;     // floats
  float* out;            // [query_count, group, head_dim], rows out_stride apart
  size_t out_stride;     // floats
  int query_count;
  int first_position;      // of the first query
  const int* block_table;  // of the sequence
  int layer;
  int kv_head;
  std::optional<int> window;  // tokens that a query sees, itself included; not set: all before it
};

// Each query walks the blocks in order and alone decides what is added when, so its result does not depend on the other
// queries of the tile.
class Attention {
 public:
  Attention(const ModelConfig& model, const KvMemory& kv_memory, const Kernels& kernels);

  // Queries a tile should have at most: enough to read each block once for many of them.
  int queries_per_tile() const { return queries_per_tile_; }

  // What one thread computes a tile in.
  class Scratch {
   public:
    explicit Scratch(const Attention& attention);

   private:
    friend class Attention;
    std::vector<float> queries_;  // [rows, head_dim]
    std::vector<float> scores_;   // [rows, kTokensPerBlock]
    std::vector<float> sums_;     // [rows, value_stride]
    std::vector<SoftmaxState> states_;
  };

  void Compute(const AttentionTile& tile, Scratch* scratch) const;

 private:
  // Adds the block's keys and values to what the rows have.
  void AddBlock(const AttentionTile& tile, int block_index, Scratch* scratch) const;

  const KvMemory& kv_memory_;
  const Kernels& kernels_;
  int head_dim_;
  int group_;  // query heads for each key and value head
  int queries_per_tile_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_ATTENTION_H_
