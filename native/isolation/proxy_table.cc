#include "isolation/proxy_table.h"

#include <chrono>
#include <memory>

#include "executor/guard.h"
#include "executor/read_struct.h"
#include "isolation/proxy.h"

namespace isolation {
namespace {

using executor::Guarded;
using std::chrono::milliseconds;

// The table's opaque handle stands for a Proxy.
Proxy* Of(Executor* executor) { return reinterpret_cast<Proxy*>(executor); }

ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *info = Of(executor)->info(); });
}

ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                    ExecutorError* error) noexcept {
  return Guarded(error, [&] { Of(executor)->Submit(requests, count); });
}

ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error) noexcept {
  return Guarded(error, [&] { Of(executor)->Cancel(ids, count); });
}

ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError* error) noexcept {
  return Guarded(error, [&] { *batch = Of(executor)->Wait(milliseconds(timeout_ms)); });
}

void Interrupt(Executor* executor) noexcept {
  Guarded(nullptr, [&] { Of(executor)->Interrupt(); });
}

ExecutorCode Stats(Executor* executor, ExecutorStats* stats, ExecutorError* error) noexcept {
  return Guarded(error, [&] { Of(executor)->Stats(stats); });
}

ExecutorCode Shutdown(Executor* executor, uint32_t deadline_ms, ExecutorError* error) noexcept {
  return Guarded(error, [&] { Of(executor)->Shutdown(milliseconds(deadline_ms)); });
}

void Destroy(Executor* executor) noexcept {
  Guarded(nullptr, [&] { const std::unique_ptr<Proxy> last(Of(executor)); });
}

constexpr ExecutorTable kTable = {sizeof(ExecutorTable),
                                  EXECUTOR_ABI_VERSION,
                                  "isolated",
                                  nullptr,
                                  Describe,
                                  Submit,
                                  Cancel,
                                  Wait,
                                  Interrupt,
                                  Stats,
                                  Shutdown,
                                  Destroy};

}  // namespace

Executor* CreateProxy(const ExecutorConfig& config, const std::string& program, const std::string& library) {
  auto proxy = std::make_unique<Proxy>(executor::ReadStruct(&config), program, library);
  return reinterpret_cast<Executor*>(proxy.release());
}

const ExecutorTable* ProxyTable() { return &kTable; }

}  // namespace isolation
