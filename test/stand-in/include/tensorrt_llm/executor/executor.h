#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_EXECUTOR_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_EXECUTOR_H_

#include <chrono>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensorrt_llm/executor/parts/executor_config.h"
#include "tensorrt_llm/executor/parts/request.h"
#include "tensorrt_llm/executor/parts/response.h"
#include "tensorrt_llm/executor/tensor.h"
#include "tensorrt_llm/executor/types.h"
#if STAND_IN_1_2
#include "tensorrt_llm/executor/parts/kv_events.h"
#endif

namespace tensorrt_llm::executor {

char const* version() noexcept;

class Executor {
 public:
  Executor(std::filesystem::path const& modelPath, ModelType modelType, ExecutorConfig const& executorConfig);
  ~Executor();
#if STAND_IN_1_2
  Executor(Executor const& executor) = delete;
  Executor& operator=(Executor const& executor) = delete;
  Executor(Executor&&) = default;
  Executor& operator=(Executor&&) = default;
#endif

  [[nodiscard]] IdType enqueueRequest(Request const& request);
  [[nodiscard]] std::vector<IdType> enqueueRequests(std::vector<Request> const& requests);

  [[nodiscard]] std::vector<Response> awaitResponses(
      std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] std::vector<Response> awaitResponses(
      IdType const& requestId, std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] std::vector<std::vector<Response>> awaitResponses(
      std::vector<IdType> const& requestIds, std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] SizeType32 getNumResponsesReady(std::optional<IdType> const& requestId = std::nullopt) const;

  void cancelRequest(IdType requestId);
  void shutdown();

  std::deque<IterationStats> getLatestIterationStats();
  std::deque<RequestStatsPerIteration> getLatestRequestStats();

  [[nodiscard]] bool canEnqueueRequests() const;
#if STAND_IN_1_2
  [[nodiscard]] bool isParticipant() const;
  [[nodiscard]] std::optional<std::shared_ptr<KVCacheEventManager>> getKVCacheEventManager() const;
#endif

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_EXECUTOR_H_
