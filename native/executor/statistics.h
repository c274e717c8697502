// What an executor counts: what TensorRT-LLM calls IterationStats and RequestStats.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_STATISTICS_H_
#define NODE_TENSORRT_LLM_EXECUTOR_STATISTICS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ExecutorStage {
  STAGE_QUEUED = 0,
  STAGE_CONTEXT = 1,
  STAGE_GENERATION = 2,
  STAGE_COMPLETE = 3,
} ExecutorStage;

typedef struct ExecutorRequestStats {
  uint64_t id;
  ExecutorStage stage;
  uint32_t prompt_tokens_computed;
  uint32_t generated_tokens;
  uint32_t scheduled;  // in the newest step, 0 or 1
  uint32_t paused;     // preempted, 0 or 1
  uint32_t kv_blocks_allocated;
  uint32_t kv_blocks_reused;
  uint32_t kv_blocks_missed;
  double decoded_tokens_per_step;
} ExecutorRequestStats;

// A snapshot. Counters run from create, and have counted what every row given so far came of.
typedef struct ExecutorStats {
  uint32_t size;
  uint32_t active_requests;
  uint32_t queued_requests;
  uint32_t max_active_requests;
  uint64_t steps;
  uint64_t completed_requests;
  uint64_t new_active_requests;  // became active, all in all
  double step_ms;                // the newest step
  double queue_ms;               // the mean wait of the requests that became active in the newest step
  uint32_t max_batch_size;       // in force; a tuner may move it below the configured one
  uint32_t max_num_tokens;
  uint64_t device_memory_bytes;
  uint64_t host_memory_bytes;
  uint64_t pinned_memory_bytes;
  // KV cache
  uint32_t kv_blocks;
  uint32_t kv_blocks_free;
  uint32_t kv_blocks_used;
  uint32_t tokens_per_block;
  uint64_t kv_blocks_allocated;
  uint64_t kv_blocks_allocated_new;
  uint64_t kv_blocks_reused;
  uint64_t kv_blocks_missed;
  // The newest step's batch
  uint32_t scheduled_requests;
  uint32_t context_requests;
  uint32_t generation_requests;
  uint32_t paused_requests;
  uint32_t context_tokens;
  uint32_t micro_batch;
  double decoded_tokens_per_step;
  // Speculative decoding
  uint64_t draft_tokens;
  uint64_t draft_tokens_accepted;
  uint64_t preemptions;
  uint32_t request_count;
  const ExecutorRequestStats* requests;  // [request_count] where config.request_stats asked for them
  double draft_ms;                       // of the newest step: what a draft model took before it
} ExecutorStats;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_STATISTICS_H_
