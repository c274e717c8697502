// C++ only: the table over a class whose members are the table's functions.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_TABLE_OF_H_
#define NODE_TENSORRT_LLM_EXECUTOR_TABLE_OF_H_

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <type_traits>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace executor {

// The opaque handle of an implementation, which it owns until `destroy`.
template <typename Implementation>
Executor* HandleOf(std::unique_ptr<Implementation> implementation) noexcept {
  return reinterpret_cast<Executor*>(implementation.release());
}

template <typename Implementation, typename = void>
inline constexpr bool kHasKvEvents = false;
template <typename Implementation>
inline constexpr bool kHasKvEvents<Implementation, std::void_t<decltype(&Implementation::KvEvents)>> = true;

// What TableOf points to. What the implementation throws becomes the function's error.
template <typename Implementation>
class TableFunctions {
 public:
  static ExecutorCode Create(const ExecutorConfig* config, Executor** executor, ExecutorError* error) noexcept {
    *executor = nullptr;
    return Guarded(error, [&] { *executor = HandleOf(std::make_unique<Implementation>(CopySized(config))); });
  }
  static ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) noexcept {
    return Guarded(error, [&] { *info = Of(executor)->info(); });
  }
  static ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                             ExecutorError* error) noexcept {
    return Guarded(error, [&] { Of(executor)->Submit(requests, count); });
  }
  static ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error) noexcept {
    return Guarded(error, [&] { Of(executor)->Cancel(ids, count); });
  }
  static ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch,
                           ExecutorError* error) noexcept {
    return Guarded(error, [&] { *batch = Of(executor)->Wait(std::chrono::milliseconds(timeout_ms)); });
  }
  static void Interrupt(Executor* executor) noexcept {
    Guarded(nullptr, [&] { Of(executor)->Interrupt(); });
  }
  static ExecutorCode Stats(Executor* executor, ExecutorStats* given, ExecutorError* error) noexcept {
    return Guarded(error, [&] {
      ExecutorStats stats{};
      Of(executor)->Stats(&stats);
      stats.size = std::min<uint32_t>(given->size, sizeof(stats));
      std::memcpy(given, &stats, stats.size);
    });
  }
  static ExecutorCode Shutdown(Executor* executor, uint32_t deadline_ms, ExecutorError* error) noexcept {
    return Guarded(error, [&] { Of(executor)->Shutdown(std::chrono::milliseconds(deadline_ms)); });
  }
  static ExecutorCode KvEvents(Executor* executor, const ExecutorKvEvents** events, ExecutorError* error) noexcept {
    return Guarded(error, [&] { *events = Of(executor)->KvEvents(); });
  }
  static void Destroy(Executor* executor) noexcept {
    Guarded(nullptr, [&] { const std::unique_ptr<Implementation> owner(Of(executor)); });
  }

 private:
  static Implementation* Of(Executor* executor) { return reinterpret_cast<Implementation*>(executor); }
};

// Implementation has a member for each function of the table, which throws Failure: `info` is what describe gives, and Stats fills a
// whole struct. KvEvents may be missing. The table's `create` is null where Implementation is made from more than an ExecutorConfig.
template <typename Implementation>
constexpr ExecutorTable TableOf(const char* name) {
  using Functions = TableFunctions<Implementation>;
  decltype(ExecutorTable::create) create = nullptr;
  if constexpr (std::is_constructible_v<Implementation, const ExecutorConfig&>) create = Functions::Create;
  decltype(ExecutorTable::kv_events) kv_events = nullptr;
  if constexpr (kHasKvEvents<Implementation>) kv_events = Functions::KvEvents;
  return {sizeof(ExecutorTable),
          EXECUTOR_ABI_VERSION,
          name,
          create,
          Functions::Describe,
          Functions::Submit,
          Functions::Cancel,
          Functions::Wait,
          Functions::Interrupt,
          Functions::Stats,
          Functions::Shutdown,
          Functions::Destroy,
          kv_events};
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_TABLE_OF_H_
