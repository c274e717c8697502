#include "native/embedded/kv_blocks.h"

#include <algorithm>
#include <utility>

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

void BlockPool::Keep(int block, BlockContent content, const Retention& retention) {
  if (!options_.reuses_parts) content.tokens.clear();
  kept_.Keep(block, std::move(content), retention);
}

std::optional<FoundPrefix> BlockPool::GrowFromKept(std::vector<int>* block_table, const KeptPrefix& prefix,
                                                   size_t length) {
  const size_t tokens_per_block = static_cast<size_t>(tokens_per_block_);
  block_table->reserve(BlocksFor(length));
  size_t released = 0;
  for (size_t i = 0; i < prefix.count / tokens_per_block; ++i) {
    const auto block = kept_.Find(prefix.keys[i]);
    if (!block) break;
    block_table->push_back(*block);
    released += kept_.released(*block);
  }
  const size_t shared = block_table->size();
  const size_t needed = BlocksFor(length) - shared, available = static_cast<size_t>(free_blocks()) - released;
  if (needed > available) {
    block_table->clear();
    return std::nullopt;
  }
  FoundPrefix found{shared, shared * tokens_per_block, std::nullopt};
  std::optional<NextBlocks::Match> part;
  if (options_.reuses_parts && found.tokens < prefix.count)
    part = kept_.FindPart(shared == 0 ? prefix.root : prefix.keys[shared - 1], prefix.tokens + found.tokens,
                          std::min(prefix.count - found.tokens, tokens_per_block));
  for (const int block : *block_table)
    if (holders_[static_cast<size_t>(block)]++ == 0) {
      kept_.Hold(block);
      ++used_;
    }
  if (part) {
    const bool is_released = kept_.released(part->block);
    if (options_.copies_parts && needed + (is_released ? 1 : 0) <= available) {
      found.copy = CopyOf(part->block);
      block_table->push_back(found.copy->to);
      found.tokens += part->tokens;
    } else if (is_released) {
      kept_.Forget(part->block);
      CountTaken(part->block);
      block_table->push_back(part->block);
      found.tokens += part->tokens;
    }
  }
  Grow(block_table, length);
  return found;
}

// Taken while the kept block is held, so that it is not the one that is evicted.
BlockCopy BlockPool::CopyOf(int kept) {
  const bool is_released = kept_.released(kept);
  if (is_released) kept_.Hold(kept);
  const BlockCopy copy{kept, Take()};
  if (is_released) kept_.Release(kept, KeptBlocks::Clock::now());
  return copy;
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
  CountTaken(block);
  return block;
}

void BlockPool::CountTaken(int block) {
  holders_[static_cast<size_t>(block)] = 1;
  ++used_;
  ++allocations_;
}

}  // namespace embedded
