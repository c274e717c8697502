// Where an executor's table comes from: the CPU's is linked in, any other is a shared library opened when it is asked for.
#ifndef ADDON_EXECUTOR_LIBRARY_H_
#define ADDON_EXECUTOR_LIBRARY_H_

#include <string>

#include "executor/executor.h"

namespace addon {

// `path` is that of a shared library, or empty for the CPU executor. A library stays open for good: its threads may outlive
// whoever asked for it. Throws executor::Failure with EXECUTOR_UNAVAILABLE.
const ExecutorTable* OpenExecutor(const std::string& path);

}  // namespace addon

#endif  // ADDON_EXECUTOR_LIBRARY_H_
