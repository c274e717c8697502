#include "embedded/executor_table.h"

#include "embedded/executor.h"
#include "executor/table_of.h"

namespace embedded {

const ExecutorTable* CpuExecutorTable() {
  static constexpr ExecutorTable kTable = executor::TableOf<CpuExecutor>("cpu");
  return &kTable;
}

}  // namespace embedded
