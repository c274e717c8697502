#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "tensorrt_llm/executor/types.h"
#include "tensorrt_llm/runtime/common.h"

namespace tensorrt_llm::executor {

struct KVCacheCreatedData {
  std::vector<SizeType32> numBlocksPerCacheLevel;
};

struct KVCacheStoredBlockData {
  KVCacheStoredBlockData(IdType blockHash, runtime::VecUniqueTokens tokens,
                         std::optional<runtime::LoraTaskIdType> loraId, SizeType32 cacheLevel, SizeType32 priority)
      : blockHash(blockHash), tokens(std::move(tokens)), loraId(loraId), cacheLevel(cacheLevel), priority(priority) {}

  IdType blockHash;
  runtime::VecUniqueTokens tokens;
  std::optional<runtime::LoraTaskIdType> loraId;
  SizeType32 cacheLevel;
  SizeType32 priority;
};

struct KVCacheStoredData {
  std::optional<IdType> parentHash;
  std::vector<KVCacheStoredBlockData> blocks;
};

struct KVCacheRemovedData {
  std::vector<IdType> blockHashes;
};

template <typename T>
struct KVCacheEventDiff {
  T oldValue;
  T newValue;
};

struct KVCacheUpdatedData {
  explicit KVCacheUpdatedData(IdType blockHash) : blockHash(blockHash) {}

  IdType blockHash;
  std::optional<KVCacheEventDiff<SizeType32>> cacheLevel = std::nullopt;
  std::optional<KVCacheEventDiff<SizeType32>> priority = std::nullopt;
};

using KVCacheEventData = std::variant<KVCacheCreatedData, KVCacheStoredData, KVCacheRemovedData, KVCacheUpdatedData>;

struct KVCacheEvent {
  KVCacheEvent(IdType eventId, KVCacheEventData data, SizeType32 windowSize)
      : eventId(eventId), data(std::move(data)), windowSize(windowSize) {}

  IdType eventId;
  KVCacheEventData data;
  SizeType32 windowSize;
};

class KVCacheEventManager {
 public:
  explicit KVCacheEventManager(std::function<std::deque<KVCacheEvent>()> take) : take_(std::move(take)) {}

  // NVIDIA's waits until there are some.
  std::deque<KVCacheEvent> getLatestEvents(std::optional<std::chrono::milliseconds> /*timeout*/ = std::nullopt) {
    return take_();
  }

 private:
  std::function<std::deque<KVCacheEvent>()> take_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_
