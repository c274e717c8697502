// KV blocks whose contents are known by their keys, and the order in which those that nobody holds are given up.
#ifndef EMBEDDED_KEPT_BLOCKS_H_
#define EMBEDDED_KEPT_BLOCKS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/embedded/block_key.h"
#include "native/embedded/next_blocks.h"
#include "native/embedded/retention.h"

namespace embedded {

// What a block holds.
struct BlockContent {
  BlockKey key;
  BlockKey before;              // of the block before it, or the root's
  std::vector<int32_t> tokens;  // none where nobody looks for a part of them
  // What is told when it is kept, and not remembered:
  bool starts_prompt = false;            // no block is before it
  std::optional<uint64_t> lora_id = {};  // of the adapter it was computed with
};

struct KeptBlock {
  int block;
  BlockContent content;
  Retention retention;
};

class KeptBlocks {
 public:
  using Clock = std::chrono::steady_clock;

  bool Has(int block) const {
    return static_cast<size_t>(block) < entries_.size() && entries_[static_cast<size_t>(block)].kept;
  }
  std::optional<int> Find(const BlockKey& key) const;
  // The block that has the most of these tokens at its start, if one has any.
  std::optional<NextBlocks::Match> FindPart(const BlockKey& before, const int32_t* tokens, size_t count) const {
    return next_.Find(before, tokens, count);
  }
  // From now on this block, which is held, is the one of this key, unless another already is.
  void Keep(int block, BlockContent content, const Retention& retention);
  // Of a block that is kept.
  const BlockKey& key(int block) const { return entries_[static_cast<size_t>(block)].key; }
  const Retention& retention(int block) const { return entries_[static_cast<size_t>(block)].retention; }
  // Of a block that is held.
  void SetRetention(int block, const Retention& retention);

  // Nobody holds the block any more: it may be evicted.
  void Release(int block, Clock::time_point now);
  bool released(int block) const { return entries_[static_cast<size_t>(block)].place.has_value(); }
  // A released block is held again.
  void Hold(int block);
  // Gives up a block that is held.
  KeptBlock Forget(int block);
  // Gives up the released block of the lowest priority, of those the one released first. There must be one.
  KeptBlock Evict(Clock::time_point now);
  // Of a released one, if there is one.
  std::optional<int> LowestPriority(Clock::time_point now);

 private:
  using Place = std::pair<int, uint64_t>;  // priority, then order of release
  using Expiry = std::multimap<Clock::time_point, int>::iterator;
  struct Entry {
    bool kept = false;
    BlockKey key;
    BlockKey before;
    std::optional<NextBlocks::Iterator> next;
    Retention retention;
    std::optional<Place> place;  // while it is released
    std::optional<Expiry> expiry;
  };

  void ExpirePriorities(Clock::time_point now);

  std::vector<Entry> entries_;  // by block
  std::unordered_map<BlockKey, int, HashOfKey> blocks_;
  NextBlocks next_;
  std::map<Place, int> evictable_;
  std::multimap<Clock::time_point, int> expiries_;  // of released blocks
  uint64_t releases_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_KEPT_BLOCKS_H_
