// The CPU executor once more, as a shared library: what LLM.load({ executor: { library } }) opens in the tests.
#include "embedded/executor_table.h"

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  return abi_version == EXECUTOR_ABI_VERSION ? embedded::CpuExecutorTable() : nullptr;
}
