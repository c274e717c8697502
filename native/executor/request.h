// What is asked of an executor: what TensorRT-LLM calls Request, SamplingConfig and OutputConfig.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_REQUEST_H_
#define NODE_TENSORRT_LLM_EXECUTOR_REQUEST_H_

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  SAMPLING_TEMPERATURE = 1u << 0,
  SAMPLING_TOP_K = 1u << 1,
  SAMPLING_TOP_P = 1u << 2,
  SAMPLING_MIN_P = 1u << 3,
  SAMPLING_SEED = 1u << 4,
  SAMPLING_MIN_TOKENS = 1u << 5,
  SAMPLING_REPETITION_PENALTY = 1u << 6,
  SAMPLING_PRESENCE_PENALTY = 1u << 7,
  SAMPLING_FREQUENCY_PENALTY = 1u << 8,
  SAMPLING_PROMPT_IGNORE_LENGTH = 1u << 9,
  SAMPLING_NO_REPEAT_NGRAM_SIZE = 1u << 10,
  SAMPLING_N = 1u << 11,
  SAMPLING_BEAM_WIDTH = 1u << 12,
  SAMPLING_BEAM_DIVERSITY_RATE = 1u << 13,
  SAMPLING_LENGTH_PENALTY = 1u << 14,
  SAMPLING_EARLY_STOPPING = 1u << 15,
  SAMPLING_TOP_P_MIN = 1u << 16,
  SAMPLING_TOP_P_RESET_TOKEN = 1u << 17,
  SAMPLING_TOP_P_DECAY = 1u << 18,
  SAMPLING_BEST_OF = 1u << 19,
};
typedef struct ExecutorSampling {
  uint32_t size;
  uint32_t set;
  float temperature;         // at least 0; 0 is greedy; unset: 1
  uint32_t top_k;            // 0 or unset: all tokens
  float top_p;               // (0, 1]; unset: 1
  float min_p;               // [0, 1], of the likeliest token's probability; unset: 0
  uint64_t seed;             // unset: the executor draws one
  uint32_t min_tokens;       // new tokens before an end id may be drawn; at most max_tokens
  float repetition_penalty;  // above 0, 1 is none
  float presence_penalty;
  float frequency_penalty;
  uint32_t prompt_ignore_length;  // leading prompt tokens that presence and frequency penalties leave out
  uint32_t no_repeat_ngram_size;  // no n-gram of this size comes twice, the prompt included; 0 or unset: any may
  uint32_t n;                     // sequences: independent samples, or the best beams where beam_width is above 1
  uint32_t beam_width;            // above 1: beam search; the three that follow have no effect without
  float beam_diversity_rate;
  float length_penalty;     // at least 0: an output's score is divided by the number of its tokens to this power
  uint32_t early_stopping;  // 0: when no better beam is likely, 1: when beam_width beams ended, else: when none can be
                            // better
  float top_p_min;
  int32_t top_p_reset_token;
  float top_p_decay;            // (0, 1]
  const uint32_t* beam_widths;  // [beam_width_count] by step
  uint32_t beam_width_count;
  uint32_t best_of;  // samples made where the caller keeps the best n of them; there are rows for all; unset: n
} ExecutorSampling;

enum {
  OUTPUT_LOGPROBS = 1u << 0,                  // of the chosen tokens
  OUTPUT_RETURN_CONTEXT_LOGITS = 1u << 1,     // [prompt tokens, vocab_size]
  OUTPUT_RETURN_GENERATION_LOGITS = 1u << 2,  // [output tokens of the row, vocab_size]
  OUTPUT_RETURN_PERF_METRICS = 1u << 3,
  OUTPUT_PROMPT_LOGPROBS = 1u << 4,
  OUTPUT_PROMPT_LOGPROBS_START = 1u << 5,
};
// Which of the prompt's hidden states, after the model's last norm, an embedding is.
typedef enum ExecutorPooling {
  POOLING_LAST = 0,  // the last token's
  POOLING_MEAN = 1,  // the mean over all tokens
  POOLING_CLS = 2,   // the first token's
} ExecutorPooling;

typedef struct ExecutorOutputConfig {
  uint32_t size;
  uint32_t flags;                         // OUTPUT_*
  uint32_t top_logprobs;                  // likeliest tokens given with each logprob; above 0 sets OUTPUT_LOGPROBS
  uint32_t top_prompt_logprobs;           // likewise with each of the prompt; above 0 sets OUTPUT_PROMPT_LOGPROBS
  const char* const* additional_outputs;  // [additional_output_count], of the config's
  uint32_t additional_output_count;
  // The first prompt token to give a logprob of: those before it are NaN, and need not be computed; unset: 0.
  uint32_t prompt_logprobs_start;
  ExecutorPooling pooling;  // of REQUEST_EMBEDDING
} ExecutorOutputConfig;

typedef struct ExecutorLora {
  uint32_t size;
  uint32_t reserved;
  uint64_t id;
  const ExecutorTensor* weights;  // null: the adapter of this id is cached
  const ExecutorTensor* config;
} ExecutorLora;

enum {
  RETENTION_END = 1u << 0,
  RETENTION_DURATION = 1u << 1,
};
typedef struct ExecutorRetentionRange {
  uint32_t set;
  uint32_t start;     // a token of the prompt
  uint32_t end;       // exclusive; unset: the prompt's end
  uint32_t priority;  // 0 to 100
  uint64_t duration_ms;
} ExecutorRetentionRange;

enum {
  KV_RETENTION_DECODE_PRIORITY = 1u << 0,
  KV_RETENTION_DECODE_DURATION = 1u << 1,
  KV_RETENTION_TRANSFER_MODE = 1u << 2,
};
typedef enum ExecutorTransferMode { TRANSFER_DRAM = 0, TRANSFER_GDS = 1, TRANSFER_POSIX = 2 } ExecutorTransferMode;
typedef struct ExecutorKvRetention {
  uint32_t size;
  uint32_t set;
  const ExecutorRetentionRange* ranges;  // [range_count], not overlapping
  uint32_t range_count;
  uint32_t decode_priority;
  uint64_t decode_duration_ms;
  ExecutorTransferMode transfer_mode;
  const char* directory;  // null: none
} ExecutorKvRetention;

typedef enum ExecutorGuide {
  GUIDE_JSON = 0,
  GUIDE_JSON_SCHEMA = 1,
  GUIDE_REGEX = 2,
  GUIDE_GRAMMAR = 3,
  GUIDE_STRUCTURAL_TAG = 4,
} ExecutorGuide;
typedef struct ExecutorGuided {
  ExecutorGuide kind;
  const char* guide;  // null for GUIDE_JSON
} ExecutorGuided;

// Where the outputs of a model that reasons begin to follow `guided`: behind the reasoning.
typedef struct ExecutorReasoning {
  uint32_t size;
  uint32_t begin_count;
  // [begin_count] `guided` holds from the first token on, unless that is one of these, which then begins the reasoning.
  // None: the prompt has begun it.
  const int32_t* begins;
  const char* const* ends;  // [end_count] `guided` holds behind the first of these texts
  uint32_t end_count;       // at least 1
  uint32_t reserved;
} ExecutorReasoning;

typedef struct ExecutorDraft {
  uint32_t size;
  uint32_t has_acceptance_threshold;
  const int32_t* tokens;
  uint32_t token_count;
  float acceptance_threshold;    // [0, 1]
  const ExecutorTensor* logits;  // [token_count, vocab_size]; null: none
  uint32_t fast_logits;          // 0 or 1
} ExecutorDraft;

typedef struct ExecutorMultimodal {
  uint32_t size;
  uint32_t input_count;
  const ExecutorTensor* prompt_table;   // [virtual tokens, hidden]; null: none
  const uint64_t* token_extra_ids;      // [token_count of the request]; null: none
  const ExecutorTensor* embedding;      // null: none
  const ExecutorTensor* mrope_cos_sin;  // null: none
  int32_t mrope_position_delta;
  const int32_t* hashes;     // [input_count, 8]
  const int32_t* positions;  // [input_count]
  const int32_t* lengths;    // [input_count]
} ExecutorMultimodal;

typedef struct ExecutorLogitBias {
  const int32_t* tokens;  // [count]
  const float* values;    // [count] added to the logits of these tokens
  uint32_t count;
} ExecutorLogitBias;

typedef enum ExecutorRequestType {
  REQUEST_CONTEXT_AND_GENERATION = 0,
  REQUEST_CONTEXT_ONLY = 1,
  REQUEST_GENERATION_ONLY = 2,
  // Draws no token: the request ends with FINISH_LENGTH and details->embedding when its prompt is computed. Besides the tokens only
  // output->pooling, priority, timeout_ms, cache_salt and kv_retention hold.
  REQUEST_EMBEDDING = 3,
} ExecutorRequestType;

enum {
  REQUEST_PAD_ID = 1u << 0,
  REQUEST_PRIORITY = 1u << 1,
  REQUEST_TIMEOUT = 1u << 2,
  REQUEST_CACHE_SALT = 1u << 3,
  REQUEST_LANGUAGE_ADAPTER = 1u << 4,
  REQUEST_PROMPT_LOOKUP = 1u << 5,
  REQUEST_DRAFT_MODEL = 1u << 6,
};
typedef struct ExecutorRequest {
  uint32_t size;
  uint32_t set;
  uint64_t id;  // the caller's choice; not one that still runs
  const int32_t* tokens;
  uint32_t token_count;
  uint32_t max_tokens;  // new tokens, at least 1; more than max_seq_len leaves means all it leaves
  uint32_t streaming;   // 1: a row as soon as there are tokens that stay; 0: one row for each sequence, at its end
  uint32_t end_id_count;
  const int32_t* end_ids;  // any of these ends a sequence and is not among its tokens; none: only max_tokens ends it
  ExecutorTokenLists stop_tokens;  // such a run of tokens ends a sequence and is among its tokens
  ExecutorTokenLists bad_tokens;   // such a run of tokens is never completed; one that is an end id alone is ignored
  ExecutorLogitBias logit_bias;
  int32_t pad_id;
  const int32_t* position_ids;  // [token_count]; null: 0, 1, ...
  float priority;               // 0 to 1, higher first; unset: 0.5
  uint32_t timeout_ms;          // from submit; then the sequence ends with FINISH_TIMEOUT
  uint64_t cache_salt;          // blocks are shared between requests of one salt only
  uint32_t language_adapter;
  ExecutorRequestType type;
  const ExecutorSampling* sampling;  // each of these: null, nothing set
  const ExecutorOutputConfig* output;
  const ExecutorLora* lora;
  const ExecutorLookahead* lookahead;
  const ExecutorEagle* eagle;
  const ExecutorKvRetention* kv_retention;
  const ExecutorGuided* guided;
  const ExecutorDraft* draft;
  const ExecutorMultimodal* multimodal;
  const ExecutorContextPhase* context_phase;
  uint32_t prompt_lookup;              // 0 or 1; unset: 1 where the config has a prompt_lookup
  const ExecutorReasoning* reasoning;  // of a guided request; null: `guided` holds from the first token on
  uint32_t draft_model;                // 0 or 1; unset: 1 where the config has a draft_model
} ExecutorRequest;

#ifdef __cplusplus
}
#endif

#endif  // NODE_TENSORRT_LLM_EXECUTOR_REQUEST_H_
