// What a request changes about its logits before a token is drawn from them, on the device: bias, repetition penalty,
// presence and frequency penalties, n-grams, bad words, least length, in the order and with the roundings of
// cpu/logits_processors.h, and the mask of a grammar, which may come first: what it forbids stays forbidden. Only requests that ask for it pay: a row without processors is not copied.
// A sequence's history (its tokens so far, the prompt included) is in device memory, so the last token need not have
// been read by the host.
#ifndef EMBEDDED_CUDA_LOGITS_PROCESSORS_H_
#define EMBEDDED_CUDA_LOGITS_PROCESSORS_H_

#include <cuda_runtime.h>

#include <cstdint>

namespace embedded::cuda {

struct DeviceTokenBias {
  int32_t token;
  float value;  // finite
};

// Part of a list that all rows share.
struct ListSlice {
  int32_t begin;
  int32_t count;
};

// One row's processors, in device memory. The default does nothing.
struct ProcessorRow {
  int32_t logits_row = 0;            // of `logits`
  const int32_t* history = nullptr;  // [history_tokens]
  int32_t history_tokens = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  int32_t penalized_from = 0;  // index into the history
  int32_t no_repeat_ngram = 0;
  int32_t min_length = 0;
  ListSlice bias = {0, 0};       // of `biases`
  ListSlice end_ids = {0, 0};    // of `end_ids`
  ListSlice bad_words = {0, 0};  // of `bad_words`
  ListSlice mask = {0, 0};       // of `masks`: bit t % 32 of word t / 32 says whether token t may come; none: any may
  int32_t of_logprobs = 0;       // 1: log-probabilities are processed, not logits
};

struct LogitsProcessorBuffers {
  const float* logits;            // [rows, vocab_size], rows logits_stride apart
  const ProcessorRow* rows;       // [count] device memory
  const DeviceTokenBias* biases;  // of a row: ascending by token, equal tokens in the request's order
  const int32_t* end_ids;
  const ListSlice* bad_words;  // each a slice of bad_word_tokens, not empty
  const int32_t* bad_word_tokens;
  const uint32_t* masks;
  double* log_sums;  // [count] of rows with of_logprobs
  uint32_t* counts;  // [count, vocab_size], all 0 before and after
  float* processed;  // [count, vocab_size]
};

struct LogitsProcessorShape {
  int count;  // rows with processors
  int vocab_size;
  int logits_stride;          // floats
  bool has_logprobs = false;  // some row has of_logprobs
};

void ProcessLogits(const LogitsProcessorShape& shape, const LogitsProcessorBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LOGITS_PROCESSORS_H_
