#include "native/embedded/kv_events.h"

#include <utility>

namespace embedded {

using executor::OwnedKvEvent;
using Lock = std::lock_guard<std::mutex>;

KvEvents::KvEvents(size_t most_events, int device_blocks, int host_blocks) : most_events_(most_events) {
  Add(KV_EVENT_CREATED)->level_blocks = {static_cast<uint32_t>(device_blocks), static_cast<uint32_t>(host_blocks)};
}

void KvEvents::Store(const BlockContent& content, int priority) {
  const Lock lock(mutex_);
  OwnedKvEvent* event = content.starts_prompt ? nullptr : NewestOf(KV_EVENT_STORED);
  if (event == nullptr || event->blocks.back().hash != content.before.low) {
    event = Add(KV_EVENT_STORED);
    if (!content.starts_prompt) {
      event->plain.set = KV_EVENT_PARENT_HASH;
      event->plain.parent_hash = content.before.low;
    }
  }
  ExecutorKvBlock block{};
  block.hash = content.key.low;
  if (content.lora_id) {
    block.set = KV_BLOCK_LORA_ID;
    block.lora_id = *content.lora_id;
  }
  block.priority = static_cast<uint32_t>(priority);
  block.cache_level = CACHE_LEVEL_DEVICE;
  block.token_count = static_cast<uint32_t>(content.tokens.size());
  event->blocks.push_back(block);
  event->tokens.insert(event->tokens.end(), content.tokens.begin(), content.tokens.end());
}

void KvEvents::Remove(const BlockKey& key) {
  const Lock lock(mutex_);
  OwnedKvEvent* event = NewestOf(KV_EVENT_REMOVED);
  if (event == nullptr) event = Add(KV_EVENT_REMOVED);
  event->hashes.push_back(key.low);
}

void KvEvents::Move(const BlockKey& key, ExecutorCacheLevel from, ExecutorCacheLevel to) {
  const Lock lock(mutex_);
  ExecutorKvEvent& event = Add(KV_EVENT_UPDATED)->plain;
  event.set = KV_EVENT_CACHE_LEVEL;
  event.hash = key.low;
  event.old_cache_level = from;
  event.new_cache_level = to;
}

void KvEvents::ChangePriority(const BlockKey& key, int from, int to) {
  const Lock lock(mutex_);
  ExecutorKvEvent& event = Add(KV_EVENT_UPDATED)->plain;
  event.set = KV_EVENT_PRIORITY;
  event.hash = key.low;
  event.old_priority = static_cast<uint32_t>(from);
  event.new_priority = static_cast<uint32_t>(to);
}

const ExecutorKvEvents* KvEvents::Take() {
  std::deque<OwnedKvEvent> events;
  {
    const Lock lock(mutex_);
    events.swap(events_);
  }
  return taken_.Give(std::move(events));
}

OwnedKvEvent* KvEvents::Add(ExecutorKvEventType type) {
  if (events_.size() == most_events_) events_.pop_front();
  OwnedKvEvent& event = events_.emplace_back();
  event.plain.id = next_id_++;
  event.plain.type = type;
  return &event;
}

OwnedKvEvent* KvEvents::NewestOf(ExecutorKvEventType type) {
  return events_.empty() || events_.back().plain.type != type ? nullptr : &events_.back();
}

}  // namespace embedded
