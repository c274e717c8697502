#include "native/embedded/host_blocks.h"

#include <utility>

namespace embedded {

std::optional<int> HostBlocks::Put(KeptBlock block, Clock::time_point now, std::optional<BlockKey>* dropped) {
  if (const auto there = kept_.Find(block.content.key)) {  // it was computed once more
    kept_.Hold(*there);
    kept_.Release(*there, now);
    return std::nullopt;
  }
  if (block.retention.priority < min_priority_) return std::nullopt;
  int place = used_;
  if (!free_.empty()) {
    place = free_.back();
    free_.pop_back();
  } else if (used_ < blocks_) {
    ++used_;
  } else {
    const auto lowest = kept_.LowestPriority(now);
    if (!lowest || *lowest > block.retention.priority) return std::nullopt;
    const KeptBlock evicted = kept_.Evict(now);
    place = evicted.block;
    if (dropped != nullptr) *dropped = evicted.content.key;
  }
  kept_.Keep(place, std::move(block.content), block.retention);
  kept_.Release(place, now);
  return place;
}

KeptBlock HostBlocks::Take(int place) {
  free_.push_back(place);
  return kept_.Forget(place);
}

}  // namespace embedded
