// Failures of a single request in a step; the other requests go on.
#ifndef EMBEDDED_DRAW_FAILURES_H_
#define EMBEDDED_DRAW_FAILURES_H_

#include <cstdint>
#include <string>

#include "native/executor/cpp/failure.h"

namespace embedded {

inline executor::Failure NothingLeftToDraw(uint64_t request_id, size_t position) {
  return executor::Failure(EXECUTOR_INVALID_OPTION,
                           "No token can be drawn for position " + std::to_string(position) +
                               "; expected one that guided allows, if it is set, and whose logit is finite after bad "
                               "words, the n-gram rule, the minimum length, bias and penalties. Relax them.",
                           request_id);
}

inline executor::Failure NoFiniteLogit(uint64_t request_id, size_t position, const std::string& dtype) {
  return executor::Failure(EXECUTOR_ENGINE_WEIGHTS,
                           "The model's logits for position " + std::to_string(position) +
                               " are not finite; expected finite ones, but its weights are damaged, or too large for " +
                               dtype + ". Convert the model again.",
                           request_id);
}

inline executor::Failure NoFiniteEmbedding(uint64_t request_id, const std::string& dtype) {
  return executor::Failure(
      EXECUTOR_ENGINE_WEIGHTS,
      "The model's hidden states are not finite; expected finite ones, but its weights are damaged, or "
      "too large for " +
          dtype + ". Convert the model again.",
      request_id);
}

inline executor::Failure TooFewOutputs(uint64_t request_id, size_t found, size_t expected) {
  return executor::Failure(
      EXECUTOR_INVALID_OPTION,
      "The beam search found " + executor::Count(found, "output") + "; expected " + std::to_string(expected) +
          ", but bad words, the n-gram rule and the minimum length leave no more. Relax them, or lower n.",
      request_id);
}

using executor::OutOfOutputMemory;

}  // namespace embedded

#endif  // EMBEDDED_DRAW_FAILURES_H_
