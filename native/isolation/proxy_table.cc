#include "native/isolation/proxy_table.h"

#include <memory>
#include <utility>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/table_of.h"
#include "native/isolation/proxy.h"

namespace isolation {

Executor* CreateProxy(const ExecutorConfig& config, const std::string& program, const std::string& library,
                      std::vector<std::string> environment) {
  return executor::HandleOf(
      std::make_unique<Proxy>(executor::CopySized(&config), program, library, std::move(environment)));
}

const ExecutorTable* ProxyTable() {
  static constexpr ExecutorTable kTable = executor::TableOf<Proxy>("isolated");
  return &kTable;
}

}  // namespace isolation
