// C++ only: log-probabilities from logits.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_LOGPROBS_H_
#define NODE_TENSORRT_LLM_EXECUTOR_LOGPROBS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace executor {

struct TokenLogprob {
  int32_t token;
  float logprob;
};

// log(sum(exp(logits))) over [vocab_size], in double so that large vocabularies lose nothing.
inline double LogSumExp(const float* logits, int vocab_size) {
  const double largest = *std::max_element(logits, logits + vocab_size);
  double sum = 0;
  for (int token = 0; token < vocab_size; ++token) sum += std::exp(logits[token] - largest);
  return largest + std::log(sum);
}

// The `count` likeliest tokens of [vocab_size] logits, likeliest first, the lower id first among equals; at most vocab_size.
// `log_sum` is their LogSumExp. `scratch` is memory that the next call may use again.
inline std::vector<TokenLogprob> TopLogprobs(const float* logits, int vocab_size, uint32_t count, double log_sum,
                                             std::vector<TokenLogprob>* scratch) {
  scratch->clear();
  for (int32_t token = 0; token < vocab_size; ++token) scratch->push_back({token, logits[token]});
  const auto end = scratch->begin() + std::min<int64_t>(count, vocab_size);
  std::partial_sort(scratch->begin(), end, scratch->end(), [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  });
  std::vector<TokenLogprob> top(scratch->begin(), end);
  for (TokenLogprob& each : top) each.logprob = static_cast<float>(each.logprob - log_sum);
  return top;
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_LOGPROBS_H_
