// Codes, errors and the small structs that the parts of the contract share.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_TYPES_H_
#define NODE_TENSORRT_LLM_EXECUTOR_TYPES_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A number never gets a second meaning. The comment is the code TypeScript gives it.
typedef enum ExecutorCode {
  EXECUTOR_OK = 0,
  EXECUTOR_INTERNAL = 1,           // ERR_INTERNAL
  EXECUTOR_FAILED = 2,             // ERR_EXECUTOR_FAILED: fatal, no request runs any more
  EXECUTOR_UNAVAILABLE = 3,        // ERR_EXECUTOR_UNAVAILABLE
  EXECUTOR_ENGINE_NOT_FOUND = 4,   // ERR_ENGINE_NOT_FOUND
  EXECUTOR_ENGINE_CONFIG = 5,      // ERR_ENGINE_CONFIG
  EXECUTOR_ENGINE_RANKS = 6,       // ERR_ENGINE_RANKS
  EXECUTOR_ENGINE_WEIGHTS = 7,     // ERR_ENGINE_WEIGHTS
  EXECUTOR_MODEL_UNSUPPORTED = 8,  // ERR_MODEL_UNSUPPORTED
  EXECUTOR_INVALID_OPTION = 9,     // ERR_INVALID_OPTION
  EXECUTOR_INVALID_INPUT = 10,     // ERR_INVALID_INPUT
  EXECUTOR_EMPTY_PROMPT = 11,      // ERR_EMPTY_PROMPT
  EXECUTOR_PROMPT_TOO_LONG = 12,   // ERR_PROMPT_TOO_LONG
  EXECUTOR_UNSUPPORTED = 13,       // ERR_UNSUPPORTED
  EXECUTOR_QUEUE_FULL = 14,        // ERR_QUEUE_FULL
  EXECUTOR_OUT_OF_MEMORY = 15,     // ERR_OUT_OF_MEMORY
  EXECUTOR_CLOSED = 16,            // ERR_CLOSED: submitted after shutdown
  EXECUTOR_LOAD_ABORTED = 17,      // none: `on_progress` answered 0
} ExecutorCode;

// Owned by the caller, who sets `size`; nothing past it is written. Written on failure only.
typedef struct ExecutorError {
  uint32_t size;
  ExecutorCode code;
  uint32_t has_request_id;  // 1 if the error concerns request_id alone
  uint32_t reserved;
  uint64_t request_id;
  char field[64];      // ends in 0: the option it is about, as "kv_cache.max_tokens"; empty: none
  char message[1000];  // ends in 0: what was found, what was expected, how to fix it
} ExecutorError;

typedef enum ExecutorDataType {
  DATA_TYPE_FLOAT32 = 0,
  DATA_TYPE_FLOAT16 = 1,
  DATA_TYPE_BFLOAT16 = 2,
  DATA_TYPE_FLOAT8_E4M3 = 3,
  DATA_TYPE_INT64 = 4,
  DATA_TYPE_INT32 = 5,
  DATA_TYPE_INT8 = 6,
  DATA_TYPE_UINT8 = 7,
  DATA_TYPE_BOOL = 8,
} ExecutorDataType;

// Row-major, in host memory.
typedef struct ExecutorTensor {
  const void* data;
  ExecutorDataType data_type;
  uint32_t rank;
  int64_t shape[4];
} ExecutorTensor;

typedef struct ExecutorNamedTensor {
  const char* name;
  ExecutorTensor tensor;
} ExecutorNamedTensor;

// `count` lists back to back; list i is tokens[offsets[i] .. offsets[i + 1]).
typedef struct ExecutorTokenLists {
  const int32_t* tokens;
  const uint32_t* offsets;  // [count + 1]
  uint32_t count;
} ExecutorTokenLists;

// Handed from a context-only request's last row to a generation-only request.
typedef struct ExecutorContextPhase {
  uint32_t size;
  uint32_t first_token_count;
  uint64_t request_id;
  const int32_t* first_tokens;
  const int32_t* draft_tokens;
  uint32_t draft_token_count;
  const uint8_t* state;  // opaque
  size_t state_bytes;
} ExecutorContextPhase;

// Both the config and a request carry the next two.

typedef struct ExecutorLookahead {
  uint32_t window;
  uint32_t ngram;
  uint32_t verification_set;
} ExecutorLookahead;

enum {
  EAGLE_GREEDY = 1u << 0,
  EAGLE_POSTERIOR_THRESHOLD = 1u << 1,
  EAGLE_DYNAMIC_TREE = 1u << 2,
  EAGLE_DYNAMIC_TREE_TOP_K = 1u << 3,
};
typedef struct ExecutorEagle {
  uint32_t size;
  uint32_t set;
  ExecutorTokenLists choices;  // paths of the draft tree; none: the engine's
  uint32_t greedy;             // 0 or 1
  float posterior_threshold;
  uint32_t dynamic_tree;  // 0 or 1
  uint32_t dynamic_tree_top_k;
} ExecutorEagle;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_TYPES_H_
