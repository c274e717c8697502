#include "native/embedded/kv_cache.h"

#include <algorithm>

#include "native/embedded/cpu/kernels.h"

namespace embedded {
namespace {

static_assert(kTokensPerBlock == cpu::kPanelWidth);

int ValueStride(const ModelConfig& model) {
  return (model.head_dim + cpu::kPanelWidth - 1) / cpu::kPanelWidth * cpu::kPanelWidth;
}

}  // namespace

bool BlockPool::Grow(std::vector<int>* block_table, size_t tokens) {
  const size_t needed = (tokens + kTokensPerBlock - 1) / kTokensPerBlock;
  if (needed > block_table->size() + static_cast<size_t>(free_blocks())) return false;
  block_table->reserve(needed);  // so that no block is taken and then not held
  while (block_table->size() < needed) block_table->push_back(Take());
  return true;
}

std::vector<int> BlockPool::Share(const std::vector<int>& block_table) {
  std::vector<int> copy = block_table;
  for (const int block : copy) ++holders_[static_cast<size_t>(block)];
  return copy;
}

bool BlockPool::Unshare(int* block) {
  if (free_blocks() == 0) return false;
  const int own = Take();
  --holders_[static_cast<size_t>(*block)];
  *block = own;
  return true;
}

void BlockPool::Free(std::vector<int>* block_table) {
  for (auto block = block_table->rbegin(); block != block_table->rend(); ++block) {
    if (--holders_[static_cast<size_t>(*block)] > 0) continue;
    free_.push_back(*block);
    --used_;
  }
  block_table->clear();
}

int BlockPool::Take() {
  int block = static_cast<int>(holders_.size());
  if (free_.empty()) {
    holders_.push_back(1);
  } else {
    block = free_.back();
    free_.pop_back();
    holders_[static_cast<size_t>(block)] = 1;
  }
  ++used_;
  ++allocations_;
  return block;
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

void KvMemory::CopyLayer(int from_block, int to_block, int layer) const {
  std::copy_n(Keys(from_block, layer, 0), head_floats_ * kv_heads_, Keys(to_block, layer, 0));
}

}  // namespace embedded
