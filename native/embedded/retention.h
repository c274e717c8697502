// How long a request wants its KV blocks to stay in the cache when nobody uses them any more.
#ifndef EMBEDDED_RETENTION_H_
#define EMBEDDED_RETENTION_H_

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace embedded {

constexpr int kHighestPriority = 100;
// TensorRT-LLM's:
constexpr int kDefaultPriority = 35;
constexpr int kDefaultOffloadMinPriority = 30;

// Of one block.
struct Retention {
  int priority = kDefaultPriority;                    // 0 to 100; the lowest is evicted first
  std::optional<std::chrono::milliseconds> duration;  // from when it was last used; then the default priority applies
};

// Of all blocks of a sequence, by the position of their first token.
struct RetentionPlan {
  struct Range {
    size_t start;
    size_t end;  // exclusive
    Retention retention;
  };
  std::vector<Range> ranges;  // not overlapping

  // None: nothing was asked for.
  std::optional<Retention> At(size_t position) const {
    for (const Range& range : ranges)
      if (position >= range.start && position < range.end) return range.retention;
    return std::nullopt;
  }
};

}  // namespace embedded

#endif  // EMBEDDED_RETENTION_H_
