#include <algorithm>
#include <stdexcept>
#include <thread>

#include "../library/response_queue.h"
#include "test_engine.h"

namespace stand_in {
namespace {

constexpr std::chrono::milliseconds kNoWait(0);
constexpr char kSlow[] = R"({"step_ms": 5})";

bool Has(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

TEST(Await, GivesNothingWhenTheTimeIsOverAndAllRequestsResponsesWhenThereAreSome) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  EXPECT_TRUE(executor->awaitResponses(kNoWait).empty());
  const std::vector<IdType> ids = executor->enqueueRequests({Request({0}, 1), Request({1}, 1)});
  while (executor->getNumResponsesReady() < 2) std::this_thread::yield();
  EXPECT_EQ(executor->getNumResponsesReady(ids[1]), 1);
  EXPECT_EQ(executor->awaitResponses(kNoWait).size(), 2u);
  EXPECT_EQ(executor->getNumResponsesReady(), 0);
}

TEST(Await, ByIdGivesThatRequestsResponsesOnceAndThenSaysThatItWasTerminated) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  const std::vector<IdType> ids = executor->enqueueRequests({Request({0}, 1), Request({1}, 1)});
  const auto by_id = executor->awaitResponses(ids, std::chrono::seconds(20));
  ASSERT_EQ(by_id.size(), 2u);
  EXPECT_EQ(by_id[1].front().getRequestId(), ids[1]);
  const std::vector<Response> again = executor->awaitResponses(ids[0]);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].getErrorMsg(), "ReqId 1 has already been processed and was terminated.");
}

TEST(Await, IsWokenByShutdownWithNothingAndByIdWithOutOfRange) {
  ResponseQueue responses;
  responses.Close();
  EXPECT_TRUE(responses.Await(std::nullopt).empty());
  EXPECT_THROW(responses.Await(7, std::nullopt), std::out_of_range);
}

TEST(Shutdown, RunsWhatIsActiveToItsEndAndRefusesEveryCallAfterwards) {
  const LettersEngineDirectory engine(kSlow);
  const auto executor = Open(engine.path());
  static_cast<void>(executor->enqueueRequest(Request({0}, 10, true)));
  while (executor->getNumResponsesReady() == 0) std::this_thread::yield();
  executor->shutdown();
  executor->shutdown();
  EXPECT_FALSE(executor->canEnqueueRequests());
  EXPECT_TRUE(Has(MessageOf([&] { return executor->enqueueRequest(Request({0}, 1)); }),
                  "Shutdown called, cannot enqueue requests"));
  EXPECT_TRUE(Has(MessageOf([&] { return executor->awaitResponses(); }), "Shutdown called"));
  EXPECT_TRUE(Has(MessageOf([&] { executor->cancelRequest(1); }), "Shutdown called"));
  EXPECT_TRUE(Has(MessageOf([&] { executor->getLatestIterationStats(); }), "Shutdown called"));
}

TEST(Cancel, EndsAnActiveRequestWithAFinalResponse) {
  const LettersEngineDirectory engine(kSlow);
  const auto executor = Open(engine.path());
  const IdType id = executor->enqueueRequest(Request({0}, 60, true));
  VecTokens tokens = TokensOf(executor->awaitResponses());
  executor->cancelRequest(id);
  const std::vector<Response> rest = AwaitFinals(*executor);
  const tle::Result& last = rest.back().getResult();
  EXPECT_TRUE(last.isFinal);
#if STAND_IN_1_2
  EXPECT_EQ(last.finishReasons.front(), FinishReason::kCANCELLED);
  EXPECT_TRUE(last.outputTokenIds.front().empty());
#else
  EXPECT_EQ(last.finishReasons.front(), FinishReason::kNOT_FINISHED);
#endif
  const VecTokens more = TokensOf(rest);
  tokens.insert(tokens.end(), more.begin(), more.end());
  EXPECT_LT(tokens.size(), 60u);
  EXPECT_EQ(tokens, Letters(static_cast<int>(tokens.size()))) << "what was sent before stays valid";
}

TEST(Cancel, TakesTheTokensOfARequestThatDoesNotStreamBackWhereTheVersionKnowsCancelled) {
  const LettersEngineDirectory engine(kSlow);
  tle::ExecutorConfig config;
  config.setRequestStatsMaxIterations(100);
  const auto executor = Open(engine.path(), config);
  const IdType id = executor->enqueueRequest(Request({0}, 60));
  const auto has_tokens = [](const tle::RequestStatsPerIteration& iteration) {
    return !iteration.requestStats.empty() && iteration.requestStats.front().numGeneratedTokens > 0;
  };
  for (auto stats = executor->getLatestRequestStats(); std::none_of(stats.begin(), stats.end(), has_tokens);)
    stats = executor->getLatestRequestStats();
  executor->cancelRequest(id);
  const VecTokens tokens = AwaitFinals(*executor).back().getResult().outputTokenIds.front();
#if STAND_IN_1_2
  EXPECT_EQ(tokens, (VecTokens{0})) << "the prompt";
#else
  EXPECT_GT(tokens.size(), 1u);
  EXPECT_LT(tokens.size(), 61u);
#endif
}

TEST(Cancel, OfAQueuedRequestWaitsUntilItIsActive) {
  const LettersEngineDirectory engine(kSlow);
  tle::ExecutorConfig one;
  one.setMaxBatchSize(1);
  const auto executor = Open(engine.path(), one);
  const IdType running = executor->enqueueRequest(Request({0}, 30));
  const IdType queued = executor->enqueueRequest(Request({0}, 30));
  executor->cancelRequest(queued);
  const std::vector<Response> responses = AwaitFinals(*executor, 2);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(responses[0].getRequestId(), running);
  EXPECT_EQ(responses[0].getResult().outputTokenIds.front().size(), 31u);
  EXPECT_EQ(responses[1].getRequestId(), queued);
#if STAND_IN_1_2
  EXPECT_EQ(responses[1].getResult().outputTokenIds.front(), (VecTokens{0})) << "nothing but the prompt";
#endif
}

TEST(Cancel, OfUnknownAndEndedRequestsDoesNothing) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  Complete(*executor, Request({0}, 1));
  executor->cancelRequest(1);
  executor->cancelRequest(1000);
  EXPECT_EQ(Complete(*executor, Request({0}, 1)).size(), 1u);
}

TEST(Queue, IsTakenByPriorityThenInOrder) {
  const LettersEngineDirectory engine(kSlow);
  tle::ExecutorConfig one;
  one.setMaxBatchSize(1);
  const auto executor = Open(engine.path(), one);
  Request low({0}, 1), high({0}, 1), running({0}, 20);
  low.setPriority(0.1f);
  high.setPriority(0.4f);
  const IdType first = executor->enqueueRequest(running);
  const std::vector<IdType> rest = executor->enqueueRequests({low, high, low});
  std::vector<IdType> order;
  for (const Response& response : AwaitFinals(*executor, 4)) order.push_back(response.getRequestId());
  EXPECT_EQ(order, (std::vector<IdType>{first, rest[1], rest[0], rest[2]}));
}

TEST(Queue, HoldsARequestOfAnotherBeamWidthUntilNothingRuns) {
  const LettersEngineDirectory engine(kSlow);
  const auto executor = Open(engine.path(), Generous());
  static_cast<void>(executor->enqueueRequests({Request({0}, 20), Request({0}, 1, false, tle::SamplingConfig(2))}));
  const std::vector<Response> responses = AwaitFinals(*executor, 2);
  EXPECT_EQ(responses.front().getResult().outputTokenIds.size(), 1u);
  EXPECT_EQ(responses.back().getResult().outputTokenIds.size(), 2u);
}

TEST(Queue, ThatIsFullMakesEnqueueThrow) {
  const LettersEngineDirectory engine(kSlow);
  tle::ExecutorConfig config;
  config.setMaxBatchSize(1);
  config.setMaxQueueSize(1);
  const auto executor = Open(engine.path(), config);
  static_cast<void>(executor->enqueueRequest(Request({0}, 60, true)));
  static_cast<void>(executor->awaitResponses());
  static_cast<void>(executor->enqueueRequest(Request({0}, 1)));
  const std::string message = MessageOf([&] { return executor->enqueueRequest(Request({0}, 1)); });
  EXPECT_EQ(message.rfind("Maximum queue size of 1 has been reached, please try again later", 0), 0u) << message;
}

TEST(Statistics, AreGivenOnce) {
  const LettersEngineDirectory engine;
  tle::ExecutorConfig config;
  config.setRequestStatsMaxIterations(10);
  const auto executor = Open(engine.path(), config);
  Complete(*executor, Request({0}, 5, true));
  std::deque<tle::IterationStats> stats;
  while (stats.empty() || stats.back().numActiveRequests > 0)
    for (const tle::IterationStats& iteration : executor->getLatestIterationStats()) stats.push_back(iteration);
  EXPECT_EQ(stats.back().numCompletedRequests, 1);
  EXPECT_TRUE(executor->getLatestIterationStats().empty());
  EXPECT_FALSE(executor->getLatestRequestStats().empty());
}

TEST(Statistics, CountAStepWhenItStartsAndAllOnceNothingRuns) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  for (int i = 0; i < 100; ++i) {
    static_cast<void>(executor->enqueueRequest(Request({0}, 3, true)));
    uint64_t responses = 0, steps = 0;
    for (bool is_final = false; !is_final;) {
      for (const tle::Response& response : executor->awaitResponses()) {
        ++responses;
        is_final = response.getResult().isFinal;
      }
      for (const tle::IterationStats& iteration : executor->getLatestIterationStats())
        steps = iteration.iter - 3 * i + (iteration.numActiveRequests > 0);
      ASSERT_GE(steps, responses);
    }
    EXPECT_EQ(steps, 3u);
  }
}

#if STAND_IN_1_2
TEST(AllottedTime, EndsARequestThatRunsWhenItIsOver) {
  const LettersEngineDirectory engine(kSlow);
  const auto executor = Open(engine.path());
  Request request({0}, 60, true);
  request.setAllottedTimeMs(std::chrono::milliseconds(20));
  EXPECT_EQ(ReasonOf(Complete(*executor, request).back()), FinishReason::kTIMED_OUT);
}
#endif

}  // namespace
}  // namespace stand_in
