#include "native/embedded/kv_blocks.h"

#include <algorithm>

namespace embedded {

bool BlockPool::Grow(std::vector<int>* block_table, size_t tokens) {
  const size_t needed = BlocksFor(tokens);
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

// The last first: of what is kept, the ends of prefixes are evicted before their beginnings.
void BlockPool::Free(std::vector<int>* block_table) {
  const auto now = KeptBlocks::Clock::now();
  for (auto block = block_table->rbegin(); block != block_table->rend(); ++block) {
    if (--holders_[static_cast<size_t>(*block)] > 0) continue;
    if (kept_.Has(*block))
      kept_.Release(*block, now);
    else
      free_.push_back(*block);
    --used_;
  }
  block_table->clear();
}

std::optional<size_t> BlockPool::GrowFromKept(std::vector<int>* block_table, const std::vector<BlockKey>& keys,
                                              size_t limit, size_t tokens) {
  block_table->reserve(BlocksFor(tokens));
  int released = 0;
  for (size_t i = 0; i < std::min(limit, keys.size()); ++i) {
    const auto block = kept_.Find(keys[i]);
    if (!block) break;
    block_table->push_back(*block);
    released += kept_.released(*block);
  }
  const size_t found = block_table->size();
  if (BlocksFor(tokens) - found > static_cast<size_t>(free_blocks() - released)) {
    block_table->clear();
    return std::nullopt;
  }
  for (const int block : *block_table)
    if (holders_[static_cast<size_t>(block)]++ == 0) {
      kept_.Hold(block);
      ++used_;
    }
  Grow(block_table, tokens);
  return found;
}

int BlockPool::Take() {
  int block = static_cast<int>(holders_.size());
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (block < blocks_) {
    holders_.push_back(0);
  } else {
    block = kept_.Evict(KeptBlocks::Clock::now());
  }
  holders_[static_cast<size_t>(block)] = 1;
  ++used_;
  ++allocations_;
  return block;
}

}  // namespace embedded
