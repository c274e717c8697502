// The contract's table over an executor in another process: calls become messages to a host process, and its answers become
// batches. One thread, the supervisor, starts the host, exchanges messages with it, and starts another when it ends.
//
// When a host ends, each request that it was running ends with a FINISH_ERROR row. Requests submitted before the next host
// has loaded wait for it, and fail if its load fails. Submit does not wait for the host's answer: a request that the host
// refuses ends with a FINISH_ERROR row too.
#ifndef ISOLATION_PROXY_H_
#define ISOLATION_PROXY_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/isolation/descriptor.h"
#include "native/isolation/host_process.h"
#include "native/isolation/message_socket.h"

namespace isolation {

class Proxy {
 public:
  // Starts the host, with `environment` as HostEnvironment gives it, and waits until it has loaded the engine. Throws
  // executor::Failure.
  Proxy(const ExecutorConfig& config, std::string program, const std::string& library,
        std::vector<std::string> environment);
  // Kills a host that does not end by Shutdown's deadline, or, if there was none, within two seconds.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  const ExecutorInfo* info() const { return info_.get(); }
  void Submit(const ExecutorRequest* const* requests, uint32_t count);
  void Cancel(const uint64_t* ids, uint32_t count);
  const ExecutorBatch* Wait(std::chrono::milliseconds timeout);
  void Interrupt();
  void Stats(ExecutorStats* stats);
  const ExecutorKvEvents* KvEvents();
  void Shutdown(std::chrono::milliseconds deadline);

 private:
  enum class State { kLoading, kReady, kDown, kEnded };  // of the host; the last for good
  struct Waiting {
    uint64_t id;
    Bytes message;
  };

  // Returns whether the engine was loaded.
  bool WaitForLoad();
  void Stop();

  // On the supervisor's thread.
  void Supervise();
  ExecutorError RunHost();
  void Serve(HostProcess* host);
  bool SendOutgoing(const HostProcess& host);
  void OnMessage(Message message);
  void OnLoaded(std::shared_ptr<const ExecutorInfo> info);
  void OnBatch(std::shared_ptr<const ExecutorBatch> batch);
  void OnLostBatch(uint64_t request_id);
  void OnKvEvents(std::shared_ptr<const ExecutorKvEvents> events);
  void AddWithoutLost(const std::shared_ptr<const ExecutorBatch>& batch);
  bool HostEnded(const ExecutorError& end);

  void Wake() const;
  void Log(ExecutorLogLevel level, const std::string& line) const;

  const std::string program_;
  const std::vector<std::string> environment_;
  const Bytes create_message_;
  const ExecutorConfig callbacks_;  // only the callbacks and their context are set
  const uint32_t max_waiting_;
  const uint32_t max_kv_events_;
  const Descriptor wake_;  // an eventfd: the supervisor has something to do

  // Used only by the supervisor.
  std::optional<MessageSender> sender_;
  std::optional<ExecutorError> host_failure_;  // what its last message said
  std::unordered_set<uint64_t> lost_;  // requests that ended for want of memory here, and that the host still ends
  std::chrono::milliseconds backoff_;

  // Used only by the thread in KvEvents.
  std::deque<std::shared_ptr<const ExecutorKvEvents>> read_kv_events_;
  std::vector<ExecutorKvEvent> all_kv_events_;  // of those
  ExecutorKvEvents given_kv_events_{};

  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  State state_ = State::kLoading;
  double load_done_ = 0;
  std::optional<executor::Failure> load_failure_;  // of the first load
  std::shared_ptr<const ExecutorInfo> info_;       // of the first host; never changed
  std::deque<Bytes> outgoing_;
  std::unordered_set<uint64_t> running_;  // in the host
  std::deque<Waiting> waiting_;           // for a host
  bool any_succeeded_ = false;            // a request of this host
  bool executor_failed_ = false;          // this host's; it is about to end, so new requests wait for the next
  std::deque<std::shared_ptr<const ExecutorBatch>> arrived_;
  const std::shared_ptr<const ExecutorBatch> no_rows_;
  std::shared_ptr<const ExecutorBatch> current_;  // what the last wait returned
  bool interrupted_ = false;
  std::shared_ptr<const StatsAnswer> stats_;        // the newest
  std::shared_ptr<const StatsAnswer> given_stats_;  // what the last stats returned
  uint64_t stats_asked_ = 0;
  uint64_t stats_answered_ = 0;                                    // in their order
  std::deque<std::shared_ptr<const ExecutorKvEvents>> kv_events_;  // not taken yet
  size_t kv_event_count_ = 0;                                      // in all of them
  bool closed_ = false;                                            // no further requests, no further host
  std::optional<std::chrono::steady_clock::time_point> stop_by_;   // once closed
  bool shut_down_ = false;                                         // the host has answered
  bool stop_ = false;                                              // the supervisor must end

  std::thread supervisor_;
};

}  // namespace isolation

#endif  // ISOLATION_PROXY_H_
