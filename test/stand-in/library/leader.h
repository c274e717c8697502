// The rank that takes requests: a queue, an execution thread with its iterations, and the responses they give.
#ifndef STAND_IN_LEADER_H_
#define STAND_IN_LEADER_H_

#include <deque>
#include <exception>
#include <list>
#include <map>
#include <set>
#include <thread>

#include "role.h"
#include "sequence.h"

namespace stand_in {

class Leader : public Role {
 public:
  // Loads the engine. Throws as NVIDIA's library does.
  Leader(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config);
  ~Leader() override;

  std::vector<IdType> Enqueue(const std::vector<tle::Request>& requests) override;
  void Cancel(IdType id) override;
  // Runs what is active to its end, then stops.
  void Shutdown() override;
  std::deque<tle::IterationStats> TakeIterationStats() override;
  std::deque<tle::RequestStatsPerIteration> TakeRequestStats() override;
#if STAND_IN_1_2
  std::deque<tle::KVCacheEvent> TakeKvEvents() override { return engine_->TakeKvEvents(); }
#endif
  bool has_kv_events() const override { return true; }

 private:
  struct Queued {
    std::shared_ptr<const tle::Request> request;  // null asks the thread to end
    std::vector<IdType> ids;                      // the request's, then those of its further sequences
    Clock::time_point arrival;
  };

  void Load(const tle::ExecutorConfig& config);
  void Run();
  void FinishStep();
  void StartStep();
  void TerminateCancelled();
  void TakeStep();
  void FailAll(const std::string& message);
  void MakeResponses();
  void SendResponses();
  void Fetch();
  std::vector<Queued> TakeQueued();
  void Start(const Queued& queued);
  SizeType32 CheckedMaxNewTokens(const tle::Request& request) const;
  void AppendError(IdType id, const tle::Request& request, const std::string& message);
  // step_time: of the newest step that has ended; none where it is told already.
  void AddStats(std::chrono::duration<double, std::milli> step_time);

  const EngineDirectory directory_;
  const tle::ExecutorConfig config_;
  const SizeType32 max_active_;
  std::unique_ptr<Engine> engine_;

  std::mutex queue_mutex_;  // of the next three
  std::condition_variable queue_changed_;
  std::deque<Queued> queue_;  // by priority
  IdType last_id_ = 0;

  std::mutex cancel_mutex_;
  std::set<IdType> cancelled_;

  std::mutex stats_mutex_;
  std::deque<tle::IterationStats> iteration_stats_;
  std::deque<tle::RequestStatsPerIteration> request_stats_;

  // Of the execution thread alone:
  std::list<Sequence> active_;  // by priority
  std::set<IdType> failing_;    // sequences that the script ends in an error
  std::vector<tle::Response> new_responses_;
  bool is_ending_ = false;
  std::vector<SequenceStep> step_;   // what the step that runs gives
  std::exception_ptr step_failure_;  // or how it fails
  Clock::time_point step_start_;
  Clock::duration step_time_{};  // of the newest that has ended
  uint64_t steps_ = 0;           // that have ended
  uint64_t started_ = 0;         // requests
  uint64_t new_active_ = 0;      // of them, since the last statistics
  size_t completed_ = 0;         // sequences, since the last statistics

  std::thread thread_;
};

}  // namespace stand_in

#endif  // STAND_IN_LEADER_H_
