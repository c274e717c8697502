// What happened to the KV blocks that are kept for later prompts: what TensorRT-LLM's KVCacheEventManager gives. Who follows the
// events knows which prompts find their start in the cache.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_
#define NODE_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ExecutorKvEventType {
  KV_EVENT_CREATED = 0,  // the cache is new and empty: the first event
  KV_EVENT_STORED = 1,   // blocks that follow each other can be found by prompts from now on
  KV_EVENT_REMOVED = 2,  // blocks cannot be found any more
  KV_EVENT_UPDATED = 3,  // a block has another cache level or priority
} ExecutorKvEventType;

typedef enum ExecutorCacheLevel {
  CACHE_LEVEL_DEVICE = 0,
  CACHE_LEVEL_HOST = 1,
} ExecutorCacheLevel;

enum {
  KV_BLOCK_LORA_ID = 1u << 0,
};
typedef struct ExecutorKvBlock {
  uint64_t hash;
  uint64_t lora_id;  // of the adapter it was computed with
  uint32_t set;
  uint32_t priority;      // 0 to 100
  uint32_t cache_level;   // an ExecutorCacheLevel
  uint32_t token_count;   // fewer than tokens_per_block where a sequence ended in it
  const int32_t* tokens;  // [token_count]
} ExecutorKvBlock;

enum {
  KV_EVENT_PARENT_HASH = 1u << 0,
  KV_EVENT_CACHE_LEVEL = 1u << 1,
  KV_EVENT_PRIORITY = 1u << 2,
};
typedef struct ExecutorKvEvent {
  uint64_t id;  // counted from 0; where one is missing, events were lost because nobody took them in time
  ExecutorKvEventType type;
  uint32_t set;
  uint32_t window_size;  // tokens of the attention window that the blocks are of; 0: the whole context
  // KV_EVENT_CREATED
  uint32_t level_count;
  const uint32_t* level_blocks;  // [level_count], by cache level: how many blocks it has
  // KV_EVENT_STORED
  uint64_t parent_hash;           // of the block before the first one; unset: it starts a prompt
  const ExecutorKvBlock* blocks;  // [block_count], each after the one before it
  uint32_t block_count;
  // KV_EVENT_REMOVED
  uint32_t hash_count;
  const uint64_t* hashes;  // [hash_count]
  // KV_EVENT_UPDATED
  uint64_t hash;
  uint32_t old_cache_level;
  uint32_t new_cache_level;
  uint32_t old_priority;
  uint32_t new_priority;
} ExecutorKvEvent;

typedef struct ExecutorKvEvents {
  uint32_t size;
  uint32_t event_count;
  const ExecutorKvEvent* events;  // [event_count], in their order
} ExecutorKvEvents;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_KV_EVENTS_H_
