#ifndef EMBEDDED_CPU_EXECUTOR_TABLE_H_
#define EMBEDDED_CPU_EXECUTOR_TABLE_H_

#include "native/executor/executor.h"

namespace embedded::cpu {

// The embedded CPU executor, for code that links it.
const ExecutorTable* CpuExecutorTable();

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_EXECUTOR_TABLE_H_
