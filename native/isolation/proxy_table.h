#ifndef ISOLATION_PROXY_TABLE_H_
#define ISOLATION_PROXY_TABLE_H_

#include <string>

#include "native/executor/executor.h"

namespace isolation {

// Loads an engine in a host of its own, which is the process of `program` and takes its executor from `library`, a path, or
// where it is empty, the CPU's. What it gives is for ProxyTable(), whose `create` is null. Throws executor::Failure.
Executor* CreateProxy(const ExecutorConfig& config, const std::string& program, const std::string& library);

const ExecutorTable* ProxyTable();

}  // namespace isolation

#endif  // ISOLATION_PROXY_TABLE_H_
