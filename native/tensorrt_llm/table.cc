// What libexecutor_tensorrt_llm.so exports.
#include "native/executor/cpp/table_of.h"
#include "native/tensorrt_llm/executor.h"

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  static constexpr ExecutorTable kTable = executor::TableOf<adapter::TensorRtLlmExecutor>("tensorrt-llm");
  return abi_version == EXECUTOR_ABI_VERSION ? &kTable : nullptr;
}
