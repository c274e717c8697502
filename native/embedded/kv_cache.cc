#include "embedded/kv_cache.h"

#include "embedded/cpu/kernels.h"

namespace embedded {
namespace {

static_assert(kTokensPerBlock == cpu::kPanelWidth);

int ValueStride(const ModelConfig& model) {
  return (model.head_dim + cpu::kPanelWidth - 1) / cpu::kPanelWidth * cpu::kPanelWidth;
}

}  // namespace

BlockPool::BlockPool(int blocks) : blocks_(blocks) {}

bool BlockPool::Grow(std::vector<int>* block_table, size_t tokens) {
  const size_t needed = (tokens + kTokensPerBlock - 1) / kTokensPerBlock;
  if (needed > block_table->size() + static_cast<size_t>(free_blocks())) return false;
  block_table->reserve(needed);  // so that what follows cannot throw with blocks taken
  while (block_table->size() < needed) {
    if (free_.empty()) {
      block_table->push_back(next_unused_++);
    } else {
      block_table->push_back(free_.back());
      free_.pop_back();
    }
    ++used_;
    ++allocations_;
  }
  return true;
}

void BlockPool::Free(std::vector<int>* block_table) {
  used_ -= static_cast<int>(block_table->size());
  free_.insert(free_.end(), block_table->rbegin(), block_table->rend());
  block_table->clear();
}

KvMemory::KvMemory(const ModelConfig& model, int blocks)
    : layers_(model.layers),
      kv_heads_(model.kv_heads),
      value_stride_(ValueStride(model)),
      key_floats_(static_cast<size_t>(model.head_dim) * kTokensPerBlock),
      head_floats_(key_floats_ + static_cast<size_t>(kTokensPerBlock) * value_stride_),
      memory_(static_cast<size_t>(blocks) * BytesPerBlock(model), PageSize::kDefault) {}

uint64_t KvMemory::BytesPerBlock(const ModelConfig& model) {
  return uint64_t{kTokensPerBlock} * (model.head_dim + ValueStride(model)) * model.kv_heads * model.layers *
         sizeof(float);
}

}  // namespace embedded
