#include "native/embedded/kv_blocks.h"

namespace embedded {

bool BlockPool::Grow(std::vector<int>* block_table, size_t tokens) {
  const size_t needed = (tokens + tokens_per_block_ - 1) / tokens_per_block_;
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

}  // namespace embedded
