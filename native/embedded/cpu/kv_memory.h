// The memory of the KV blocks on the CPU.
#ifndef EMBEDDED_CPU_KV_MEMORY_H_
#define EMBEDDED_CPU_KV_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cpu/paged_memory.h"

namespace embedded::cpu {

// Tokens in a block: a panel's width, so that a block's keys are a panel (kernels.h) and queries meet them as inputs
// meet weights.
constexpr int kTokensPerBlock = 32;

// Keys and values of all blocks, fp32: [blocks, layers, kv_heads] x (keys [head_dim, 32], values [32, padded head_dim]).
// Keys lie token by token in a row of each dimension.
class KvMemory {
 public:
  // Throws std::bad_alloc.
  KvMemory(const ModelConfig& model, int blocks);

  static uint64_t BytesPerBlock(const ModelConfig& model);

  float* Keys(int block, int layer, int kv_head) const { return memory_.floats() + Offset(block, layer, kv_head); }
  float* Values(int block, int layer, int kv_head) const { return Keys(block, layer, kv_head) + key_floats_; }
  void CopyLayer(int from_block, int to_block, int layer) const;
  // head_dim rounded up to whole panels; the columns past head_dim stay 0.
  int value_stride() const { return value_stride_; }

 private:
  size_t Offset(int block, int layer, int kv_head) const {
    return ((static_cast<size_t>(block) * layers_ + layer) * kv_heads_ + kv_head) * head_floats_;
  }

  int layers_;
  int kv_heads_;
  int value_stride_;
  size_t key_floats_;
  size_t head_floats_;
  PagedMemory memory_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_KV_MEMORY_H_
