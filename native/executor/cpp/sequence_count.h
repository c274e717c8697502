// C++ only: how many sequences a request has.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_SEQUENCE_COUNT_H_
#define NODE_TENSORRT_LLM_EXECUTOR_SEQUENCE_COUNT_H_

#include <optional>

#include "native/executor/request.h"

namespace executor {

struct SequenceCount {
  uint32_t count;
  const char* field;  // the option that asks for so many
};

// Unset: the request says nothing, and has one.
inline std::optional<SequenceCount> SequencesAskedFor(const ExecutorSampling& sampling) {
  if (sampling.set & SAMPLING_BEST_OF) return SequenceCount{sampling.best_of, "best_of"};
  if (sampling.set & SAMPLING_N) return SequenceCount{sampling.n, "n"};
  return std::nullopt;
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_SEQUENCE_COUNT_H_
