#ifndef ISOLATION_PROXY_TABLE_H_
#define ISOLATION_PROXY_TABLE_H_

#include <string>
#include <vector>

#include "native/executor/executor.h"

namespace isolation {

// Loads an engine in a host process, which runs `program`. `library` is the path of its executor; empty: the CPU's. The
// environment is the host's (host_environment.h). The result is for ProxyTable(), whose `create` is null. Throws executor::Failure.
Executor* CreateProxy(const ExecutorConfig& config, const std::string& program, const std::string& library,
                      std::vector<std::string> environment);

const ExecutorTable* ProxyTable();

}  // namespace isolation

#endif  // ISOLATION_PROXY_TABLE_H_
