// What an embedding is made of: which of a step's tokens it needs, and how their hidden states become one vector.
#ifndef EMBEDDED_POOLING_H_
#define EMBEDDED_POOLING_H_

#include <cstddef>
#include <vector>

#include "native/embedded/request.h"

namespace embedded {

// Some of an entry's tokens, counted from its first.
struct PooledTokens {
  size_t first;
  size_t count;  // 0: none
};

// The tokens of the entry whose hidden states are added to its request's embedding; none of a request for tokens.
PooledTokens TokensToPool(const StepEntry& entry);

// The request's embedding [hidden_size], made where it has none.
std::vector<float>* PreparedEmbedding(Request* request, size_t hidden_size);

// Adds the sum of an entry's hidden states. The first of a request, or of one that begins again after it was preempted, begins anew.
void AddPooled(const float* states, bool is_first, std::vector<float>* embedding);

// When all was added. False where it is not finite.
bool FinishEmbedding(Request* request);

}  // namespace embedded

#endif  // EMBEDDED_POOLING_H_
