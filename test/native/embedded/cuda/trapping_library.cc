// libexecutor_cuda.so with a way to lose a GPU: a request whose prompt is three tokens 7 loses GPU 0, and three tokens 8 GPU 1.
#include <algorithm>

#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"
#include "trap.h"

#undef executor_table  // table.cc is compiled with another name for its function
extern "C" const ExecutorTable* cuda_executor_table(uint32_t abi_version);

namespace {

const ExecutorTable* CudaTable() { return cuda_executor_table(EXECUTOR_ABI_VERSION); }

constexpr int32_t kTokenOfFirstGpu = 7;

bool LosesGpu(const ExecutorRequest* request, int gpu) {
  return request->token_count == 3 && std::all_of(request->tokens, request->tokens + 3,
                                                  [gpu](int32_t token) { return token == kTokenOfFirstGpu + gpu; });
}

ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count, ExecutorError* error) {
  const ExecutorCode code = CudaTable()->submit(executor, requests, count, error);
  if (code != EXECUTOR_OK) return code;
  return executor::Guarded(error, [&] {
    for (const int gpu : {0, 1})
      if (std::any_of(requests, requests + count, [gpu](const auto* request) { return LosesGpu(request, gpu); }))
        embedded::cuda::LaunchTrap(gpu);
  });
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  if (cuda_executor_table(abi_version) == nullptr) return nullptr;
  static const ExecutorTable table = [] {
    ExecutorTable trapping = *CudaTable();
    trapping.submit = Submit;
    return trapping;
  }();
  return &table;
}
