// C++ only: events of the KV cache that own what they point to, and the ExecutorKvEvents made of them.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_KV_EVENT_BATCH_H_
#define NODE_TENSORRT_LLM_EXECUTOR_KV_EVENT_BATCH_H_

#include <deque>
#include <utility>
#include <vector>

#include "native/executor/executor.h"

namespace executor {

struct OwnedKvEvent {
  ExecutorKvEvent plain{};  // but for its pointers and their counts
  std::vector<uint32_t> level_blocks;
  std::vector<ExecutorKvBlock> blocks;  // but for their tokens
  std::vector<int32_t> tokens;          // of all blocks, one after another
  std::vector<uint64_t> hashes;

  // Points to what this owns.
  ExecutorKvEvent Complete() {
    const int32_t* next = tokens.data();
    for (ExecutorKvBlock& block : blocks) {
      block.tokens = next;
      next += block.token_count;
    }
    ExecutorKvEvent event = plain;
    event.level_blocks = level_blocks.data();
    event.level_count = static_cast<uint32_t>(level_blocks.size());
    event.blocks = blocks.data();
    event.block_count = static_cast<uint32_t>(blocks.size());
    event.hashes = hashes.data();
    event.hash_count = static_cast<uint32_t>(hashes.size());
    return event;
  }
};

class KvEventBatch {
 public:
  // What it gives is valid until the next call.
  const ExecutorKvEvents* Give(std::deque<OwnedKvEvent> events) {
    owned_ = std::move(events);
    plain_.clear();
    for (OwnedKvEvent& event : owned_) plain_.push_back(event.Complete());
    given_ = {sizeof(given_), static_cast<uint32_t>(plain_.size()), plain_.data()};
    return &given_;
  }

 private:
  std::deque<OwnedKvEvent> owned_;
  std::vector<ExecutorKvEvent> plain_;
  ExecutorKvEvents given_{};
};

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_KV_EVENT_BATCH_H_
