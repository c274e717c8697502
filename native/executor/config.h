// How an executor is set up: what TensorRT-LLM calls ExecutorConfig.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_CONFIG_H_
#define NODE_TENSORRT_LLM_EXECUTOR_CONFIG_H_

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ExecutorCapacityPolicy {
  CAPACITY_MAX_UTILIZATION = 0,
  CAPACITY_GUARANTEED_NO_EVICT = 1,
  CAPACITY_STATIC_BATCH = 2,
} ExecutorCapacityPolicy;

typedef enum ExecutorChunkingPolicy {
  CHUNKING_FIRST_COME_FIRST_SERVED = 0,
  CHUNKING_EQUAL_PROGRESS = 1,
} ExecutorChunkingPolicy;

enum {
  SCHEDULER_CAPACITY_POLICY = 1u << 0,
  SCHEDULER_CHUNKING_POLICY = 1u << 1,
  SCHEDULER_BATCH_SIZE_TUNING = 1u << 2,
  SCHEDULER_MAX_NUM_TOKENS_TUNING = 1u << 3,
  SCHEDULER_MOVING_AVERAGE_WINDOW = 1u << 4,
};
typedef struct ExecutorSchedulerConfig {
  uint32_t size;
  uint32_t set;
  ExecutorCapacityPolicy capacity_policy;
  ExecutorChunkingPolicy chunking_policy;
  uint32_t batch_size_tuning;      // 0 or 1
  uint32_t max_num_tokens_tuning;  // 0 or 1
  uint32_t moving_average_window;  // steps
  uint32_t batch_size_table_count;
  const int32_t* batch_size_table;  // [batch_size_table_count, 2]: requests at most, batch size
} ExecutorSchedulerConfig;

enum {
  KV_CACHE_BLOCK_REUSE = 1u << 0,
  KV_CACHE_MAX_TOKENS = 1u << 1,
  KV_CACHE_SINK_TOKENS = 1u << 2,
  KV_CACHE_FREE_MEMORY_FRACTION = 1u << 3,
  KV_CACHE_HOST_BYTES = 1u << 4,
  KV_CACHE_ONBOARD_BLOCKS = 1u << 5,
  KV_CACHE_CROSS_FRACTION = 1u << 6,
  KV_CACHE_OFFLOAD_MIN_PRIORITY = 1u << 7,
  KV_CACHE_EVENT_BUFFER = 1u << 8,
  KV_CACHE_PARTIAL_REUSE = 1u << 9,
  KV_CACHE_COPY_ON_PARTIAL_REUSE = 1u << 10,
  KV_CACHE_UVM = 1u << 11,
  KV_CACHE_EVENTS_GATHER_PERIOD = 1u << 12,
  KV_CACHE_MAX_BYTES = 1u << 13,
  KV_CACHE_DTYPE = 1u << 14,
};
typedef enum ExecutorKvDtype {
  KV_DTYPE_AUTO = 0,  // the engine's or the executor's own
  KV_DTYPE_INT8 = 1,  // with a scale for each token and head
} ExecutorKvDtype;

typedef struct ExecutorKvCacheConfig {
  uint32_t size;
  uint32_t set;
  uint32_t block_reuse;  // 0 or 1
  uint32_t max_tokens;   // tokens of all sequences together
  uint32_t sink_tokens;
  uint32_t onboard_blocks;         // 0 or 1
  double free_memory_fraction;     // of what is free on the device after the weights, (0, 1]
  double cross_fraction;           // (0, 1]
  uint64_t host_bytes;             // host memory that blocks may be moved out to
  uint64_t max_bytes;              // device memory of the cache
  uint32_t offload_min_priority;   // 0 to 100
  uint32_t event_buffer_size;      // events; 0 keeps none
  uint32_t partial_reuse;          // 0 or 1
  uint32_t copy_on_partial_reuse;  // 0 or 1
  uint32_t uvm;                    // 0 or 1
  uint32_t events_gather_period_ms;
  const int32_t* max_attention_windows;  // tokens, by layer, repeated
  uint32_t max_attention_window_count;   // 0: whole context
  ExecutorKvDtype dtype;                 // of keys and values in the cache
} ExecutorKvCacheConfig;

typedef enum ExecutorCommunicationMode {
  COMMUNICATION_LEADER = 0,        // one process a rank, started by mpirun
  COMMUNICATION_ORCHESTRATOR = 1,  // this process starts the ranks
} ExecutorCommunicationMode;

enum {
  PARALLEL_MODE = 1u << 0,
  PARALLEL_NODES = 1u << 1,
  PARALLEL_SPAWN = 1u << 2,
};
typedef struct ExecutorParallelConfig {
  uint32_t size;
  uint32_t set;
  ExecutorCommunicationMode mode;
  uint32_t nodes;
  uint32_t spawn_processes;  // 0 or 1, orchestrator only
  uint32_t device_id_count;
  const int32_t* device_ids;       // [device_id_count], by rank; none: 0, 1, ...
  const int32_t* participant_ids;  // [participant_id_count]
  uint32_t participant_id_count;
  const char* worker_path;  // orchestrator's executorWorker; null: beside the library
} ExecutorParallelConfig;

enum {
  PEFT_HOST_MODULE_LAYERS = 1u << 0,
  PEFT_DEVICE_MODULE_LAYERS = 1u << 1,
  PEFT_OPTIMAL_ADAPTER_SIZE = 1u << 2,
  PEFT_MAX_ADAPTER_SIZE = 1u << 3,
  PEFT_PUT_WORKERS = 1u << 4,
  PEFT_ENSURE_WORKERS = 1u << 5,
  PEFT_COPY_STREAMS = 1u << 6,
  PEFT_HOST_PAGES_PER_BLOCK = 1u << 7,
  PEFT_DEVICE_PAGES_PER_BLOCK = 1u << 8,
  PEFT_DEVICE_CACHE_FRACTION = 1u << 9,
  PEFT_HOST_CACHE_BYTES = 1u << 10,
};
typedef struct ExecutorPeftCacheConfig {
  uint32_t size;
  uint32_t set;
  uint32_t host_module_layers;
  uint32_t device_module_layers;
  uint32_t optimal_adapter_size;  // LoRA rank
  uint32_t max_adapter_size;      // LoRA rank
  uint32_t put_workers;
  uint32_t ensure_workers;
  uint32_t copy_streams;
  uint32_t host_pages_per_block;
  uint32_t device_pages_per_block;
  float device_cache_fraction;  // of what is free after the KV cache
  uint64_t host_cache_bytes;
  const char* lora_prefetch_dir;  // null: none
} ExecutorPeftCacheConfig;

typedef enum ExecutorDecodingMode {
  DECODING_AUTO = 0,
  DECODING_TOP_K = 1,
  DECODING_TOP_P = 2,
  DECODING_TOP_K_TOP_P = 3,
  DECODING_BEAM_SEARCH = 4,
  DECODING_MEDUSA = 5,
  DECODING_LOOKAHEAD = 6,
  DECODING_EXPLICIT_DRAFT_TOKENS = 7,
  DECODING_EXTERNAL_DRAFT_TOKENS = 8,
  DECODING_EAGLE = 9,
} ExecutorDecodingMode;

enum {
  PROMPT_LOOKUP_MAX_DRAFT_TOKENS = 1u << 0,
  PROMPT_LOOKUP_MAX_MATCHING_NGRAM = 1u << 1,
};
// Drafts are the tokens that followed where a sequence's newest tokens came before, in its prompt or its output.
typedef struct ExecutorPromptLookup {
  uint32_t size;
  uint32_t set;
  uint32_t max_draft_tokens;    // of a sequence in a step, at least 1
  uint32_t max_matching_ngram;  // tokens that are looked for, at least 2
} ExecutorPromptLookup;

enum {
  DRAFT_MODEL_MAX_DRAFT_TOKENS = 1u << 0,
};
// Drafts are the likeliest tokens of a smaller model of the same vocabulary.
typedef struct ExecutorDraftModel {
  uint32_t size;
  uint32_t set;
  const char* engine_dir;
  uint32_t max_draft_tokens;  // of a sequence in a step, at least 1
} ExecutorDraftModel;

typedef struct ExecutorDecodingConfig {
  uint32_t size;
  ExecutorDecodingMode mode;
  const ExecutorLookahead* lookahead;         // null: unset; the largest any request may ask for
  const ExecutorEagle* eagle;                 // null: unset
  ExecutorTokenLists medusa_choices;          // none: the engine's
  uint32_t fast_logits;                       // 1: draft logits go to the target model directly
  const ExecutorPromptLookup* prompt_lookup;  // null: none but where a request asks for it
  const ExecutorDraftModel* draft_model;      // null: none
} ExecutorDecodingConfig;

typedef enum ExecutorGuidedBackend { GUIDED_BACKEND_XGRAMMAR = 0, GUIDED_BACKEND_LLGUIDANCE = 1 } ExecutorGuidedBackend;

typedef struct ExecutorGuidedDecodingConfig {
  uint32_t size;
  ExecutorGuidedBackend backend;
  const char* const* vocabulary;  // [vocabulary_count] token strings as tokenizer.json writes them, by id
  uint32_t vocabulary_count;
  uint32_t stop_token_count;
  const char* tokenizer_json;  // the text of tokenizer.json
  const int32_t* stop_tokens;  // [stop_token_count]
  // The same vocabulary in bytes, for executors that match grammars themselves.
  const uint8_t* token_bytes;     // of all tokens, back to back
  const uint32_t* token_offsets;  // [token_count + 1] token t is token_bytes[token_offsets[t], token_offsets[t + 1])
  const uint8_t* token_special;   // [token_count] 1 where the token is no text, else 0
  uint32_t token_count;           // 0: none of these
  uint32_t optional;              // 1: where the backend cannot be used, load without it
} ExecutorGuidedDecodingConfig;

enum {
  PERF_MULTI_BLOCK_MODE = 1u << 0,
  PERF_CONTEXT_FMHA_FP32_ACCUMULATION = 1u << 1,
  PERF_CUDA_GRAPH = 1u << 2,
  PERF_CUDA_GRAPH_CACHE = 1u << 3,
  PERF_GPU_DIRECT_STORAGE = 1u << 4,
  PERF_PROMPT_TABLE_OFFLOADING = 1u << 5,
  PERF_TRT_OVERLAP = 1u << 6,
};
typedef struct ExecutorPerfConfig {
  uint32_t size;
  uint32_t set;
  uint32_t multi_block_mode;                // 0 or 1
  uint32_t context_fmha_fp32_accumulation;  // 0 or 1
  uint32_t cuda_graph;                      // 0 or 1
  uint32_t cuda_graph_cache;                // graphs
  uint32_t gpu_direct_storage;              // 0 or 1
  uint32_t prompt_table_offloading;         // 0 or 1
  uint32_t trt_overlap;                     // 0 or 1
} ExecutorPerfConfig;

typedef enum ExecutorTransceiverBackend {
  TRANSCEIVER_DEFAULT = 0,
  TRANSCEIVER_MPI = 1,
  TRANSCEIVER_UCX = 2,
  TRANSCEIVER_NIXL = 3,
  TRANSCEIVER_MOONCAKE = 4,
} ExecutorTransceiverBackend;

enum {
  TRANSCEIVER_MAX_TOKENS = 1u << 0,
  TRANSCEIVER_TIMEOUT = 1u << 1,
  TRANSCEIVER_SENDER_TIMEOUT = 1u << 2,
};
typedef struct ExecutorTransceiverConfig {
  uint32_t size;
  uint32_t set;
  ExecutorTransceiverBackend backend;
  uint32_t max_tokens;  // of the transfer buffer
  uint32_t timeout_ms;
  uint32_t sender_timeout_ms;
} ExecutorTransceiverConfig;

typedef enum ExecutorLogLevel { LOG_ERROR = 0, LOG_WARNING = 1, LOG_INFO = 2, LOG_DEBUG = 3 } ExecutorLogLevel;

typedef enum ExecutorLoadFormat {
  LOAD_FORMAT_AUTO = 0,   // what the engine directory has
  LOAD_FORMAT_DUMMY = 1,  // random weights, made where they are used; no weight file is read
} ExecutorLoadFormat;

enum {
  CONFIG_MAX_BATCH_SIZE = 1u << 0,
  CONFIG_MAX_NUM_TOKENS = 1u << 1,
  CONFIG_MAX_SEQ_LEN = 1u << 2,
  CONFIG_MAX_BEAM_WIDTH = 1u << 3,
  CONFIG_MAX_QUEUE_SIZE = 1u << 4,
  CONFIG_THREADS = 1u << 5,
  CONFIG_CHUNKED_CONTEXT = 1u << 6,
  CONFIG_NORMALIZE_LOGPROBS = 1u << 7,
  CONFIG_GPU_WEIGHTS_FRACTION = 1u << 8,
  CONFIG_RECEIVE_POLL_PERIOD = 1u << 9,
  CONFIG_MAX_SEQUENCE_IDLE = 1u << 10,
  CONFIG_GATHER_GENERATION_LOGITS = 1u << 11,
  CONFIG_FAIL_FAST_ON_ATTENTION_WINDOW = 1u << 12,
  CONFIG_ITERATION_STATS = 1u << 13,
  CONFIG_REQUEST_STATS = 1u << 14,
  CONFIG_TENSOR_PARALLEL_SIZE = 1u << 15,
  CONFIG_LOAD_FORMAT = 1u << 16,
  CONFIG_BATCH_INVARIANT = 1u << 17,
};
typedef struct ExecutorConfig {
  uint32_t size;
  uint32_t set;
  const char* engine_dir;
  uint32_t max_batch_size;  // sequences in one step
  uint32_t max_num_tokens;  // tokens in one step
  uint32_t max_seq_len;     // tokens of a sequence, prompt and output; at most the engine's
  uint32_t max_beam_width;
  uint32_t max_queue_size;      // requests that wait; past it submit gives EXECUTOR_QUEUE_FULL
  uint32_t threads;             // CPU threads that compute
  uint32_t chunked_context;     // 0 or 1
  uint32_t normalize_logprobs;  // 0 or 1, beam search
  float gpu_weights_fraction;   // of the weights kept on the device, [0, 1]
  uint32_t receive_poll_period_ms;
  uint32_t max_sequence_idle_ms;
  uint32_t gather_generation_logits;       // 0 or 1
  uint32_t fail_fast_on_attention_window;  // 0 or 1
  uint32_t iteration_stats;                // iterations kept
  uint32_t request_stats;                  // iterations kept
  uint32_t tensor_parallel_size;           // must be the engine's where it is set
  uint32_t additional_output_count;
  const char* const* additional_outputs;     // [additional_output_count] names of tensors a request may ask for
  const uint8_t* additional_output_context;  // [additional_output_count] 1: gathered for the prompt too
  const ExecutorSchedulerConfig* scheduler;  // each of these: null, nothing set
  const ExecutorKvCacheConfig* kv_cache;
  const ExecutorParallelConfig* parallel;
  const ExecutorPeftCacheConfig* peft_cache;
  const ExecutorDecodingConfig* decoding;
  const ExecutorGuidedDecodingConfig* guided_decoding;
  const ExecutorPerfConfig* perf;
  const ExecutorTransceiverConfig* transceiver;
  // Called during create only, on the thread that called it. done is 0 to 1; answering 0 gives the load up.
  uint32_t (*on_progress)(void* context, double done);
  // Called from any thread until destroy returns. Null: nothing is logged.
  void (*on_log)(void* context, ExecutorLogLevel level, const char* message);
  void* context;
  ExecutorLoadFormat load_format;
  uint32_t batch_invariant;  // 0 or 1; 1: what runs beside a sequence changes no bit of its logits
} ExecutorConfig;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_CONFIG_H_
