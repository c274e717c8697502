#include "native/embedded/executor_table.h"

#include "native/embedded/executor.h"
#include "native/executor/cpp/table_of.h"

namespace embedded {

const ExecutorTable* CpuExecutorTable() {
  static constexpr ExecutorTable kTable = executor::TableOf<CpuExecutor>("cpu");
  return &kTable;
}

}  // namespace embedded
