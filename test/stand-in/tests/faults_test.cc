#include <csignal>
#include <cstdlib>
#include <thread>

#include "test_engine.h"

namespace stand_in {
namespace {

bool mpi_is_initialized = false;

}  // namespace
}  // namespace stand_in

// What a process that has initialised MPI itself answers the stand-in.
extern "C" __attribute__((visibility("default"))) int MPI_Initialized(int* flag) {
  *flag = stand_in::mpi_is_initialized ? 1 : 0;
  return 0;
}

namespace stand_in {
namespace {

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

TEST(Script, MakesEmptyAndLongDeltas) {
  const LettersEngineDirectory engine(R"({"deltas": [0, 3]})");
  const auto executor = Open(engine.path());
  const std::vector<Response> responses = Complete(*executor, Request({0}, 6, true));
  std::vector<size_t> sizes;
  for (const Response& response : responses) sizes.push_back(response.getResult().outputTokenIds.front().size());
  EXPECT_EQ(sizes, (std::vector<size_t>{0, 3, 0, 3}));
}

TEST(Script, MakesAFinalResponseComeLateAndEmpty) {
  const LettersEngineDirectory engine(R"({"final_steps_late": 2})");
  const auto executor = Open(engine.path());
  const std::vector<Response> responses = Complete(*executor, Request({0}, 2, true));
  EXPECT_EQ(TokensOf(responses), Letters(2));
  ASSERT_EQ(responses.size(), 3u);
  EXPECT_TRUE(responses.back().getResult().outputTokenIds.front().empty());
  EXPECT_EQ(ReasonOf(responses.back()), FinishReason::kLENGTH);
}

TEST(Script, MakesFinalResponsesComeTwiceAndResponsesOfUnknownIds) {
  const LettersEngineDirectory engine(R"({"doubled_finals": true, "unknown_ids": true})");
  const auto executor = Open(engine.path());
  static_cast<void>(executor->enqueueRequest(Request({0}, 1)));
  const std::vector<Response> responses = executor->awaitResponses();
  ASSERT_EQ(responses.size(), 3u);
  EXPECT_EQ(responses[0].getRequestId(), 1u);
  EXPECT_EQ(responses[1].getRequestId(), 1u);
  EXPECT_GT(responses[2].getRequestId(), 1000u);
}

TEST(Script, FailsEveryNthRequestAfterItsFirstStep) {
  const LettersEngineDirectory engine(R"({"fail_every": 2, "fail_without_client_id": true})");
  const auto executor = Open(engine.path());
  Request request({0}, 4, true);
  request.setClientId(5);
  EXPECT_FALSE(Complete(*executor, request).back().hasError());
  const std::vector<Response> failed = Complete(*executor, request);
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_TRUE(StartsWith(failed[1].getErrorMsg(), "Encountered an error in forwardAsync function: "));
#if STAND_IN_1_2
  EXPECT_EQ(failed[1].getClientId(), std::nullopt);
#endif
}

#if STAND_IN_1_2
TEST(Script, FailsAllActiveSequencesUnderTheirOwnIdsFromAStepOn) {
  const LettersEngineDirectory engine(R"({"forward_fails_at": 2})");
  const auto executor = Open(engine.path());
  tle::SamplingConfig two;
  two.setNumReturnSequences(2);
  Request request({0}, 9, false, two);
  request.setClientId(5);
  static_cast<void>(executor->enqueueRequest(request));
  const std::vector<Response> responses = AwaitFinals(*executor, 2);
  ASSERT_EQ(responses.size(), 2u);
  for (const Response& response : responses) {
    EXPECT_TRUE(StartsWith(response.getErrorMsg(), "Encountered an error in forwardSync function: "));
    EXPECT_EQ(response.getClientId(), 5u);
  }
  EXPECT_EQ(responses[1].getRequestId(), 2u) << "an id that the client never saw";
  EXPECT_TRUE(Complete(*executor, Request({0}, 1)).back().hasError());
}
#endif

TEST(Script, ThrowsFromEachFunction) {
  const std::vector<std::pair<std::string, void (*)(Executor&)>> calls = {
      {"enqueueRequests", [](Executor& executor) { static_cast<void>(executor.enqueueRequest(Request({0}, 1))); }},
      {"awaitResponses",
       [](Executor& executor) { static_cast<void>(executor.awaitResponses(std::chrono::milliseconds(0))); }},
      {"getNumResponsesReady", [](Executor& executor) { static_cast<void>(executor.getNumResponsesReady()); }},
      {"cancelRequest", [](Executor& executor) { executor.cancelRequest(1); }},
      {"shutdown", [](Executor& executor) { executor.shutdown(); }},
      {"getLatestIterationStats", [](Executor& executor) { executor.getLatestIterationStats(); }},
      {"getLatestRequestStats", [](Executor& executor) { executor.getLatestRequestStats(); }},
      {"canEnqueueRequests", [](Executor& executor) { static_cast<void>(executor.canEnqueueRequests()); }}};
  for (const auto& [function, call] : calls) {
    const LettersEngineDirectory engine(R"({"throw_at_call": 2, "throw_in": ")" + function + "\"}");
    const auto executor = Open(engine.path());
    call(*executor);
    EXPECT_TRUE(StartsWith(MessageOf([&, call = call] { call(*executor); }), "scripted throw in " + function));
  }
  const LettersEngineDirectory engine(R"({"throw_in": "Executor"})");
  EXPECT_TRUE(StartsWith(MessageOf([&] { Open(engine.path()); }), "scripted throw in Executor"));
  const LettersEngineDirectory other(R"({"throw_in": "Executor", "throw_no_exception": true})");
  EXPECT_THROW(Open(other.path()), int);
}

TEST(Script, WithAnUnknownFieldIsRefused) {
  const LettersEngineDirectory engine(R"({"no_such_fault": 1})");
  EXPECT_TRUE(MessageOf([&] { Open(engine.path()); }).find("there is no no_such_fault") != std::string::npos);
}

TEST(Load, RefusesEnginesOfSeveralRanksInOneProcess) {
  const LettersEngineDirectory engine;
  embedded::WriteFile(engine.path() + "/config.json",
                      std::string(R"({"pretrained_config": {"vocab_size": 9, "mapping": {"tp_size": 2}},)") +
                          R"("build_config": )" + kBuild + "}");
  EXPECT_TRUE(StartsWith(MessageOf([&] { Open(engine.path()); }),
                         "[TensorRT-LLM][ERROR] Assertion failed: With communicationMode kLEADER, MPI worldSize is "
                         "expected to be equal to tp*pp*cp"));
}

TEST(Load, NamesTheFileThatIsMissing) {
  const LettersEngineDirectory engine;
  std::filesystem::remove(engine.path() + "/rank0.engine");
  EXPECT_NE(MessageOf([&] { Open(engine.path()); }).find("Error opening engine file: "), std::string::npos);
  std::filesystem::remove(engine.path() + "/config.json");
  EXPECT_NE(MessageOf([&] { Open(engine.path()); }).find("File does not exist: "), std::string::npos);
}

// Each in a process of its own: signal handlers, plugins and MPI are the process's.
class ProcessDeathTest : public testing::Test {
 protected:
  ProcessDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  LettersEngineDirectory engine_;
};

TEST_F(ProcessDeathTest, NoEngineIsLoadedWithoutThePlugins) {
  const auto load = [&] {
    try {
      Executor(engine_.path(), tle::ModelType::kDECODER_ONLY, tle::ExecutorConfig());
    } catch (const std::exception& error) {
      std::fputs(error.what(), stderr);
      std::exit(3);
    }
    std::exit(0);
  };
  EXPECT_EXIT(load(), testing::ExitedWithCode(3), "Assertion failed: Failed to deserialize cuda engine.");
}

TEST_F(ProcessDeathTest, TheConstructorTakesTheSignalsOfAbortAndSegmentationFault) {
  const auto load_and_raise = [&](int signal) {
    const auto executor = Open(engine_.path());
    std::raise(signal);
  };
  EXPECT_EXIT(load_and_raise(SIGABRT), testing::ExitedWithCode(EXIT_FAILURE), "MPI_ABORT was invoked");
  EXPECT_EXIT(load_and_raise(SIGSEGV), testing::ExitedWithCode(EXIT_FAILURE), "MPI_ABORT was invoked");
}

TEST_F(ProcessDeathTest, TheSignalsAreLeftAloneWhereMpiWasInitializedBefore) {
  const auto load_and_raise = [&] {
    mpi_is_initialized = true;
    const auto executor = Open(engine_.path());
    std::raise(SIGABRT);
  };
  EXPECT_EXIT(load_and_raise(), testing::KilledBySignal(SIGABRT), "");
}

TEST_F(ProcessDeathTest, AScriptCanAbortInAStep) {
  embedded::WriteFile(engine_.path() + "/stand-in.json", R"({"abort_in": "step"})");
  EXPECT_EXIT(Complete(*Open(engine_.path()), Request({0}, 1)), testing::ExitedWithCode(EXIT_FAILURE),
              "MPI_ABORT was invoked");
}

}  // namespace
}  // namespace stand_in
