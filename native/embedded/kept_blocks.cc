#include "native/embedded/kept_blocks.h"

#include <algorithm>

namespace embedded {

std::optional<int> KeptBlocks::Find(const BlockKey& key) const {
  const auto found = blocks_.find(key);
  return found == blocks_.end() ? std::nullopt : std::optional(found->second);
}

void KeptBlocks::Keep(int block, BlockContent content, const Retention& retention) {
  const auto [found, is_new] = blocks_.emplace(content.key, block);
  if (!is_new) return;
  entries_.resize(std::max(entries_.size(), static_cast<size_t>(block) + 1));
  Entry& entry = entries_[static_cast<size_t>(block)];
  entry.kept = true;
  entry.key = content.key;
  entry.before = content.before;
  if (!content.tokens.empty()) entry.next = next_.Add(content.before, std::move(content.tokens), block);
  entry.retention = retention;
}

void KeptBlocks::SetRetention(int block, const Retention& retention) {
  entries_[static_cast<size_t>(block)].retention = retention;
}

void KeptBlocks::Release(int block, Clock::time_point now) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  entry.place = Place(entry.retention.priority, releases_++);
  evictable_.emplace(*entry.place, block);
  if (entry.retention.duration) entry.expiry = expiries_.emplace(now + *entry.retention.duration, block);
}

void KeptBlocks::Hold(int block) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  evictable_.erase(*std::exchange(entry.place, std::nullopt));
  if (entry.expiry) expiries_.erase(*std::exchange(entry.expiry, std::nullopt));
}

KeptBlock KeptBlocks::Evict(Clock::time_point now) {
  ExpirePriorities(now);
  const int block = evictable_.begin()->second;
  const auto expiry = entries_[static_cast<size_t>(block)].expiry;
  std::optional<std::chrono::milliseconds> left;
  if (expiry) left = std::chrono::ceil<std::chrono::milliseconds>((*expiry)->first - now);
  Hold(block);
  KeptBlock evicted = Forget(block);
  evicted.retention.duration = left;
  return evicted;
}

KeptBlock KeptBlocks::Forget(int block) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  blocks_.erase(entry.key);
  KeptBlock forgotten{block, {entry.key, entry.before, {}}, entry.retention};
  if (entry.next) forgotten.content.tokens = next_.Remove(*entry.next);
  entry = {};
  return forgotten;
}

std::optional<int> KeptBlocks::LowestPriority(Clock::time_point now) {
  ExpirePriorities(now);
  return evictable_.empty() ? std::nullopt : std::optional(evictable_.begin()->first.first);
}

void KeptBlocks::ExpirePriorities(Clock::time_point now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const int block = expiries_.begin()->second;
    Entry& entry = entries_[static_cast<size_t>(block)];
    const uint64_t order = entry.place->second;
    Hold(block);
    entry.retention = {};
    entry.place = Place(kDefaultPriority, order);
    evictable_.emplace(*entry.place, block);
  }
}

}  // namespace embedded
