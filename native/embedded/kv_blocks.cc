#include "native/embedded/kv_blocks.h"

#include <algorithm>
#include <utility>

namespace embedded {
namespace {

constexpr int kOnHost = -1;  // in a table, for a block that is yet to come from there

}  // namespace

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
  copies_.push_back({*block, own});
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
  if (options_.events != nullptr && !kept_.Find(content.key)) {
    if (host_.Find(content.key))  // it was computed once more
      options_.events->Move(content.key, CACHE_LEVEL_HOST, CACHE_LEVEL_DEVICE);
    else
      options_.events->Store(content, retention.priority);
  }
  if (!options_.reuses_parts) content.tokens.clear();
  kept_.Keep(block, std::move(content), retention);
}

void BlockPool::SetRetention(int block, const Retention& retention) {
  const int before = kept_.retention(block).priority;
  if (options_.events != nullptr && before != retention.priority)
    options_.events->ChangePriority(kept_.key(block), before, retention.priority);
  kept_.SetRetention(block, retention);
}

std::optional<FoundPrefix> BlockPool::GrowFromKept(std::vector<int>* block_table, const KeptPrefix& prefix,
                                                   size_t length) {
  const size_t tokens_per_block = static_cast<size_t>(tokens_per_block_);
  block_table->reserve(BlocksFor(length));
  size_t released = 0;
  std::vector<std::pair<size_t, int>> on_host;  // place in the table, and in host memory
  for (size_t i = 0; i < prefix.count / tokens_per_block; ++i) {
    const auto block = kept_.Find(prefix.keys[i]);
    const auto place = block ? std::nullopt : host_.Find(prefix.keys[i]);
    if (!block && !place) break;
    if (place) on_host.push_back({i, *place});
    block_table->push_back(block.value_or(kOnHost));
    if (block) released += kept_.released(*block);
  }
  const size_t shared = block_table->size();
  const size_t needed = BlocksFor(length) - shared + on_host.size();
  const size_t available = static_cast<size_t>(free_blocks()) - released;
  if (needed > available) {
    block_table->clear();
    return std::nullopt;
  }
  const auto part = FindPart(prefix, shared, needed < available);
  // What is found is held before a block is taken, so that it is not given up for that.
  for (const int block : *block_table)
    if (block != kOnHost && holders_[static_cast<size_t>(block)]++ == 0) {
      kept_.Hold(block);
      ++used_;
    }
  for (const auto& [index, place] : on_host) host_.Hold(place);
  if (part) HoldPart(*part);
  for (const auto& [index, place] : on_host) (*block_table)[index] = Onboard(place);
  if (part) block_table->push_back(OwnBlockOf(*part));
  Grow(block_table, length);
  return FoundPrefix{shared, shared * tokens_per_block + (part ? part->tokens : 0)};
}

std::optional<BlockPool::Part> BlockPool::FindPart(const KeptPrefix& prefix, size_t shared, bool has_room) const {
  const size_t tokens_per_block = static_cast<size_t>(tokens_per_block_), begin = shared * tokens_per_block;
  if (!options_.reuses_parts || begin >= prefix.count) return std::nullopt;
  const BlockKey& before = shared == 0 ? prefix.root : prefix.keys[shared - 1];
  const int32_t* const tokens = prefix.tokens + begin;
  const size_t count = std::min(prefix.count - begin, tokens_per_block);
  const auto on_device = kept_.FindPart(before, tokens, count);
  const auto on_host = host_.FindPart(before, tokens, count);
  if (on_host && on_host->tokens > (on_device ? on_device->tokens : 0))
    return Part{on_host->block, on_host->tokens, PartUse::kCopyFromHost, false};
  if (!on_device) return std::nullopt;
  const bool is_released = kept_.released(on_device->block);
  const bool goes_on = is_released && on_device->is_whole;  // the end of a sequence: nothing of it is lost
  if (options_.copies_parts && !goes_on && (has_room || !is_released))
    return Part{on_device->block, on_device->tokens, PartUse::kCopy, is_released};
  if (!is_released) return std::nullopt;
  return Part{on_device->block, on_device->tokens, PartUse::kTakeOver, true};
}

void BlockPool::HoldPart(const Part& part) {
  if (part.use == PartUse::kCopyFromHost) return host_.Hold(part.block);
  if (part.is_released) kept_.Hold(part.block);
  if (part.use == PartUse::kCopy) return;
  TellGivenUp(kept_.Forget(part.block).content.key);
  ++evictions_;
  CountTaken(part.block);
}

int BlockPool::OwnBlockOf(const Part& part) {
  if (part.use == PartUse::kTakeOver) return part.block;
  const int own = Take();
  const bool from_host = part.use == PartUse::kCopyFromHost;
  copies_.push_back({part.block, own, from_host ? CopyWay::kFromHost : CopyWay::kOnDevice});
  const auto now = KeptBlocks::Clock::now();
  if (from_host) host_.Release(part.block, now);
  if (part.is_released) kept_.Release(part.block, now);
  return own;
}

// A block with what is in host memory, which then is free there.
int BlockPool::Onboard(int place) {
  const int block = Take();
  copies_.push_back({place, block, CopyWay::kFromHost});
  KeptBlock kept = host_.Take(place);
  if (options_.events != nullptr) options_.events->Move(kept.content.key, CACHE_LEVEL_HOST, CACHE_LEVEL_DEVICE);
  kept_.Keep(block, std::move(kept.content), kept.retention);
  return block;
}

int BlockPool::Take() {
  int block = static_cast<int>(holders_.size());
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (block < blocks_) {
    holders_.push_back(0);
  } else {
    const auto now = KeptBlocks::Clock::now();
    KeptBlock evicted = kept_.Evict(now);
    ++evictions_;
    block = evicted.block;
    const BlockKey key = evicted.content.key;
    std::optional<BlockKey> dropped;
    const auto place = host_.Put(std::move(evicted), now, &dropped);
    if (place) copies_.push_back({block, *place, CopyWay::kToHost});
    if (dropped && !kept_.Find(*dropped)) TellGivenUp(*dropped);
    TellGivenUp(key);
  }
  CountTaken(block);
  return block;
}

void BlockPool::TellGivenUp(const BlockKey& key) {
  if (options_.events == nullptr) return;
  if (host_.Find(key))
    options_.events->Move(key, CACHE_LEVEL_DEVICE, CACHE_LEVEL_HOST);
  else
    options_.events->Remove(key);
}

void BlockPool::CountTaken(int block) {
  holders_[static_cast<size_t>(block)] = 1;
  ++used_;
  ++allocations_;
}

}  // namespace embedded
