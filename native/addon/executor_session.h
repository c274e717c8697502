// A loaded executor with its pump: the thread that waits for its batches, and the table of which environment gets the
// events of which request. It belongs to the process: several JavaScript environments may use it at once.
#ifndef ADDON_EXECUTOR_SESSION_H_
#define ADDON_EXECUTOR_SESSION_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
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

// Where the events of a request go: to the sink of the environment that made it.
struct Route {
  std::shared_ptr<EnvironmentSink> sink;  // null: its reader is gone, and what still comes is counted and dropped
  std::vector<Sequence> sequences;
  size_t running;        // sequences that have not ended
  bool started = false;  // the start event was posted
};

struct SessionCounters {
  uint64_t discarded_tokens;  // arrived after their request had ended for its reader
  uint64_t unknown_rows;      // of unknown requests
};

// Where the executor runs.
enum class Isolation { kNone, kProcess };

class EventsBySink;

// Unique in the process, so that a subscriber to all requests can tell them apart by id alone.
uint64_t NextRequestId();

class ExecutorSession {
 public:
  // Takes over the executor, which `table` made, and starts the pump. `vocabulary` is null where there is no tokenizer;
  // `context` is what the executor's config pointed to, and lives as long as it.
  ExecutorSession(const ExecutorTable* table, Executor* executor, Isolation isolation,
                  std::shared_ptr<const text::Vocabulary> vocabulary, std::shared_ptr<void> context);
  // Closes, unless Close was called.
  ~ExecutorSession();
  ExecutorSession(const ExecutorSession&) = delete;
  ExecutorSession& operator=(const ExecutorSession&) = delete;

  // Valid after Close too.
  const ExecutorInfo& info() const { return info_; }
  Isolation isolation() const { return isolation_; }
  // Unique in the process.
  uint64_t share_id() const { return share_id_; }

  // Registers the request, then submits it: no row comes before its reader. Throws executor::Failure.
  void Submit(const ExecutorRequest& request, std::shared_ptr<const text::StopStrings> stops,
              text::SpecialTokens special_tokens, std::shared_ptr<EnvironmentSink> sink);
  // The readers are done with these requests: nothing more is posted for them, and the executor is asked to end them.
  void Cancel(const std::vector<uint64_t>& ids);
  // The same for all requests of an environment.
  void CancelAll(const EnvironmentSink* sink);

  void Stats(ExecutorStats* stats);
  SessionCounters counters() const { return {discarded_tokens_.load(), unknown_rows_.load()}; }

  // Stops intake, cancels what runs, drains, shuts the executor down, joins the pump and frees it, all within about the
  // deadline. Blocks; called off the event loop, or at exit. A second call waits for the first.
  void Close(std::chrono::milliseconds deadline);

 private:
  void Pump();
  void PostBatch(const ExecutorBatch& batch, EventsBySink* outgoing);
  void FailAll(const executor::Failure& failure);
  void CancelInExecutor(const std::vector<uint64_t>& ids);

  const uint64_t share_id_;
  const std::shared_ptr<void> context_;
  const ExecutorTable* const table_;
  const Isolation isolation_;
  Executor* executor_;  // null once closed
  ExecutorInfo info_{};
  std::string name_, version_, device_, data_type_;  // of info_
  const std::shared_ptr<const text::Vocabulary> vocabulary_;
  std::atomic<uint64_t> discarded_tokens_{0};
  std::atomic<uint64_t> unknown_rows_{0};

  std::shared_mutex intake_;  // shared by calls into the executor, exclusive to end them
  bool closed_ = false;       // under intake_
  std::mutex close_mutex_;    // held while closing

  std::mutex routes_mutex_;  // taken after intake_
  std::unordered_map<uint64_t, Route> routes_;
  std::vector<std::unordered_map<uint64_t, Route>::iterator> found_;  // [rows of the batch]; the pump's
  std::condition_variable routes_empty_;
  std::optional<std::string> failure_;  // under routes_mutex_: the executor failed, and the pump has ended

  std::mutex stats_mutex_;  // rule 5 of the contract: one thread at a time in stats

  std::atomic<bool> stop_pump_{false};
  std::thread pump_;
};

}  // namespace addon

#endif  // ADDON_EXECUTOR_SESSION_H_
