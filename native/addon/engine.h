// One loaded engine: its executor, the pump thread that waits for it, and who is to hear of which request. It belongs to
// the process, not to a JavaScript environment: several environments may use it at once.
#ifndef ADDON_ENGINE_H_
#define ADDON_ENGINE_H_

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

#include "native/addon/mailbox.h"
#include "native/executor/executor.h"
#include "native/text/text_stream.h"

namespace addon {

// A request on its way from the executor to the mailbox of the environment that made it.
struct Route {
  Route(std::shared_ptr<Mailbox> owner, uint32_t sequences)
      : mailbox(std::move(owner)), running(sequences), ended(sequences, false) {}

  std::shared_ptr<Mailbox> mailbox;     // null: nobody listens any more, what still comes is counted and dropped
  uint32_t running;                     // sequences that have not ended
  std::vector<bool> ended;              // [sequences]
  std::vector<text::TextStream> texts;  // [sequences], or empty where the engine has no tokenizer
  bool started = false;                 // the start event was posted
};

struct EngineCounters {
  uint64_t discarded_tokens;  // came after their request had ended for its reader
  uint64_t unknown_rows;      // were for no request that is known
};

class Outgoing;

// For a request, unique in the process: what observes requests need not know their engines.
uint64_t NextRequestId();

class Engine {
 public:
  // Takes over the executor, which `table` made, and starts the pump. `vocabulary` is null where there is no tokenizer;
  // `context` is what the executor's config pointed to, and lives as long as it.
  Engine(const ExecutorTable* table, Executor* executor, std::shared_ptr<const text::Vocabulary> vocabulary,
         std::shared_ptr<void> context);
  // Closes, where nobody did.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Stays when the engine is closed.
  const ExecutorInfo& info() const { return info_; }
  // Whether the executor runs in a process of its own.
  bool isolated() const;
  // Unique in the process.
  uint64_t share_id() const { return share_id_; }

  // Registers the request, then submits it: no row comes before its reader. Throws executor::Failure.
  void Submit(const ExecutorRequest& request, std::shared_ptr<const text::StopStrings> stops,
              text::SpecialTokens special_tokens, std::shared_ptr<Mailbox> mailbox);
  // The reader is done with this request: nothing more is posted for it, and the executor is asked to end it.
  void Cancel(uint64_t id);
  // The same for all requests of an environment.
  void CancelAll(const Mailbox* mailbox);

  void Stats(ExecutorStats* stats);
  EngineCounters counters() const { return {discarded_tokens_.load(), unknown_rows_.load()}; }

  // Stops intake, cancels what runs, drains, shuts the executor down, joins the pump and frees it, all within about the
  // deadline. Blocks; called off the event loop, or at exit. A second call waits for the first.
  void Close(std::chrono::milliseconds deadline);

 private:
  void Pump();
  void PostBatch(const ExecutorBatch& batch, Outgoing* outgoing);
  void FailAll(ExecutorCode code, const char* message);
  void CancelInExecutor(const std::vector<uint64_t>& ids);

  const uint64_t share_id_;
  const std::shared_ptr<void> context_;
  const ExecutorTable* const table_;
  Executor* executor_;  // null once closed
  ExecutorInfo info_{};
  std::string name_, version_, device_, data_type_;  // of info_
  const std::shared_ptr<const text::Vocabulary> vocabulary_;
  std::atomic<uint64_t> discarded_tokens_{0};
  std::atomic<uint64_t> unknown_rows_{0};

  std::shared_mutex intake_;  // shared by calls into the executor, exclusive to end them
  bool closed_ = false;       // under intake_
  std::mutex close_mutex_;    // held by the one who closes

  std::mutex routes_mutex_;  // taken after intake_
  std::unordered_map<uint64_t, Route> routes_;
  std::condition_variable routes_empty_;
  std::optional<std::string> failure_;  // under routes_mutex_: the executor failed, and the pump has ended

  std::mutex stats_mutex_;  // rule 5 of the contract: one thread at a time in stats

  std::atomic<bool> stop_pump_{false};
  std::thread pump_;
};

}  // namespace addon

#endif  // ADDON_ENGINE_H_
