// What libexecutor_cuda.so exports.
#include <string>

#include "native/embedded/cuda/machine.h"
#include "native/embedded/cuda/model_runner.h"
#include "native/embedded/executor.h"
#include "native/executor/cpp/table_of.h"

namespace embedded::cuda {
namespace {

class CudaExecutor : public EmbeddedExecutor {
 public:
  explicit CudaExecutor(const ExecutorConfig& config) : EmbeddedExecutor(config, CudaDevice()) {}
};

}  // namespace
}  // namespace embedded::cuda

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  static constexpr ExecutorTable kTable = executor::TableOf<embedded::cuda::CudaExecutor>("cuda");
  return abi_version == EXECUTOR_ABI_VERSION ? &kTable : nullptr;
}

extern "C" __attribute__((visibility("default"))) const char* executor_machine(void) {
  static const std::string* const machine = new std::string(embedded::cuda::DescribeMachine());
  return machine->c_str();
}
