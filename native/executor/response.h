// What comes back: what TensorRT-LLM calls Response and Result, one struct of arrays for all sequences.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_RESPONSE_H_
#define NODE_TENSORRT_LLM_EXECUTOR_RESPONSE_H_

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ExecutorFinish {
  FINISH_NONE = 0,
  FINISH_END_ID = 1,
  FINISH_STOP_TOKENS = 2,
  FINISH_LENGTH = 3,
  FINISH_TIMEOUT = 4,
  FINISH_CANCELLED = 5,
  FINISH_ERROR = 6,  // details->error says why; the row ends its request
} ExecutorFinish;

enum {
  ROW_SEQUENCE_FINAL = 1u << 0,
  ROW_REQUEST_FINAL = 1u << 1,    // the last row of the request
  ROW_REPLACES_TOKENS = 1u << 2,  // beam search: the tokens are all of the sequence's, not those since its last row
};

enum {
  DETAILS_USAGE = 1u << 0,
  DETAILS_TIMING = 1u << 1,
  DETAILS_STOP_TOKEN = 1u << 2,
  DETAILS_SPECULATIVE = 1u << 3,
};
// What few rows carry: usage and timing are on the first row of a request and on its last. A first row without tokens says
// that the request has left the queue.
typedef struct ExecutorRowDetails {
  uint32_t size;
  uint32_t set;
  uint32_t prompt_tokens;  // there wherever prompt_logprobs is, too
  uint32_t cached_tokens;  // of the prompt, found in the KV cache
  double queue_ms;         // from submit to the first step the request was part of
  double first_token_ms;   // from submit
  double total_ms;         // from submit
  int32_t stop_token;      // the end id that ended the sequence
  uint32_t kv_blocks_allocated;
  uint32_t kv_blocks_reused;
  uint32_t kv_blocks_missed;
  uint32_t draft_tokens;
  uint32_t draft_tokens_accepted;
  const ExecutorError* error;               // null: none
  const ExecutorTensor* context_logits;     // fp32 [prompt_tokens, vocab_size]; null: none
  const ExecutorTensor* generation_logits;  // fp32 [tokens of the row, vocab_size]; null: none
  const float* prompt_logprobs;      // [prompt_tokens], NaN before prompt_logprobs_start and for the first; null: none
  const int32_t* prompt_top_tokens;  // [prompt_tokens, prompt_top_count]
  const float* prompt_top_logprobs;  // [prompt_tokens, prompt_top_count]
  uint32_t prompt_top_count;
  uint32_t additional_output_count;
  const ExecutorNamedTensor* additional_outputs;  // [additional_output_count]
  const ExecutorContextPhase* context_phase;      // null: none
  const float* embedding;                         // [embedding_size], of REQUEST_EMBEDDING; null: none
  uint32_t embedding_size;
  uint32_t reserved;
  double last_token_ms;  // from submit; 0: there was none
} ExecutorRowDetails;

// A struct of arrays: what has come for each sequence since the last wait, oldest first within a sequence.
typedef struct ExecutorBatch {
  uint32_t size;
  uint32_t row_count;
  uint64_t step;                  // of the newest row; steps count from 1
  const uint64_t* request_ids;    // [row_count]
  const uint32_t* sequences;      // [row_count] index within the request
  const uint8_t* finish;          // [row_count] ExecutorFinish
  const uint8_t* flags;           // [row_count] ROW_*
  const uint32_t* token_offsets;  // [row_count + 1] into tokens
  const int32_t* tokens;
  const float* logprobs;        // by token, NaN where not asked for; null: no row has any
  const uint32_t* top_offsets;  // [token_offsets[row_count] + 1] into top_*; null: no row has any
  const int32_t* top_tokens;    // likeliest first
  const float* top_logprobs;
  const ExecutorRowDetails* const* details;  // [row_count], null entries where there is nothing; null: no row has any
} ExecutorBatch;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_RESPONSE_H_
