// What an Executor is in its process: the rank that takes requests, one that only follows it, or the orchestrator that has
// started the ranks.
#ifndef STAND_IN_ROLE_H_
#define STAND_IN_ROLE_H_

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "response_queue.h"
#include "script.h"

namespace stand_in {

class Role {
 public:
  explicit Role(Script script) : script_(std::move(script)) {}
  virtual ~Role() = default;
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  virtual std::vector<IdType> Enqueue(const std::vector<tle::Request>& requests) = 0;
  virtual void Cancel(IdType id) = 0;
  // Idempotent; not with another call at the same time.
  virtual void Shutdown() = 0;
  virtual std::deque<tle::IterationStats> TakeIterationStats() { return {}; }
  virtual std::deque<tle::RequestStatsPerIteration> TakeRequestStats() { return {}; }
#if STAND_IN_1_2
  virtual std::deque<tle::KVCacheEvent> TakeKvEvents() { return {}; }
#endif
  virtual bool has_kv_events() const { return false; }
  virtual bool takes_requests() const { return true; }
  virtual bool participates() const { return true; }

  ResponseQueue& responses() { return responses_; }
  bool is_shut_down() const { return is_shutdown_called_; }
  // Counts the call of a function of Executor, and throws or aborts where the script says so.
  void Enter(const std::string& function);

 protected:
  const Script script_;
  ResponseQueue responses_;
  bool is_shutdown_called_ = false;

 private:
  std::atomic<uint64_t> calls_{0};  // of script_.throw_in
};

// The role of this process. Blocks until the engine is loaded, by all ranks where it is the orchestrator.
std::unique_ptr<Role> TakeRole(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config);

}  // namespace stand_in

#endif  // STAND_IN_ROLE_H_
