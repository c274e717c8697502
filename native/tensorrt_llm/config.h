// From the contract's ExecutorConfig to TensorRT-LLM's.
#ifndef ADAPTER_CONFIG_H_
#define ADAPTER_CONFIG_H_

#include "native/executor/config.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// `library_dir` holds libtensorrt_llm.so; the worker of orchestrator mode is looked for beside it. Throws
// executor::Failure: EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this version lacks, naming the field.
tle::ExecutorConfig MakeExecutorConfig(const ExecutorConfig& given, const Engine& engine,
                                       const std::string& library_dir);

}  // namespace adapter

#endif  // ADAPTER_CONFIG_H_
