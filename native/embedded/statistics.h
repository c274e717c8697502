// What the embedded executor counts.
#ifndef EMBEDDED_STATISTICS_H_
#define EMBEDDED_STATISTICS_H_

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "native/embedded/model_runner.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"
#include "native/executor/executor.h"

namespace embedded {

using Requests = std::unordered_map<uint64_t, std::shared_ptr<Request>>;

// Requests that run; the sequences of one run side by side.
size_t ActiveRequests(const Scheduler& scheduler);

// Not synchronised: the executor's lock is held.
class Statistics {
 public:
  uint64_t steps() const { return totals_.steps; }

  // The step is about to be submitted; from now on it is the newest.
  void CountPlanned(const Step& step, Request::Clock::time_point start);
  // What the draft model took of it.
  void CountDraftModel(double ms) { totals_.draft_ms = ms; }
  // Its results are there, `ms` after it was planned.
  void CountComputed(double ms);
  // What it gave a sequence was added to it.
  void CountTokens(RequestSequence* sequence);
  void CountEnded() { ++totals_.completed_requests; }
  // Of a sequence's drafts in a step.
  void CountDrafts(Request* request, size_t verified, size_t accepted);

  // What it counted, and what stands in the scheduler. Of each request only where `each_request`; those are valid until
  // the next call.
  ExecutorStats Snapshot(const Scheduler& scheduler, const Requests& requests, const ExecutorInfo& info,
                         const RunnerInfo& runner, bool each_request);

 private:
  ExecutorRequestStats OfRequest(const Request& request) const;

  ExecutorStats totals_{};
  std::vector<uint64_t> scheduled_;              // ids of the newest step
  size_t step_tokens_ = 0, step_sequences_ = 0;  // of the newest computed step: those that it gave, and who got any
  std::vector<ExecutorRequestStats> each_request_;
};

}  // namespace embedded

#endif  // EMBEDDED_STATISTICS_H_
