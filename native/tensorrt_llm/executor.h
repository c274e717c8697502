// A TensorRT-LLM engine behind the contract.
#ifndef ADAPTER_EXECUTOR_H_
#define ADAPTER_EXECUTOR_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "native/executor/cpp/batch_builder.h"
#include "native/executor/cpp/kv_event_batch.h"
#include "native/executor/executor.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/ids.h"
#include "native/tensorrt_llm/loading.h"
#include "native/tensorrt_llm/request.h"
#include "native/tensorrt_llm/stats.h"

namespace adapter {

using Log = std::function<void(ExecutorLogLevel, const std::string&)>;

// The table's functions as members; they throw executor::Failure. The adapter has no thread of its own: the thread in Wait
// receives the responses.
class TensorRtLlmExecutor {
 public:
  explicit TensorRtLlmExecutor(const ExecutorConfig& config);
  ~TensorRtLlmExecutor();
  TensorRtLlmExecutor(const TensorRtLlmExecutor&) = delete;
  TensorRtLlmExecutor& operator=(const TensorRtLlmExecutor&) = delete;

  const ExecutorInfo* info() const { return &info_; }
  void Submit(const ExecutorRequest* const* requests, uint32_t count);
  void Cancel(const uint64_t* ids, uint32_t count);
  const ExecutorBatch* Wait(std::chrono::milliseconds timeout);
  void Interrupt() noexcept;
  void Stats(ExecutorStats* stats);
  const ExecutorKvEvents* KvEvents();
  void Shutdown(std::chrono::milliseconds deadline);

 private:
  using Lock = std::unique_lock<std::mutex>;

  void FillInfo(const tle::ExecutorConfig& config);
  // Waits for responses, if any can come, and makes rows of them.
  void Listen(std::chrono::milliseconds timeout);

  // With listening_ held, as only its holder ends requests.
  void Take(const tle::Response& response);

  // These with mutex_ held, the first two with listening_ too.
  void EndWithError(Pending* pending, const executor::Failure& failure);
  void EndAllWithFailure();
  void CancelInLibrary(const Pending& pending) noexcept;

  // With mutex_ held. If so, no response can come any more.
  bool HasWorkerEnded();
  // The library's own shutdown, with listening_ and mutex_ held. It may never return if workers have ended.
  void StopLibrary(std::chrono::steady_clock::time_point deadline);

  Engine engine_;
  const Log log_;
  RequestLimits limits_;
  ExecutorInfo info_{};
  std::string device_;
  std::shared_ptr<tle::Executor> executor_;
  std::shared_ptr<Workers> workers_;  // null: there are none
  bool leads_ = false;                // other ranks take no requests
  size_t max_queue_size_;
  executor::KvEventBatch kv_events_;  // that were taken; used by the thread in KvEvents alone

  std::mutex listening_;  // one thread at a time awaits responses; taken before mutex_

  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  Ids ids_{0};
  executor::BatchBuilder batch_builder_;
  executor::BatchBuilder reading_;  // what the last wait returned
  adapter::Stats stats_;
  uint64_t completed_requests_ = 0;
  uint64_t step_ = 0;  // how often responses have come
  bool interrupted_ = false;
  std::chrono::steady_clock::time_point looked_at_workers_{};
  bool workers_gone_ = false;
  bool has_stopped_ = false;  // and so have the workers
  bool closing_ = false;
  bool shut_down_ = false;
  std::optional<executor::Failure> failure_;  // no request can run any more
};

}  // namespace adapter

#endif  // ADAPTER_EXECUTOR_H_
