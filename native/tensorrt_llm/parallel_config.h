// Which GPUs an engine's ranks run on, and who starts their processes.
#ifndef ADAPTER_PARALLEL_CONFIG_H_
#define ADAPTER_PARALLEL_CONFIG_H_

#include <string>

#include "native/executor/config.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// Unset, one rank runs in this process; more are started by mpirun where that started this process, and by this process
// (orchestrator mode) where it did not. Throws executor::Failure: EXECUTOR_ENGINE_RANKS where the processes or devices do not
// fit the engine, EXECUTOR_INVALID_OPTION where fields contradict each other, EXECUTOR_UNAVAILABLE where the worker program
// is missing, or lacks a library.
tle::ParallelConfig MakeParallel(const ExecutorParallelConfig& given, const Engine& engine,
                                 const std::string& library_dir);

}  // namespace adapter

#endif  // ADAPTER_PARALLEL_CONFIG_H_
