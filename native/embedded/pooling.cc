#include "native/embedded/pooling.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace embedded {

PooledTokens TokensToPool(const StepEntry& entry) {
  const Request& request = *SequenceOf(entry)->request;
  const size_t tokens = static_cast<size_t>(entry.tokens);
  if (!request.pooling) return {0, 0};
  switch (*request.pooling) {
    case POOLING_MEAN:
      return {0, tokens};
    case POOLING_CLS:
      return {0, entry.first == 0 ? size_t{1} : 0};
    case POOLING_LAST:
      return {tokens - 1, entry.first + tokens == request.prompt_tokens ? size_t{1} : 0};
  }
  return {0, 0};
}

std::vector<float>* PreparedEmbedding(Request* request, size_t hidden_size) {
  if (request->prompt_output == nullptr) request->prompt_output = std::make_shared<executor::BatchRowDetails>();
  request->prompt_output->embedding.resize(hidden_size);
  return &request->prompt_output->embedding;
}

void AddPooled(const float* states, bool is_first, std::vector<float>* embedding) {
  if (is_first) std::fill(embedding->begin(), embedding->end(), 0.0f);
  for (size_t i = 0; i < embedding->size(); ++i) (*embedding)[i] += states[i];
}

bool FinishEmbedding(Request* request) {
  std::vector<float>& embedding = request->prompt_output->embedding;
  if (request->pooling == POOLING_MEAN)
    for (float& each : embedding) each /= static_cast<float>(request->prompt_tokens);
  return std::all_of(embedding.begin(), embedding.end(), [](float each) { return std::isfinite(each); });
}

}  // namespace embedded
