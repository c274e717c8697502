// What libexecutor_tensorrt_llm.so exports.
#include <chrono>
#include <cstring>
#include <memory>

#include "executor/executor.h"
#include "executor/guard.h"
#include "executor/read_struct.h"
#include "tensorrt_llm/executor.h"

// The table's opaque handle.
struct Executor {
  explicit Executor(const ExecutorConfig& config) : engine(config) {}
  adapter::EngineExecutor engine;
};

namespace adapter {
namespace {

using executor::Guarded;
using std::chrono::milliseconds;

ExecutorCode Create(const ExecutorConfig* config, Executor** executor, ExecutorError* error) noexcept {
  *executor = nullptr;
  return Guarded(error, [&] { *executor = std::make_unique<Executor>(executor::ReadStruct(config)).release(); });
}

ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *info = executor->engine.info(); });
}

ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                    ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->engine.Submit(requests, count); });
}

ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->engine.Cancel(ids, count); });
}

ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *batch = executor->engine.Wait(milliseconds(timeout_ms)); });
}

void Interrupt(Executor* executor) noexcept { executor->engine.Interrupt(); }

ExecutorCode Stats(Executor* executor, ExecutorStats* given, ExecutorError* error) noexcept {
  return Guarded(error, [&] {
    ExecutorStats stats = executor->engine.ReadStats();
    stats.size = std::min<uint32_t>(given->size, sizeof(stats));
    std::memcpy(given, &stats, stats.size);
  });
}

ExecutorCode Shutdown(Executor* executor, uint32_t deadline_ms, ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->engine.Shutdown(milliseconds(deadline_ms)); });
}

void Destroy(Executor* executor) noexcept {
  Guarded(nullptr, [&] { const std::unique_ptr<Executor> owner(executor); });
}

constexpr ExecutorTable kTable = {sizeof(ExecutorTable),
                                  EXECUTOR_ABI_VERSION,
                                  "tensorrt-llm",
                                  Create,
                                  Describe,
                                  Submit,
                                  Cancel,
                                  Wait,
                                  Interrupt,
                                  Stats,
                                  Shutdown,
                                  Destroy};

}  // namespace
}  // namespace adapter

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  return abi_version == EXECUTOR_ABI_VERSION ? &adapter::kTable : nullptr;
}
