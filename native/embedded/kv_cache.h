// The paged KV cache (arXiv:2309.06180): keys and values of all sequences, in blocks of a fixed number of tokens.
#ifndef EMBEDDED_KV_CACHE_H_
#define EMBEDDED_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cpu/memory.h"

namespace embedded {

// Tokens in a block: a panel's width, so that a block's keys are a panel (cpu/kernels.h) and queries meet them as
// inputs meet weights.
constexpr int kTokensPerBlock = 32;

// Which blocks are free, and how many block tables hold each of the others. Last freed, first used: its memory is warm,
// and what was never used is never touched.
class BlockPool {
 public:
  explicit BlockPool(int blocks) : blocks_(blocks) {}

  int blocks() const { return blocks_; }
  int free_blocks() const { return blocks_ - used_; }
  int used_blocks() const { return used_; }
  uint64_t allocations() const { return allocations_; }

  // Lengthens the table until it holds `tokens`; false, and nothing done, if there are too few free blocks.
  bool Grow(std::vector<int>* block_table, size_t tokens);
  // A table that holds the same blocks.
  std::vector<int> Share(const std::vector<int>& block_table);
  // More than one table holds it, so what is written to it must be written to a copy.
  bool shared(int block) const { return holders_[static_cast<size_t>(block)] > 1; }
  // Takes a block in place of a shared one; the caller copies what was in it. False, and nothing done, if none is free.
  bool Unshare(int* block);
  void Free(std::vector<int>* block_table);

 private:
  int Take();

  int blocks_;
  int used_ = 0;
  std::vector<int> holders_;  // by block: tables that hold it; blocks past the end were never used
  std::vector<int> free_;
  uint64_t allocations_ = 0;
};

// The memory of the blocks, fp32: [blocks, layers, kv_heads] x (keys [head_dim, 32], values [32, padded head_dim]).
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

}  // namespace embedded

#endif  // EMBEDDED_KV_CACHE_H_
