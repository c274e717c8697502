// What libexecutor_cuda.so exports.
#include "native/embedded/cuda/device.h"
#include "native/executor/cpp/table_of.h"

namespace embedded::cuda {
namespace {

// Stands in for the executor until its model runner is here: it opens the GPU, so that what is missing on a machine is told.
class Unfinished {
 public:
  explicit Unfinished(const ExecutorConfig& config) {
    const ExecutorParallelConfig* const parallel = config.parallel;
    OpenDevice(parallel != nullptr && parallel->device_id_count > 0 ? parallel->device_ids[0] : 0);
    throw executor::Failure(EXECUTOR_UNAVAILABLE,
                            "This build of the CUDA executor has no model runner; expected one. Use executor: 'cpu'.");
  }
  const ExecutorInfo* info() const { return nullptr; }
  void Submit(const ExecutorRequest* const*, uint32_t) {}
  void Cancel(const uint64_t*, uint32_t) {}
  const ExecutorBatch* Wait(std::chrono::milliseconds) { return nullptr; }
  void Interrupt() {}
  void Stats(ExecutorStats*) {}
  void Shutdown(std::chrono::milliseconds) {}
};

}  // namespace
}  // namespace embedded::cuda

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  static constexpr ExecutorTable kTable = executor::TableOf<embedded::cuda::Unfinished>("cuda");
  return abi_version == EXECUTOR_ABI_VERSION ? &kTable : nullptr;
}
