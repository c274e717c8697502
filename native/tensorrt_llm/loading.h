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

// Blocks until the engine is loaded, minutes for a large model. Calls `on_progress` every 100 ms with the fraction of the rank
// files that was read, up to 0.95, and with 1 at the end; if it returns false, the load goes on in the background and its
// result is destroyed.
// Throws executor::Failure: EXECUTOR_LOAD_ABORTED in that case, EXECUTOR_UNAVAILABLE if a worker ends.
Loaded Load(const Engine& engine, const tle::ExecutorConfig& config, const std::function<bool(double)>& on_progress);

}  // namespace adapter

#endif  // ADAPTER_LOADING_H_
