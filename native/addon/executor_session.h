// A loaded executor with its pump: the thread that waits for its batches and in the end closes it, and the table of which
// environment gets the events of which request. It belongs to the process: several JavaScript environments may use it at
// once.
#ifndef ADDON_EXECUTOR_SESSION_H_
#define ADDON_EXECUTOR_SESSION_H_

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/addon/environment_sink.h"
#include "native/executor/executor.h"
#include "native/text/text_stream.h"

namespace addon {

struct Sequence {
  bool ended = false;
  std::optional<text::TextStream> text;  // none without a tokenizer
};

// Why a request fails though its executor has not said so.
enum class RouteFailure { kNone, kOutOfMemory, kInvalidRow };

// Where the events of a request go: to the sink of the environment that made it.
struct Route {
  std::shared_ptr<EnvironmentSink> sink;  // null: its reader is gone, and what still comes is counted and dropped
  std::vector<Sequence> sequences;
  size_t running;                              // sequences that have not ended
  uint32_t prompt_logprobs;                    // how many were asked for: one for each token of the prompt, or none
  bool started = false;                        // the start event was posted
  RouteFailure failure = RouteFailure::kNone;  // not yet posted
  bool ended = false;                          // the executor's last row came; it stays until its failure was posted
};

struct SessionCounters {
  uint64_t discarded_tokens;  // arrived after their request had ended for its reader
  uint64_t unknown_rows;      // of unknown requests
};

struct SessionStats {
  ExecutorStats executor{};  // but for its requests, which the next call would write over
  std::vector<ExecutorRequestStats> requests;
};

// Where the executor runs.
enum class Isolation { kNone, kProcess };

class EventsBySink;

struct ExecutorDestroyer {
  const ExecutorTable* table;
  void operator()(Executor* executor) const { table->destroy(executor); }
};
using OwnedExecutor = std::unique_ptr<Executor, ExecutorDestroyer>;

// Unique in the process, so that a subscriber to all requests can tell them apart by id alone.
uint64_t NextRequestId();

class ExecutorSession {
 public:
  // For a session that nobody closed explicitly.
  static constexpr auto kCloseDeadline = std::chrono::seconds(5);

  // Takes over the executor and starts the pump. `vocabulary` is null where there is no tokenizer; `context` is what the
  // executor's config pointed to, and lives as long as it; `share_id` is that of the session which this one replaces. With
  // the last of these pointers the session begins to close. Throws executor::Failure; the executor is destroyed then.
  static std::shared_ptr<ExecutorSession> Open(OwnedExecutor executor, Isolation isolation,
                                               std::shared_ptr<const text::Vocabulary> vocabulary,
                                               std::shared_ptr<void> context,
                                               std::optional<uint64_t> share_id = std::nullopt);
  // Of Open, which starts the pump.
  ExecutorSession(OwnedExecutor executor, Isolation isolation, std::shared_ptr<const text::Vocabulary> vocabulary,
                  std::shared_ptr<void> context, std::optional<uint64_t> share_id);
  ExecutorSession(const ExecutorSession&) = delete;
  ExecutorSession& operator=(const ExecutorSession&) = delete;

  // Valid after Close too.
  const ExecutorInfo& info() const { return info_; }
  Isolation isolation() const { return isolation_; }
  // Unique among the sessions of the process that are shared.
  uint64_t share_id() const { return share_id_; }

  // Registers the request, then submits it: no row comes before its reader. Throws executor::Failure.
  void Submit(const ExecutorRequest& request, const text::TextSettings& text, std::shared_ptr<EnvironmentSink> sink);
  // The readers are done with these requests: nothing more is posted for them, and the executor is asked to end them.
  void Cancel(const std::vector<uint64_t>& ids);
  // The same for all requests whose sink has been closed, but on the pump's thread: there may be many, and nobody waits.
  void CancelAbandoned();

  SessionStats Stats();
  // Has `read` read the events of the KV cache since the last call. The executor must have CAN_KV_EVENTS.
  void ReadKvEvents(const std::function<void(const ExecutorKvEvents&)>& read);
  SessionCounters counters() const { return {discarded_tokens_.load(), unknown_rows_.load()}; }

  // Makes the pump stop intake, cancel what runs, drain, shut the executor down and free it, all within about the deadline;
  // of several calls the earliest deadline holds. Then `closed`, if any, is called on the pump's thread. Does not wait, and
  // needs no thread and, without `closed`, no memory.
  void BeginClose(std::chrono::milliseconds deadline, std::function<void()> closed = nullptr);
  // Waits for the end of a close that has begun: off the event loop, or at exit.
  void AwaitClosed();

 private:
  using Clock = std::chrono::steady_clock;

  // The pump's thread.
  void Run();
  void Pump(EventsBySink* outgoing);
  void Drain(EventsBySink* outgoing);
  void Free();
  std::chrono::milliseconds LeftOf(const Clock::time_point& time);
  bool HasRoutes();
  void PostBatch(const ExecutorBatch& batch, EventsBySink* outgoing);
  void PostRow(const ExecutorBatch& batch, uint32_t row, Route* route, EventsBySink* outgoing);
  void PostFailures(EventsBySink* outgoing);
  void FailAll(ExecutorCode code, const ExecutorError& error, EventsBySink* outgoing);

  // Goes on while memory has run out, unless the session is being closed.
  template <typename Body>
  void UntilMemorySuffices(Body body);
  // Cancels those that `is_chosen` says, with the lock of the routes. It needs no memory.
  template <typename Chosen>
  void CancelRoutes(Chosen is_chosen);
  void CancelInExecutor(const uint64_t* ids, size_t count);

  const uint64_t share_id_;
  const std::shared_ptr<void> context_;
  const ExecutorTable* const table_;
  const Isolation isolation_;
  OwnedExecutor executor_;  // null once closed
  ExecutorInfo info_{};
  std::string name_, version_, device_, data_type_;  // of info_
  const std::shared_ptr<const text::Vocabulary> vocabulary_;
  std::atomic<uint64_t> discarded_tokens_{0};
  std::atomic<uint64_t> unknown_rows_{0};

  std::shared_mutex intake_;  // shared by calls into the executor, exclusive to end them
  bool closed_ = false;       // under intake_

  std::mutex close_mutex_;                     // of what follows
  std::atomic<bool> closing_{false};           // read without it
  Clock::time_point drain_by_{}, close_by_{};  // once closing_
  bool freed_ = false;
  std::vector<std::function<void()>> when_closed_;
  std::condition_variable close_changed_;

  std::mutex routes_mutex_;  // taken after intake_
  std::unordered_map<uint64_t, Route> routes_;
  std::optional<std::string>
      failure_;  // under routes_mutex_: the executor failed, and nothing is read from it any more

  // The pump's, [rows of the batch]: a route, or the end of the routes; and what is to be cancelled when it was posted.
  std::vector<std::unordered_map<uint64_t, Route>::iterator> found_;
  std::vector<uint64_t> to_cancel_;
  std::atomic<bool> has_abandoned_{false};
  bool has_failures_ = false;  // routes with a failure that was not posted

  std::mutex stats_mutex_;      // rule 5 of the contract: one thread at a time in stats
  std::mutex kv_events_mutex_;  // likewise
};

template <typename Chosen>
void ExecutorSession::CancelRoutes(Chosen is_chosen) {
  std::array<uint64_t, 256> ids;
  size_t count = 0;
  const std::lock_guard<std::mutex> lock(routes_mutex_);
  for (auto& [id, route] : routes_) {
    if (!is_chosen(&route)) continue;
    ids[count++] = id;
    if (count < ids.size()) continue;
    CancelInExecutor(ids.data(), count);
    count = 0;
  }
  CancelInExecutor(ids.data(), count);
}

}  // namespace addon

#endif  // ADDON_EXECUTOR_SESSION_H_
