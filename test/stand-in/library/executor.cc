// The API's Executor over a Leader, with the script's throws and aborts at its doors.
#include "tensorrt_llm/executor/executor.h"

#include <cstdlib>

#include "check.h"
#include "leader.h"
#include "tensorrt_llm/executor/version.h"

namespace tensorrt_llm::executor {

char const* version() noexcept {
  char const* const pretended = std::getenv("STAND_IN_REPORTED_VERSION");
  return pretended == nullptr ? kTensorRtLlmVersion : pretended;
}

class Executor::Impl {
 public:
  Impl(std::filesystem::path const& modelPath, ExecutorConfig const& config) : leader_(modelPath, config) {}

  // The leader, for a call that is refused after shutdown.
  stand_in::Leader& Enter(const char* function, const char* refusal = "Shutdown called") {
    leader_.Enter(function);
    stand_in::Check(!leader_.is_shut_down(), refusal);
    return leader_;
  }
  stand_in::Leader& leader() { return leader_; }

 private:
  stand_in::Leader leader_;
};

Executor::Executor(std::filesystem::path const& modelPath, ModelType modelType, ExecutorConfig const& executorConfig) {
  stand_in::Check(modelType == ModelType::kDECODER_ONLY, "the stand-in runs decoder-only models");
  impl_ = std::make_unique<Impl>(modelPath, executorConfig);
}

Executor::~Executor() = default;

IdType Executor::enqueueRequest(Request const& request) { return enqueueRequests({request}).front(); }

std::vector<IdType> Executor::enqueueRequests(std::vector<Request> const& requests) {
  return impl_->Enter("enqueueRequests", "Shutdown called, cannot enqueue requests").Enqueue(requests);
}

std::vector<Response> Executor::awaitResponses(std::optional<std::chrono::milliseconds> const& timeout) {
  return impl_->Enter("awaitResponses").responses().Await(timeout);
}

std::vector<Response> Executor::awaitResponses(IdType const& requestId,
                                               std::optional<std::chrono::milliseconds> const& timeout) {
  return impl_->Enter("awaitResponses").responses().Await(requestId, timeout);
}

std::vector<std::vector<Response>> Executor::awaitResponses(std::vector<IdType> const& requestIds,
                                                            std::optional<std::chrono::milliseconds> const& timeout) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::vector<Response>> all;
  for (const IdType id : requestIds) {
    std::optional<std::chrono::milliseconds> left;
    if (timeout) {
      const auto passed =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
      left = std::max(*timeout - passed, std::chrono::milliseconds(0));
    }
    all.push_back(awaitResponses(id, left));
  }
  return all;
}

SizeType32 Executor::getNumResponsesReady(std::optional<IdType> const& requestId) const {
  return static_cast<SizeType32>(impl_->Enter("getNumResponsesReady").responses().Count(requestId));
}

void Executor::cancelRequest(IdType requestId) { impl_->Enter("cancelRequest").Cancel(requestId); }

void Executor::shutdown() {
  impl_->leader().Enter("shutdown");
  impl_->leader().Shutdown();
}

std::deque<IterationStats> Executor::getLatestIterationStats() {
  return impl_->Enter("getLatestIterationStats").TakeIterationStats();
}

std::deque<RequestStatsPerIteration> Executor::getLatestRequestStats() {
  return impl_->Enter("getLatestRequestStats").TakeRequestStats();
}

bool Executor::canEnqueueRequests() const {
  impl_->leader().Enter("canEnqueueRequests");
  return !impl_->leader().is_shut_down();
}

#if STAND_IN_1_2
bool Executor::isParticipant() const { return true; }
#endif

}  // namespace tensorrt_llm::executor
