// What happens to the KV blocks that are kept for later prompts, for who asks to hear of it (kv_cache.event_buffer_size).
#ifndef EMBEDDED_KV_EVENTS_H_
#define EMBEDDED_KV_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

#include "native/embedded/block_key.h"
#include "native/embedded/kept_blocks.h"
#include "native/executor/cpp/kv_event_batch.h"

namespace embedded {

// Holds the newest events until they are taken; older ones are dropped, and their ids are missing then. The step thread adds
// events while another takes them. A block is known by the low half of its key.
class KvEvents {
 public:
  KvEvents(size_t most_events, int device_blocks, int host_blocks);

  // A block can be found from now on, on the device. One that follows the newest event's last block becomes part of it.
  void Store(const BlockContent& content, int priority);
  void Remove(const BlockKey& key);
  void Move(const BlockKey& key, ExecutorCacheLevel from, ExecutorCacheLevel to);
  void ChangePriority(const BlockKey& key, int from, int to);

  // What came since the last call, valid until the next one. It waits for nothing that computes.
  const ExecutorKvEvents* Take();

 private:
  // With the lock held. The event is the newest until the next call.
  executor::OwnedKvEvent* Add(ExecutorKvEventType type);
  executor::OwnedKvEvent* NewestOf(ExecutorKvEventType type);

  const size_t most_events_;
  std::mutex mutex_;  // of the next two
  std::deque<executor::OwnedKvEvent> events_;
  uint64_t next_id_ = 0;
  executor::KvEventBatch taken_;  // used by the thread in Take alone
};

}  // namespace embedded

#endif  // EMBEDDED_KV_EVENTS_H_
