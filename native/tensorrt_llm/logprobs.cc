#include "native/tensorrt_llm/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace adapter {

double LogSumExp(const float* logits, int vocab_size) {
  const double largest = *std::max_element(logits, logits + vocab_size);
  double sum = 0;
  for (int token = 0; token < vocab_size; ++token) sum += std::exp(logits[token] - largest);
  return largest + std::log(sum);
}

std::vector<TokenLogprob> TopLogprobs(const float* logits, int vocab_size, uint32_t count) {
  const double normalizer = LogSumExp(logits, vocab_size);
  std::vector<int32_t> tokens(static_cast<size_t>(vocab_size));
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto end = tokens.begin() + std::min<int64_t>(count, vocab_size);
  std::partial_sort(tokens.begin(), end, tokens.end(),
                    [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  std::vector<TokenLogprob> top;
  for (auto token = tokens.begin(); token != end; ++token)
    top.push_back({*token, static_cast<float>(logits[*token] - normalizer)});
  return top;
}

}  // namespace adapter
