// The contract every executor meets: a C table of functions over plain structs. README.md beside this file maps
// TensorRT-LLM's Executor API to it, item by item.
//
// The rules of the boundary:
//  1. Only plain data crosses it: no C++ type, no exception, no ownership of memory.
//  2. A struct that starts with `size` holds sizeof(the struct) as the code that fills it was compiled. Fields are only
//     ever added at the end; a reader treats fields beyond `size` as unset.
//  3. `set` is a presence bit mask: a field whose bit is clear is unset, and the executor's own default holds. Fields
//     without a bit always hold. A null group is a group with nothing set.
//  4. What a caller passes is read during the call only. What `wait` gives is valid until the next `wait`, what
//     `describe` gives until `destroy`, what `stats` and `kv_events` give until the next call of the same.
//  5. Functions may run at the same time on different threads, but for: one thread at a time in `wait`, one in `stats`, one
//     in `kv_events`; `shutdown` when no `submit` runs or will run; `destroy` last and alone.
//  6. Each submitted id ends exactly once, by a row with ROW_REQUEST_FINAL. Only `shutdown` may leave ids without one.
//  7. Text is UTF-8, tokens are int32, times are milliseconds unless the name says otherwise.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_H_
#define NODE_TENSORRT_LLM_EXECUTOR_H_

#include "config.h"
#include "kv_events.h"
#include "request.h"
#include "response.h"
#include "statistics.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXECUTOR_ABI_VERSION 1u

typedef struct Executor Executor;

// What an executor can do beyond plain sampling (temperature, top-k, top-p, seed, end ids, max_tokens, cancel).
enum {
  CAN_MIN_P = 1ull << 0,
  CAN_LOGPROBS = 1ull << 1,
  CAN_TOP_LOGPROBS = 1ull << 2,
  CAN_PROMPT_LOGPROBS = 1ull << 3,
  CAN_CONTEXT_LOGITS = 1ull << 4,
  CAN_GENERATION_LOGITS = 1ull << 5,
  CAN_PENALTIES = 1ull << 6,  // repetition_penalty
  CAN_NO_REPEAT_NGRAM_SIZE = 1ull << 7,
  CAN_LOGIT_BIAS = 1ull << 8,
  CAN_MIN_TOKENS = 1ull << 9,
  CAN_STOP_TOKENS = 1ull << 10,
  CAN_BAD_TOKENS = 1ull << 11,
  CAN_SEVERAL_SEQUENCES = 1ull << 12,
  CAN_BEAM_SEARCH = 1ull << 13,
  CAN_PRIORITY = 1ull << 14,
  CAN_TIMEOUT = 1ull << 15,
  CAN_BLOCK_REUSE = 1ull << 16,
  CAN_KV_RETENTION = 1ull << 17,
  CAN_CACHE_SALT = 1ull << 18,
  CAN_LORA = 1ull << 19,
  CAN_GUIDED = 1ull << 20,
  CAN_LOOKAHEAD = 1ull << 21,
  CAN_DRAFT = 1ull << 22,
  CAN_EAGLE = 1ull << 23,
  CAN_PROMPT_TUNING = 1ull << 24,
  CAN_MULTIMODAL = 1ull << 25,
  CAN_DISAGGREGATED = 1ull << 26,
  CAN_ADDITIONAL_OUTPUTS = 1ull << 27,
  CAN_OUTPUT_PENALTIES = 1ull << 28,  // presence_penalty and frequency_penalty, with prompt_ignore_length
  CAN_EMBEDDINGS = 1ull << 29,        // REQUEST_EMBEDDING
  CAN_PROMPT_LOOKUP = 1ull << 30,
  CAN_KV_EVENTS = 1ull << 31,  // kv_cache->event_buffer_size is set: kv_events gives events
};

typedef struct ExecutorInfo {
  uint32_t size;
  uint32_t vocab_size;  // columns of logits
  uint64_t capabilities;
  const char* name;     // "cpu", "cuda", "tensorrt-llm"
  const char* version;  // of the library behind the executor
  const char* device;   // for people: "2 threads, AVX-512 kernels"
  const char* data_type;
  uint32_t max_batch_size;
  uint32_t max_num_tokens;
  uint32_t max_input_len;  // prompt tokens
  uint32_t max_seq_len;    // prompt and output tokens
  uint32_t max_beam_width;
  uint32_t tensor_parallel_size;
  uint32_t tokens_per_block;
  uint32_t kv_blocks;
  uint64_t weight_bytes;
  uint64_t kv_cache_bytes;          // when all blocks are in use
  uint32_t rank;                    // of this process, where each rank is one; those that only follow take no requests
  uint32_t hidden_size;             // of an embedding; 0: there is none
  uint32_t guided_after_reasoning;  // 1: ExecutorRequest.reasoning is followed
  uint32_t reserved;
} ExecutorInfo;

typedef struct ExecutorTable {
  uint32_t size;
  uint32_t abi_version;
  const char* name;
  // Blocks until the engine is loaded. On failure *executor is null.
  ExecutorCode (*create)(const ExecutorConfig* config, Executor** executor, ExecutorError* error);
  ExecutorCode (*describe)(Executor* executor, const ExecutorInfo** info, ExecutorError* error);
  // Takes all requests or, where one is refused, none. Does not block on a step.
  ExecutorCode (*submit)(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                         ExecutorError* error);
  // Asks for the end of these requests; each still ends by its last row. An unknown or ended id is ignored.
  ExecutorCode (*cancel)(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error);
  // Blocks until there are rows; after interrupt, or when timeout_ms are over, the batch has none. EXECUTOR_FAILED:
  // nothing more will come. After shutdown it still gives the rows that are left.
  ExecutorCode (*wait)(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError* error);
  // Makes the wait that runs, or the next one, return at once. It allocates nothing and cannot fail.
  void (*interrupt)(Executor* executor);
  // Fills the caller's struct up to its size.
  ExecutorCode (*stats)(Executor* executor, ExecutorStats* stats, ExecutorError* error);
  // Refuses further requests, cancels what runs and stops the executor's threads, all within about deadline_ms.
  ExecutorCode (*shutdown)(Executor* executor, uint32_t deadline_ms, ExecutorError* error);
  // Stops what still runs and frees everything. The handle is dead afterwards.
  void (*destroy)(Executor* executor);
  // Gives the events of the KV cache since the last call, and does not wait for a step. Called only where CAN_KV_EVENTS is
  // set: the table of an executor without it may end before this function, or have null here.
  ExecutorCode (*kv_events)(Executor* executor, const ExecutorKvEvents** events, ExecutorError* error);
} ExecutorTable;

// What a shared library of an executor exports. Returns null if it does not support abi_version.
typedef const ExecutorTable* (*ExecutorTableFunction)(uint32_t abi_version);
#define EXECUTOR_TABLE_SYMBOL "executor_table"

// What a library may export besides: what it finds on this machine, as JSON whose fields are the executor's own, valid as long as
// the process. It may start drivers and take seconds, so ask in a process of its own: node_tensorrt_llm_host --machine LIBRARY.
typedef const char* (*ExecutorMachineFunction)(void);
#define EXECUTOR_MACHINE_SYMBOL "executor_machine"

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_H_
