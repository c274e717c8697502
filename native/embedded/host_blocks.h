// Host memory that kept KV blocks are moved to when the device's own blocks are needed.
#ifndef EMBEDDED_HOST_BLOCKS_H_
#define EMBEDDED_HOST_BLOCKS_H_

#include <optional>
#include <utility>
#include <vector>

#include "native/embedded/kept_blocks.h"

namespace embedded {

// Numbers of blocks here are places in host memory, which belongs to the model runner.
class HostBlocks {
 public:
  using Clock = KeptBlocks::Clock;

  // Takes no block of a lower priority.
  HostBlocks(int blocks, int min_priority) : blocks_(blocks), min_priority_(min_priority) {}

  // A place for a block that the device gives up. None where it is not worth one, or is there already. `dropped`, if any, gets
  // the key of the block that gave up its place for it.
  std::optional<int> Put(KeptBlock block, Clock::time_point now, std::optional<BlockKey>* dropped = nullptr);
  std::optional<int> Find(const BlockKey& key) const { return kept_.Find(key); }
  std::optional<NextBlocks::Match> FindPart(const BlockKey& before, const int32_t* tokens, size_t count) const {
    return kept_.FindPart(before, tokens, count);
  }
  // Between these two it is not given up.
  void Hold(int place) { kept_.Hold(place); }
  void Release(int place, Clock::time_point now) { kept_.Release(place, now); }
  // What a held place has goes back to the device.
  KeptBlock Take(int place);

 private:
  int blocks_;
  int min_priority_;
  int used_ = 0;           // places past these were never used
  std::vector<int> free_;  // that were
  KeptBlocks kept_;
};

}  // namespace embedded

#endif  // EMBEDDED_HOST_BLOCKS_H_
