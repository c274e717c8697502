// Events of the library's KV cache, which 0.15 and newer give.
#ifndef ADAPTER_KV_EVENTS_H_
#define ADAPTER_KV_EVENTS_H_

#include <deque>
#include <optional>
#include <variant>

#include "native/executor/cpp/kv_event_batch.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

namespace kv_events {

template <typename Number>
void SetLora(const std::optional<Number>& lora_id, ExecutorKvBlock* block) {
  if (!lora_id) return;
  block->set = KV_BLOCK_LORA_ID;
  block->lora_id = static_cast<uint64_t>(*lora_id);
}

// Older versions always have one; 0 is none.
template <typename Number>
void SetLora(const Number& lora_id, ExecutorKvBlock* block) {
  if (lora_id != 0) SetLora(std::optional<Number>(lora_id), block);
}

template <typename Block>
void AddBlock(const Block& given, executor::OwnedKvEvent* to) {
  ExecutorKvBlock block{};
  block.hash = given.blockHash;
  SetLora(given.loraId, &block);
  block.priority = static_cast<uint32_t>(given.priority);
  block.cache_level = static_cast<uint32_t>(given.cacheLevel);
  block.token_count = static_cast<uint32_t>(given.tokens.size());
  for (const auto& token : given.tokens) to->tokens.push_back(static_cast<int32_t>(token.tokenId));
  to->blocks.push_back(block);
}

}  // namespace kv_events

// Of one event of the library. Its types are not named, because older versions do not have them.
template <typename Event>
executor::OwnedKvEvent OwnedOf(const Event& given) {
  executor::OwnedKvEvent made;
  ExecutorKvEvent& plain = made.plain;
  plain.id = given.eventId;
  IfHas(given, [&](const auto& event) -> decltype(void(event.windowSize)) {
    plain.window_size = static_cast<uint32_t>(event.windowSize);
  });
  const auto created = [&](const auto& data) -> decltype(void(data.numBlocksPerCacheLevel)) {
    plain.type = KV_EVENT_CREATED;
    for (const auto blocks : data.numBlocksPerCacheLevel) made.level_blocks.push_back(static_cast<uint32_t>(blocks));
  };
  const auto stored = [&](const auto& data) -> decltype(void(data.blocks)) {
    plain.type = KV_EVENT_STORED;
    if (data.parentHash) {
      plain.set = KV_EVENT_PARENT_HASH;
      plain.parent_hash = *data.parentHash;
    }
    for (const auto& block : data.blocks) kv_events::AddBlock(block, &made);
  };
  const auto removed = [&](const auto& data) -> decltype(void(data.blockHashes)) {
    plain.type = KV_EVENT_REMOVED;
    made.hashes.assign(data.blockHashes.begin(), data.blockHashes.end());
  };
  const auto updated = [&](const auto& data) -> decltype(void(data.blockHash)) {
    plain.type = KV_EVENT_UPDATED;
    plain.hash = data.blockHash;
    const auto take = [&](uint32_t bit, const auto& change, uint32_t* from, uint32_t* to) {
      if (!change) return;
      plain.set |= bit;
      *from = static_cast<uint32_t>(change->oldValue);
      *to = static_cast<uint32_t>(change->newValue);
    };
    take(KV_EVENT_CACHE_LEVEL, data.cacheLevel, &plain.old_cache_level, &plain.new_cache_level);
    take(KV_EVENT_PRIORITY, data.priority, &plain.old_priority, &plain.new_priority);
  };
  std::visit(
      [&](const auto& data) {
        IfHas(data, created);
        IfHas(data, stored);
        IfHas(data, removed);
        IfHas(data, updated);
      },
      given.data);
  return made;
}

// Whether the executor has them to give: not of ranks in other processes, nor in older versions.
bool HasKvEvents(const tle::Executor& executor);

// Those that have come since the last call. The library gives them somewhat later than the responses they came with.
std::deque<executor::OwnedKvEvent> TakeKvEvents(const tle::Executor& executor);

}  // namespace adapter

#endif  // ADAPTER_KV_EVENTS_H_
