// The embedded executor, whatever device it runs on: a thread that plans, submits and collects step after step while
// there are requests, and what reaches it from other threads.
#ifndef EMBEDDED_EXECUTOR_H_
#define EMBEDDED_EXECUTOR_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "native/embedded/adapter.h"
#include "native/embedded/adapters.h"
#include "native/embedded/deadlines.h"
#include "native/embedded/draft_engine.h"
#include "native/embedded/draft_model.h"
#include "native/embedded/guides.h"
#include "native/embedded/limits.h"
#include "native/embedded/model_runner.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"
#include "native/embedded/statistics.h"
#include "native/executor/cpp/batch_builder.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace embedded {

// The table's functions as members; they throw executor::Failure. Everything but the step itself is done under one
// mutex, so only the step thread ever waits for a step.
class EmbeddedExecutor {
 public:
  EmbeddedExecutor(const ExecutorConfig& config, const Device& device);
  ~EmbeddedExecutor();
  EmbeddedExecutor(const EmbeddedExecutor&) = delete;
  EmbeddedExecutor& operator=(const EmbeddedExecutor&) = delete;

  const ExecutorInfo* info() const { return &info_; }
  void Submit(const ExecutorRequest* const* requests, uint32_t count);
  void Cancel(const uint64_t* ids, uint32_t count);
  const ExecutorBatch* Wait(std::chrono::milliseconds timeout);
  void Interrupt();
  void Stats(ExecutorStats* stats);
  const ExecutorKvEvents* KvEvents();
  void Shutdown(std::chrono::milliseconds deadline);

 private:
  using Clock = Request::Clock;
  using Lock = std::unique_lock<std::mutex>;

  static constexpr char kLoadAgain[] = ". Load the engine again.";

  // A step that was submitted and not yet collected. It keeps its requests alive, even those that have ended.
  struct StepInFlight {
    struct Entry {
      std::shared_ptr<Request> request;
      uint32_t sequence;  // index
      std::vector<int32_t> drafts;
      bool ends_embedding;  // the last of an embedding request's prompt
    };
    std::vector<Entry> entries;
    Clock::time_point planned;
    std::vector<RequestSequence*> unmasked;  // whose masks follow from tokens of the step before; its draws are held
  };

  void MakeGuides(const ExecutorGuidedDecodingConfig& config);
  void DescribeEngine(const ExecutorConfig& config, const Device& device);
  void StepThreadMain();
  // Called with the lock, which they let go while the runner works. False if there is nothing to compute.
  bool SubmitStep(Lock* lock);
  void CollectStep(Lock* lock);

  // What the request brings of its adapter; null: nothing. Without the lock.
  std::shared_ptr<Adapter> SentAdapter(const ExecutorRequest& given) const;

  // All of these with the lock held.
  void UseAdapter(const ExecutorLora& lora, std::shared_ptr<Adapter> sent, Request* request);
  // The request gets to the scheduler when its grammar is compiled.
  void Compile(const std::shared_ptr<Request>& request);
  void Forget(Request* request);
  void AskForMask(RequestSequence* sequence);
  bool AsksDraftModel() const;
  std::vector<DraftModel::Wish> WishesOf(const Step& step);
  void RunDraftModel(const Step& step, Lock* lock);
  bool HoldsDraws() const;
  void DrawHeld(Lock* lock);
  void Commit(const StepInFlight::Entry& entry, std::vector<DrawResult> results);
  // What was drawn after a draft counts only where that draft was drawn too.
  void CommitDrafts(const StepInFlight::Entry& entry, std::vector<DrawResult> results);
  void EndEmbedding(RequestSequence* sequence);
  void AddToken(RequestSequence* sequence, Output output);
  void AfterTokens(RequestSequence* sequence);
  void CommitBeams(RequestSequence* sequence, std::vector<DrawResult> results);
  void EndBeams(Request* request);
  void EndAfterStep(std::shared_ptr<Request> request);
  void EndCancelledAndFailed();
  void EndOverdue();
  executor::BatchRow TakeRow(RequestSequence* sequence);
  void EndSequence(RequestSequence* sequence, ExecutorFinish finish, std::optional<int32_t> stop_token = std::nullopt);
  // Ends all sequences that have not ended.
  void EndRequest(Request* request, ExecutorFinish finish);
  void FailRequest(Request* request, const executor::Failure& failure);
  // Ends every request with an error, unless memory has run out; nothing runs afterwards.
  void Fail(const char* reason, const char* fix) noexcept;
  void Log(ExecutorLogLevel level, const std::string& line) const;

  EngineConfig engine_;
  Limits limits_;
  ExecutorInfo info_{};
  RunnerInfo memory_{};  // the runner's, with the bytes of the draft model's
  void (*log_)(void* context, ExecutorLogLevel level, const char* message) = nullptr;
  void* log_context_ = nullptr;
  std::unique_ptr<ModelRunner> runner_;      // used by the step thread alone
  std::unique_ptr<DraftModel> draft_model_;  // likewise; null: there is none
  std::deque<StepInFlight> in_flight_;       // likewise; oldest first
  std::atomic<bool> stopping_{false};
  executor::BatchBuilder reading_;               // what the last wait gave; used by the thread in wait alone
  std::optional<embedded::KvEvents> kv_events_;  // it has a mutex of its own

  std::mutex mutex_;                 // of everything below
  std::condition_variable work_;     // the step thread sleeps on it
  std::condition_variable rows_;     // the reader sleeps on it
  std::condition_variable stopped_;  // shutdown sleeps on it
  Requests requests_;
  std::optional<Scheduler> scheduler_;
  std::vector<std::shared_ptr<Request>> ending_;  // cancelled or failed while a step ran that they may be part of
  Deadlines deadlines_;
  executor::BatchBuilder batch_builder_;
  Statistics statistics_;
  std::optional<Adapters> adapters_;
  std::optional<Guides> guides_;
  size_t compiling_ = 0;  // requests whose grammars are being compiled
  bool interrupted_ = false;
  bool thread_ended_ = false;
  std::optional<std::string> failure_;  // nothing runs any more
  std::thread step_thread_;
};

}  // namespace embedded

#endif  // EMBEDDED_EXECUTOR_H_
