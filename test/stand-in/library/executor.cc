// The API's Executor over its process's Role, with the script's throws and aborts at its doors.
#include "tensorrt_llm/executor/executor.h"

#include <cstdlib>

#include "check.h"
#include "role.h"
#include "tensorrt_llm/executor/version.h"

namespace tensorrt_llm::executor {

char const* version() noexcept {
  char const* const pretended = std::getenv("STAND_IN_REPORTED_VERSION");
  return pretended == nullptr ? kTensorRtLlmVersion : pretended;
}

class Executor::Impl {
 public:
  Impl(std::filesystem::path const& modelPath, ExecutorConfig const& config)
      : role_(stand_in::TakeRole(modelPath, config)) {}

  // The role, for a call that is refused after shutdown and on a rank that only follows.
  stand_in::Role& Enter(const char* function, const char* refusal = "Shutdown called") {
    role_->Enter(function);
    stand_in::Check(!role_->is_shut_down(), refusal);
    stand_in::Check(role_->takes_requests(),
                    std::string("With LEADER communication mode, only leader rank is expected to call ") + function);
    return *role_;
  }
  stand_in::Role& role() { return *role_; }

 private:
  const std::unique_ptr<stand_in::Role> role_;
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
  impl_->role().Enter("shutdown");
  impl_->role().Shutdown();
}

std::deque<IterationStats> Executor::getLatestIterationStats() {
  return impl_->Enter("getLatestIterationStats").TakeIterationStats();
}

std::deque<RequestStatsPerIteration> Executor::getLatestRequestStats() {
  return impl_->Enter("getLatestRequestStats").TakeRequestStats();
}

bool Executor::canEnqueueRequests() const {
  impl_->role().Enter("canEnqueueRequests");
  return !impl_->role().is_shut_down() && impl_->role().takes_requests();
}

#if STAND_IN_1_2
bool Executor::isParticipant() const { return impl_->role().participates(); }

std::optional<std::shared_ptr<KVCacheEventManager>> Executor::getKVCacheEventManager() const {
  if (!impl_->role().has_kv_events()) return std::nullopt;
  return std::make_shared<KVCacheEventManager>([this] { return impl_->Enter("getLatestEvents").TakeKvEvents(); });
}
#endif

}  // namespace tensorrt_llm::executor
