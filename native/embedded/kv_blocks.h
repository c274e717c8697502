// The blocks of the paged KV cache (arXiv:2309.06180): which are free, how often the others are held, and which are kept
// for later requests that start with the same tokens. Their memory belongs to the model runner.
#ifndef EMBEDDED_KV_BLOCKS_H_
#define EMBEDDED_KV_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "native/embedded/block_key.h"
#include "native/embedded/host_blocks.h"
#include "native/embedded/kept_blocks.h"
#include "native/embedded/kv_events.h"
#include "native/embedded/retention.h"

namespace embedded {

struct BlockPoolOptions {
  bool reuses_parts = false;  // blocks that begin like the rest of a prompt
  bool copies_parts = true;   // else they are reused only where nobody holds them, and are given up for it
  int host_blocks = 0;        // in host memory, for kept blocks whose place on the device is needed
  int offload_min_priority = kDefaultOffloadMinPriority;  // of those that go there
  KvEvents* events = nullptr;                             // told of what is kept; null: nobody listens
};

enum class CopyWay { kOnDevice, kToHost, kFromHost };

// What a block holds is copied: because a sequence is about to write to it and others have it too, or to or from host
// memory, whose blocks have numbers of their own.
struct BlockCopy {
  int from;
  int to;
  CopyWay way = CopyWay::kOnDevice;
};

// What a sequence that begins looks for.
struct KeptPrefix {
  BlockKey root;
  const std::vector<BlockKey>& keys;  // of the blocks that the tokens fill
  const int32_t* tokens;
  size_t count;  // tokens to find at most
};

// What it begins with.
struct FoundPrefix {
  size_t blocks;  // that it shares
  size_t tokens;  // with those of a block that begins alike, which it has for itself
};

// Which blocks are free, and how many block tables hold each of the others. Last freed, first used: it is likely
// still in a CPU cache. A block that nobody holds and that is kept counts as free, and is used last.
class BlockPool {
 public:
  BlockPool(int blocks, int tokens_per_block, BlockPoolOptions options = {})
      : blocks_(blocks),
        tokens_per_block_(tokens_per_block),
        options_(options),
        host_(options.host_blocks, options.offload_min_priority) {}

  int blocks() const { return blocks_; }
  int tokens_per_block() const { return tokens_per_block_; }
  int free_blocks() const { return blocks_ - used_; }
  int used_blocks() const { return used_; }
  uint64_t allocations() const { return allocations_; }
  // How many of those had been kept for others until then.
  uint64_t evictions() const { return evictions_; }

  // Lengthens the table until it holds `tokens`; false, and nothing done, if there are too few free blocks.
  bool Grow(std::vector<int>* block_table, size_t tokens);
  // A table that holds the same blocks.
  std::vector<int> Share(const std::vector<int>& block_table);
  // More than one table holds it, so what is written to it must be written to a copy.
  bool shared(int block) const { return holders_[static_cast<size_t>(block)] > 1; }
  // Takes a block, a copy, in place of a shared one. False, and nothing done, if none is free.
  bool Unshare(int* block);
  void Free(std::vector<int>* block_table);

  // Keeps a block of a table for others: what is in it has this key, and is not written again while it is kept. Without
  // effect where another block of this key is kept.
  void Keep(int block, BlockContent content, const Retention& retention);
  // The same of a block that is not full, where it can be found and this table alone holds it.
  void KeepPart(int block, BlockContent content, const Retention& retention) {
    if (options_.reuses_parts && !shared(block)) Keep(block, std::move(content), retention);
  }
  // Makes an empty table hold the kept blocks of the prefix and grows it to `length` tokens. Nothing, and nothing done, if
  // there are too few free blocks.
  std::optional<FoundPrefix> GrowFromKept(std::vector<int>* block_table, const KeptPrefix& prefix, size_t length);
  void SetRetention(int block, const Retention& retention);

  // Copies that all this needs, in this order, before a block is written again: a later one may reuse a block.
  std::vector<BlockCopy> TakeCopies() { return std::exchange(copies_, {}); }

 private:
  // A block that begins like the rest of a prefix.
  enum class PartUse { kCopy, kCopyFromHost, kTakeOver };
  struct Part {
    int block;
    size_t tokens;
    PartUse use;
    bool is_released;  // on the device
  };
  size_t BlocksFor(size_t tokens) const { return (tokens + tokens_per_block_ - 1) / tokens_per_block_; }
  int Take();
  void CountTaken(int block);
  // `has_room`: for a copy besides it.
  std::optional<Part> FindPart(const KeptPrefix& prefix, size_t shared, bool has_room) const;
  void HoldPart(const Part& part);
  int OwnBlockOf(const Part& part);
  int Onboard(int place);
  // To who listens: the device no longer keeps what has this key.
  void TellGivenUp(const BlockKey& key);

  int blocks_;
  int tokens_per_block_;
  BlockPoolOptions options_;
  int used_ = 0;
  std::vector<int> holders_;  // by block: tables that hold it; blocks past the end were never used
  std::vector<int> free_;     // that nobody holds and that are not kept
  KeptBlocks kept_;
  HostBlocks host_;
  std::vector<BlockCopy> copies_;
  uint64_t allocations_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_KV_BLOCKS_H_
