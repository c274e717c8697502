#ifndef EMBEDDED_EXECUTOR_TABLE_H_
#define EMBEDDED_EXECUTOR_TABLE_H_

#include "native/executor/executor.h"

namespace embedded {

// The embedded CPU executor; all there is to it for whoever links it.
const ExecutorTable* CpuExecutorTable();

}  // namespace embedded

#endif  // EMBEDDED_EXECUTOR_TABLE_H_
