// From TensorRT-LLM's statistics, which each reading takes away, to the contract's, which run from create.
#ifndef ADAPTER_STATS_H_
#define ADAPTER_STATS_H_

#include <vector>

#include "native/executor/statistics.h"
#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/ids.h"

namespace adapter {

class Stats {
 public:
  // Takes what has come since the last call. The pointers in the result are valid until the next.
  ExecutorStats Read(tle::Executor* engine, Ids* ids, uint64_t completed_requests);

 private:
  void AddIteration(const tle::IterationStats& iteration);

  ExecutorStats newest_{};
  std::vector<ExecutorRequestStats> requests_;
};

}  // namespace adapter

#endif  // ADAPTER_STATS_H_
