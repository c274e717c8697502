// Log-probabilities from logits: TensorRT-LLM gives those of the chosen tokens only.
#ifndef ADAPTER_LOGPROBS_H_
#define ADAPTER_LOGPROBS_H_

#include <cstdint>
#include <vector>

#include "native/executor/cpp/batch_row.h"

namespace adapter {

using executor::TokenLogprob;

// log(sum(exp(logits))) over [vocab_size], in double so that large vocabularies lose nothing.
double LogSumExp(const float* logits, int vocab_size);

// The `count` likeliest tokens of [vocab_size] logits, likeliest first, the lower id first among equals; at most vocab_size.
std::vector<TokenLogprob> TopLogprobs(const float* logits, int vocab_size, uint32_t count);

}  // namespace adapter

#endif  // ADAPTER_LOGPROBS_H_
