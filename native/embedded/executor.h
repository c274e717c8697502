// The embedded CPU executor: a thread that runs step after step while there are requests, and what reaches it from
// others.
#ifndef EMBEDDED_EXECUTOR_H_
#define EMBEDDED_EXECUTOR_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "native/embedded/cpu/step_runner.h"
#include "native/embedded/limits.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"
#include "native/executor/cpp/batch_builder.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace embedded {

// The table's functions as members; they throw executor::Failure. Everything but the step itself is done under one
// mutex, so nobody ever waits for a step but the step thread.
class CpuExecutor {
 public:
  explicit CpuExecutor(const ExecutorConfig& config);
  ~CpuExecutor();
  CpuExecutor(const CpuExecutor&) = delete;
  CpuExecutor& operator=(const CpuExecutor&) = delete;

  const ExecutorInfo* info() const { return &info_; }
  void Submit(const ExecutorRequest* const* requests, uint32_t count);
  void Cancel(const uint64_t* ids, uint32_t count);
  const ExecutorBatch* Wait(std::chrono::milliseconds timeout);
  void Interrupt();
  void Stats(ExecutorStats* stats);
  void Shutdown(std::chrono::milliseconds deadline);

 private:
  using Clock = Request::Clock;
  using Lock = std::unique_lock<std::mutex>;

  void StepThreadMain();
  // Called with the lock, which it lets go while the model runs.
  void RunStep(Lock* lock);

  // All of these with the lock held.
  size_t ActiveRequests() const;
  void CountPlanned(const Step& step, Clock::time_point start);
  void Commit(const StepEntry& entry, std::vector<StepResult> results);
  void AddToken(RequestSequence* sequence, Output output);
  void EndCancelledAndFailed();
  executor::Row TakeRow(RequestSequence* sequence);
  void EndSequence(RequestSequence* sequence, ExecutorFinish finish, std::optional<int32_t> stop_token = std::nullopt);
  // Ends all sequences that have not ended.
  void CancelRequest(Request* request);
  void FailRequest(Request* request, const executor::Failure& failure);
  void Fail(const char* reason) noexcept;
  void Log(ExecutorLogLevel level, const std::string& line) const;
  ExecutorRequestStats StatsOf(const Request& request) const;

  EngineConfig engine_;
  Limits limits_;
  ExecutorInfo info_{};
  std::string device_;
  void (*log_)(void* context, ExecutorLogLevel level, const char* message) = nullptr;
  void* log_context_ = nullptr;
  std::unique_ptr<StepRunner> runner_;  // used by the step thread alone
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;                 // of everything below
  std::condition_variable work_;     // the step thread sleeps on it
  std::condition_variable rows_;     // the reader sleeps on it
  std::condition_variable stopped_;  // shutdown sleeps on it
  std::unordered_map<uint64_t, std::unique_ptr<Request>> requests_;
  std::optional<Scheduler> scheduler_;
  executor::Outbox outbox_;
  executor::Outbox reading_;  // what the last wait gave
  bool interrupted_ = false;
  bool thread_ended_ = false;
  std::optional<std::string> failure_;  // nothing runs any more
  ExecutorStats stats_{};               // the counters; Stats fills in the rest
  std::vector<ExecutorRequestStats> request_stats_;
  std::vector<uint64_t> scheduled_;  // ids of the newest step
  std::thread step_thread_;
};

}  // namespace embedded

#endif  // EMBEDDED_EXECUTOR_H_
