#include "native/embedded/cpu/executor_table.h"

#include "native/embedded/cpu/model_runner.h"
#include "native/embedded/executor.h"
#include "native/executor/cpp/table_of.h"

namespace embedded::cpu {
namespace {

class CpuExecutor : public EmbeddedExecutor {
 public:
  explicit CpuExecutor(const ExecutorConfig& config) : EmbeddedExecutor(config, CpuDevice()) {}
};

}  // namespace

const ExecutorTable* CpuExecutorTable() {
  static constexpr ExecutorTable kTable = executor::TableOf<CpuExecutor>("cpu");
  return &kTable;
}

}  // namespace embedded::cpu
