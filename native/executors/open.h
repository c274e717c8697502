// Where an executor's table comes from: the CPU's is linked in, any other is a shared library opened when it is asked for.
#ifndef NATIVE_EXECUTORS_OPEN_H_
#define NATIVE_EXECUTORS_OPEN_H_

#include <string>

#include "native/executor/executor.h"

namespace executors {

// `path` is that of a shared library, or empty for the CPU executor. A library is never closed, because its threads may run
// longer than the environment that opened it. Throws executor::Failure with EXECUTOR_UNAVAILABLE.
const ExecutorTable* OpenExecutor(const std::string& path);

// What the library finds on this machine: ExecutorMachineFunction. Throws executor::Failure with EXECUTOR_UNAVAILABLE.
std::string DescribeMachine(const std::string& path);

}  // namespace executors

#endif  // NATIVE_EXECUTORS_OPEN_H_
