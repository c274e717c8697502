// What a caller's ExecutorConfig and the engine's own plan come to.
#ifndef EMBEDDED_LIMITS_H_
#define EMBEDDED_LIMITS_H_

#include <cstdint>
#include <limits>

#include "native/embedded/checkpoint/config.h"
#include "native/executor/executor.h"

namespace embedded {

struct Limits {
  int threads;
  int max_batch_size;  // sequences in one step
  int max_num_tokens;  // tokens in one step; at least max_batch_size
  int max_input_len;   // prompt tokens
  int max_seq_len;     // prompt and output tokens of a sequence
  uint32_t max_queue_size = std::numeric_limits<uint32_t>::max();
  bool request_stats;
};

// Throws executor::Failure: EXECUTOR_INVALID_OPTION for a value out of range, EXECUTOR_UNSUPPORTED for what only other
// executors do; each names the field.
Limits ResolveLimits(const ExecutorConfig& config, const EngineConfig& engine);

// How many KV blocks to have: what the caller set, else what the largest batch needs, within half of the memory that is
// free now. Throws EXECUTOR_OUT_OF_MEMORY if that is not one block.
int ResolveKvBlocks(const ExecutorConfig& config, const ModelConfig& model, const Limits& limits);

}  // namespace embedded

#endif  // EMBEDDED_LIMITS_H_
