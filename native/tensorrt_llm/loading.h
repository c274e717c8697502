// From an engine directory to an executor of TensorRT-LLM that is loaded.
#ifndef ADAPTER_LOADING_H_
#define ADAPTER_LOADING_H_

#include <functional>
#include <memory>

#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/workers.h"

namespace adapter {

struct Loaded {
  std::shared_ptr<tle::Executor> executor;
  std::shared_ptr<Workers> workers;  // null: the ranks run in this process, or mpirun started them
};

// Blocks for as long as the library loads, minutes for a large model. `on_progress` is told every 100 ms how much of the rank
// files was read, up to 0.95, and 1 at the end; where it answers false, the load is left to itself, and what it makes is
// destroyed at its end.
// Throws executor::Failure, with EXECUTOR_LOAD_ABORTED then, and with EXECUTOR_UNAVAILABLE where a worker ends.
Loaded Load(const Engine& engine, const tle::ExecutorConfig& config, const std::function<bool(double)>& on_progress);

}  // namespace adapter

#endif  // ADAPTER_LOADING_H_
