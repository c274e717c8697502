#include "embedded/executor_table.h"

#include <chrono>
#include <memory>

#include "embedded/executor.h"
#include "executor/guard.h"
#include "executor/read_struct.h"

// The table's opaque handle.
struct Executor {
  explicit Executor(const ExecutorConfig& config) : cpu(config) {}
  embedded::CpuExecutor cpu;
};

namespace embedded {
namespace {

using executor::Guarded;

ExecutorCode Create(const ExecutorConfig* config, Executor** executor, ExecutorError* error) noexcept {
  *executor = nullptr;
  return Guarded(error, [&] { *executor = std::make_unique<Executor>(executor::ReadStruct(config)).release(); });
}

ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *info = executor->cpu.info(); });
}

ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                    ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->cpu.Submit(requests, count); });
}

ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->cpu.Cancel(ids, count); });
}

ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *batch = executor->cpu.Wait(std::chrono::milliseconds(timeout_ms)); });
}

void Interrupt(Executor* executor) noexcept {
  Guarded(nullptr, [&] { executor->cpu.Interrupt(); });
}

ExecutorCode Stats(Executor* executor, ExecutorStats* stats, ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->cpu.Stats(stats); });
}

ExecutorCode Shutdown(Executor* executor, uint32_t deadline_ms, ExecutorError* error) noexcept {
  return Guarded(error, [&] { executor->cpu.Shutdown(std::chrono::milliseconds(deadline_ms)); });
}

void Destroy(Executor* executor) noexcept {
  Guarded(nullptr, [&] { const std::unique_ptr<Executor> owner(executor); });
}

constexpr ExecutorTable kTable = {sizeof(ExecutorTable),
                                  EXECUTOR_ABI_VERSION,
                                  "cpu",
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

const ExecutorTable* CpuExecutorTable() { return &kTable; }

}  // namespace embedded
