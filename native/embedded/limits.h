// What a caller's ExecutorConfig and the engine's own plan come to.
#ifndef EMBEDDED_LIMITS_H_
#define EMBEDDED_LIMITS_H_

#include <cstdint>
#include <limits>
#include <optional>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/kv_blocks.h"
#include "native/embedded/prompt_lookup.h"
#include "native/executor/executor.h"

namespace embedded {

// The most that a device lists for each beam of a search.
constexpr int kMaxBeamCandidates = 512;

// What a device takes where neither the caller nor the engine says less.
struct DeviceDefaults {
  int max_batch_size;
  int max_num_tokens;
  double kv_memory_fraction;      // of the free memory
  bool takes_device_ids = false;  // parallel.device_ids may name one for each rank
  bool has_own_memory = false;    // beside the host's
};

// Of the cache of LoRA adapters.
struct AdapterLimits {
  int max_rank;
  uint64_t host_bytes;
  double device_fraction;  // of the memory that is free once the engine is loaded; of a device with memory of its own
};

struct Limits {
  int max_batch_size;  // sequences in one step
  int max_num_tokens;  // tokens in one step; at least max_batch_size
  int max_input_len;   // prompt tokens
  int max_seq_len;     // prompt and output tokens of a sequence
  int max_beam_width;
  uint32_t max_queue_size = std::numeric_limits<uint32_t>::max();
  bool reuses_blocks;           // of earlier requests that start with the same tokens
  BlockPoolOptions block_pool;  // but for its host_blocks, which the runner knows
  uint64_t kv_host_bytes = 0;
  uint32_t event_buffer_size = 0;  // events of kept blocks; 0: nobody asks for them
  ExecutorKvDtype kv_dtype = KV_DTYPE_AUTO;
  bool is_guided;  // requests may say what their outputs must match
  bool request_stats;
  int max_draws;                                    // tokens that a step draws; at least max_batch_size
  std::optional<PromptLookupLimits> prompt_lookup;  // of requests that do not say whether they want it
  size_t draft_model_tokens = 0;          // drafts of its for a sequence in a step; 0: there is no draft model
  std::optional<AdapterLimits> adapters;  // requests may have one
  bool batch_invariant;                   // what runs beside a sequence may change no bit of its logits
  int kv_blocks = 0;                      // and their size, as the runner has them
  int tokens_per_block = 0;
};

// Throws executor::Failure: EXECUTOR_INVALID_OPTION for a value out of range, EXECUTOR_UNSUPPORTED for what only other
// executors do; each names the field.
Limits ResolveLimits(const ExecutorConfig& config, const EngineConfig& engine, const DeviceDefaults& defaults);

// The caller's value where its bit is set, else `otherwise`. Throws EXECUTOR_INVALID_OPTION unless it is from 1 to
// `largest`.
int ResolveSize(const ExecutorConfig& config, uint32_t bit, const char* name, uint32_t value, uint32_t largest,
                int otherwise);

// What a device has for the KV cache.
struct KvMemorySize {
  uint64_t block_bytes;
  int tokens_per_block;
  uint64_t free_bytes;
  double default_fraction;  // DeviceDefaults::kv_memory_fraction
};
// How many KV blocks to have: what the caller set, else what the largest batch needs, within the part of the device's
// free memory that the caller set or the device takes by default. Throws EXECUTOR_OUT_OF_MEMORY if that is not one block.
int ResolveKvBlocks(const ExecutorConfig& config, const Limits& limits, const KvMemorySize& memory);

}  // namespace embedded

#endif  // EMBEDDED_LIMITS_H_
