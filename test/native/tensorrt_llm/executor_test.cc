// The adapter through its table, in the library that it is shipped as.
#include "native/executor/executor.h"

#include <dlfcn.h>

#include <csignal>
#include <thread>

#include "../embedded/table_client.h"
#include "../paths.h"
#include "test_engine.h"

namespace adapter {
namespace {

using embedded::TableClient;
using embedded::TestRequest;
using embedded::TestResult;

const ExecutorTable* Table() {
  void* const library = dlopen(FromProgram(EXECUTOR_LIBRARY).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return reinterpret_cast<ExecutorTableFunction>(dlsym(library, EXECUTOR_TABLE_SYMBOL))(EXECUTOR_ABI_VERSION);
}

// What each request allows that an engine allows.
void Generous(ExecutorConfig* config) {
#if STAND_IN_1_2
  config->set |= CONFIG_GATHER_GENERATION_LOGITS;
  config->gather_generation_logits = 1;
#else
  static_cast<void>(config);
#endif
}

struct Client {
  explicit Client(const std::string& script = "{}", const std::function<void(ExecutorConfig*)>& change = Generous)
      : engine(script), client(engine.path(), Table(), change) {}
  TableClient* operator->() { return &client; }
  TestEngine engine;
  TableClient client;
};

std::vector<int32_t> Letters(int count, int first = 0) {
  std::vector<int32_t> letters;
  for (int i = 0; i < count; ++i) letters.push_back('a' + (first + i) % 26);
  return letters;
}

TEST(Executor, StreamsARowForEachStep) {
  Client client;
  const TestResult result = client->Run(TestRequest(1, {0}, 4));
  EXPECT_EQ(result.tokens, Letters(4));
  EXPECT_EQ(result.finish, FINISH_LENGTH);
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(result.rows_with_usage, 2);
  EXPECT_EQ(result.details->prompt_tokens, 1u);
}

TEST(Executor, GivesOneRowOfARequestThatDoesNotStream) {
  Client client;
  TestRequest request(1, {0}, 4);
  request.request.streaming = 0;
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.tokens, Letters(4));
  EXPECT_EQ(result.rows, 1);
}

TEST(Executor, TakesDeltasOfNoneAndSeveralTokensAndALateFinal) {
  Client client(R"({"deltas": [0, 3, 1], "final_steps_late": 2})");
  TestRequest request(1, {0}, 7);
  request.output.flags = OUTPUT_LOGPROBS;
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.tokens, Letters(7));
  EXPECT_EQ(result.logprobs, std::vector<float>(7, -0.5f));
}

TEST(Executor, EndsAtAnyEndIdAndTellsWhich) {
  Client client;
  for (const std::vector<int32_t>& end_ids : {std::vector<int32_t>{'d', 'z'}, std::vector<int32_t>{'z', 'd'}}) {
    TestRequest request(1, {0}, 20);
    request.end_ids = end_ids;
    const TestResult result = client->Run(request);
    EXPECT_EQ(result.tokens, Letters(3));
    EXPECT_EQ(result.finish, FINISH_END_ID);
    EXPECT_EQ(result.details->stop_token, 'd');
  }
}

TEST(Executor, LeavesAStopWordAmongTheTokens) {
  Client client;
  const std::vector<int32_t> tokens{'c', 'd'};
  const std::vector<uint32_t> offsets{0, 2};
  TestRequest request(1, {0}, 20);
  request.request.stop_tokens = {tokens.data(), offsets.data(), 1};
  const TestResult result = client->Run(request);
  EXPECT_EQ(result.tokens, Letters(4));
  EXPECT_EQ(result.finish, FINISH_STOP_TOKENS);
}

TEST(Executor, GivesEachSequenceItsOwnRowsAndEndsOnce) {
  Client client;
  TestRequest request(1, {0}, 5);
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 3;
  const TestResult result = client->Run(request);
  ASSERT_EQ(result.sequences.size(), 3u);
  for (const auto& [index, sequence] : result.sequences) {
    EXPECT_EQ(sequence.tokens, Letters(5)) << index;
    EXPECT_EQ(sequence.finals, 1) << index;
  }
  EXPECT_EQ(result.finals, 1);
}

TEST(Executor, GivesTheBeamsOfASearchAsManyAsAskedFor) {
  Client client;
  TestRequest request(1, {0}, 3);
  request.request.streaming = 0;
  request.sampling.set |= SAMPLING_BEAM_WIDTH | SAMPLING_N;
  request.sampling.beam_width = 3;
  request.sampling.n = 2;
  const TestResult result = client->Run(request);
  ASSERT_EQ(result.sequences.size(), 2u);
  EXPECT_EQ(result.sequences.at(1).tokens, Letters(3, 1));
}

TEST(Executor, MakesTopAndPromptLogprobsOfLogits) {
  Client client;
  TestRequest request(1, {1, 2}, 2);
  request.output.top_logprobs = 1;
  request.output.top_prompt_logprobs = 1;
  const TestResult result = client->Run(request);
  ASSERT_EQ(result.top.size(), 2u) << client->message();
  EXPECT_EQ(result.top[0].first, 'c');
  EXPECT_EQ(result.prompt_top_tokens, std::vector<int32_t>({-1, 1}));
}

TEST(Executor, CancelsARequestThatRuns) {
  Client client(R"({"step_ms": 2})");
  ASSERT_EQ(client->Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK);
  client->WaitOnce();
  client->Cancel(1);
  client->WaitForEnds(1);
  EXPECT_EQ(client->results[1].finish, FINISH_CANCELLED);
  EXPECT_LT(client->results[1].tokens.size(), 60u);
}

TEST(Executor, IgnoresWhatComesForNobody) {
  Client client(R"({"unknown_ids": true, "doubled_finals": true})");
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(client->Run(TestRequest(id, {0}, 3)).finals, 1);
  EXPECT_EQ(client->WaitOnce(100), EXECUTOR_OK);
  EXPECT_TRUE(client->results.empty());
}

TEST(Executor, EndsARequestByItsErrorResponseAndRunsTheNext) {
  for (const char* without : {"false", "true"}) {
    Client client(std::string(R"({"fail_every": 2, "fail_without_client_id": )") + without + "}");
    EXPECT_EQ(client->Run(TestRequest(1, {0}, 3)).finish, FINISH_LENGTH);
    const TestResult failed = client->Run(TestRequest(2, {0}, 3));
    EXPECT_EQ(failed.finish, FINISH_ERROR);
    EXPECT_EQ(failed.finals, 1);
    EXPECT_EQ(failed.error->request_id, 2u);
    EXPECT_EQ(client->Run(TestRequest(3, {0}, 3)).finish, FINISH_LENGTH);
  }
}

TEST(Executor, FailsEveryRequestAndFromThenOnWhenTheGpuIsLost) {
  Client client(R"({"forward_fails_at": 3})");
  ASSERT_EQ(client->Submit(TestRequest(1, {0}, 20)), EXECUTOR_OK);
  ASSERT_EQ(client->Submit(TestRequest(2, {0}, 20)), EXECUTOR_OK);
  client->WaitForEnds(2);
  EXPECT_EQ(client->results[1].error->code, EXECUTOR_FAILED);
  EXPECT_EQ(client->results[2].finish, FINISH_ERROR);
  EXPECT_EQ(client->WaitOnce(), EXECUTOR_FAILED);
  EXPECT_EQ(client->Submit(TestRequest(3)), EXECUTOR_FAILED);
}

TEST(Executor, FailsWhatRunsWhenResponsesCannotBeAwaited) {
  Client client(R"({"throw_in": "awaitResponses"})");
  ASSERT_EQ(client->Submit(TestRequest(1, {0}, 20)), EXECUTOR_OK);
  client->WaitForEnds(1);
  EXPECT_EQ(client->results[1].error->code, EXECUTOR_FAILED);
}

TEST(Executor, FailsWhatRunsWhenWhatIsThrownIsNoException) {
  Client client(R"({"throw_in": "awaitResponses", "throw_no_exception": true})");
  ASSERT_EQ(client->Submit(TestRequest(1, {0}, 20)), EXECUTOR_OK);
  client->WaitForEnds(1);
  EXPECT_EQ(client->results[1].error->code, EXECUTOR_FAILED);
}

TEST(Executor, RefusesARequestThatTheEngineRefuses) {
  Client client(R"({"throw_in": "enqueueRequests"})");
  EXPECT_EQ(client->Submit(TestRequest(1, {0}, 2)), EXECUTOR_INTERNAL);
  EXPECT_EQ(client->Run(TestRequest(1, {0}, 2)).finish, FINISH_LENGTH);
}

TEST(Executor, RefusesASecondRequestOfAnIdThatRuns) {
  Client client(R"({"step_ms": 2})");
  TestRequest first(1), second(1);
  EXPECT_EQ(client->Submit({&first, &second}), EXECUTOR_INVALID_INPUT);
  ASSERT_EQ(client->Submit(first), EXECUTOR_OK);
  EXPECT_EQ(client->Submit(second), EXECUTOR_INVALID_INPUT);
}

TEST(Executor, TakesAllRequestsOrNone) {
  Client client;
  TestRequest good(1), bad(2, {});
  EXPECT_EQ(client->Submit({&good, &bad}), EXECUTOR_EMPTY_PROMPT);
  EXPECT_EQ(client->WaitOnce(50), EXECUTOR_OK);
  EXPECT_TRUE(client->results.empty());
}

TEST(Executor, CountsOnlyWhatWaitsAgainstTheQueueAndGivesACancelledRequestsPlaceAway) {
  Client client(R"({"step_ms": 5})", [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_QUEUE_SIZE | CONFIG_MAX_BATCH_SIZE;
    config->max_queue_size = config->max_batch_size = 1;
  });
  ASSERT_EQ(client->Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK);
  ASSERT_EQ(client->Submit(TestRequest(2, {0}, 60)), EXECUTOR_OK);
  EXPECT_EQ(client->Submit(TestRequest(3, {0}, 60)), EXECUTOR_QUEUE_FULL);
  EXPECT_NE(client->message().find("2 requests would wait; expected at most maxQueueSize, 1."), std::string::npos)
      << client->message();
  EXPECT_EQ(client->stats().active_requests, 1u);
  EXPECT_EQ(client->stats().queued_requests, 1u);
  client->Cancel(2);
  EXPECT_EQ(client->stats().queued_requests, 0u);
  EXPECT_EQ(client->Submit(TestRequest(3, {0}, 60)), EXECUTOR_OK);
  client->Cancel(1);
  client->WaitForEnds(3);
  EXPECT_EQ(client->results[3].tokens.size(), 60u);
  EXPECT_EQ(client->stats().active_requests, 0u);
}

TEST(Executor, TakesNoRequestThatFindsNoPlaceWhereNoneMayWait) {
  Client client(R"({"step_ms": 5})", [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_QUEUE_SIZE | CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 1;
    config->max_queue_size = 0;
  });
  TestRequest first(1), second(2);
  EXPECT_EQ(client->Submit({&first, &second}), EXECUTOR_QUEUE_FULL);
  EXPECT_EQ(client->Submit(first), EXECUTOR_OK);
}

TEST(Executor, TellsWhatItIs) {
  Client client;
  const ExecutorInfo info = client->info();
  EXPECT_STREQ(info.name, "tensorrt-llm");
  EXPECT_STREQ(info.version, tle::kTensorRtLlmVersion);
  EXPECT_EQ(info.vocab_size, 259u);
  EXPECT_EQ(info.max_seq_len, 64u);
  EXPECT_TRUE(info.capabilities & CAN_TOP_LOGPROBS);
  EXPECT_EQ((info.capabilities & CAN_MIN_P) != 0, !kIs013);
}

TEST(Executor, CountsWhatHasEnded) {
  Client client;
  client->Run(TestRequest(1, {0}, 3));
  client->Run(TestRequest(2, {0}, 3));
  const ExecutorStats stats = client->stats();
  EXPECT_EQ(stats.completed_requests, 2u);
  EXPECT_EQ(stats.active_requests, 0u);
  EXPECT_EQ(stats.new_active_requests, 2u);
  EXPECT_GT(stats.steps, 0u);
}

TEST(Executor, CountsAStepBeforeItGivesItsRows) {
  Client client;
  uint64_t rows = 0;
  for (uint64_t id = 1; id <= 100; ++id) {
    ASSERT_EQ(client->Submit(TestRequest(id, {0}, 3)), EXECUTOR_OK);
    while (client->results[id].finals == 0) {
      ASSERT_EQ(client->WaitOnce(), EXECUTOR_OK);
      ASSERT_GE(client->stats().steps, rows + client->results[id].rows);
    }
    rows += client->results[id].rows;
  }
  EXPECT_EQ(client->stats().steps, rows);
}

TEST(Executor, DrainsBeforeItShutsDown) {
  Client client(R"({"step_ms": 2, "final_steps_late": 3})");
  for (uint64_t id = 1; id <= 6; ++id) ASSERT_EQ(client->Submit(TestRequest(id, {0}, 60)), EXECUTOR_OK);
  EXPECT_EQ(client->table().shutdown(client->executor(), 10000, nullptr), EXECUTOR_OK);
  EXPECT_EQ(client->Submit(TestRequest(9)), EXECUTOR_CLOSED);
  client->WaitForEnds(6);
  for (uint64_t id = 1; id <= 6; ++id) EXPECT_EQ(client->results[id].finish, FINISH_CANCELLED) << id;
}

TEST(Executor, DrainsBesideAThreadThatWaits) {
  Client client(R"({"step_ms": 2})");
  for (uint64_t id = 1; id <= 6; ++id) ASSERT_EQ(client->Submit(TestRequest(id, {0}, 60)), EXECUTOR_OK);
  std::thread pump([&] { client->WaitForEnds(6); });
  EXPECT_EQ(client->table().shutdown(client->executor(), 10000, nullptr), EXECUTOR_OK);
  pump.join();
  for (uint64_t id = 1; id <= 6; ++id) EXPECT_EQ(client->results[id].finals, 1) << id;
}

TEST(Executor, ReturnsFromAWaitThatIsInterrupted) {
  Client client;
  std::thread waiting([&] { EXPECT_EQ(client->WaitOnce(600000), EXECUTOR_OK); });
  client->table().interrupt(client->executor());
  waiting.join();
  EXPECT_TRUE(client->results.empty());
}

TEST(Executor, WakesAWaitForARequestThatComesLater) {
  Client client;
  std::thread waiting([&] {
    while (client->results[1].finals == 0) ASSERT_EQ(client->WaitOnce(600000), EXECUTOR_OK);
  });
  TestRequest request(1, {0}, 3);
  const ExecutorRequest* const pointer = request.Get();
  EXPECT_EQ(client->table().submit(client->executor(), &pointer, 1, nullptr), EXECUTOR_OK);
  waiting.join();
}

TEST(Executor, AsksTheEngineForNothingWhileNothingRuns) {
  Client client(R"({"throw_in": "awaitResponses"})");
  EXPECT_EQ(client->WaitOnce(20), EXECUTOR_OK);
  EXPECT_EQ(client->WaitOnce(0), EXECUTOR_OK);
}

TEST(Executor, OutlivesThrowsOfCallsThatARequestDoesNotNeed) {
  for (const char* function : {"cancelRequest", "getLatestIterationStats", "getLatestRequestStats", "shutdown"}) {
    for (const char* no_exception : {"false", "true"}) {
      Client client(std::string(R"({"step_ms": 1, "throw_in": ")") + function + R"(", "throw_no_exception": )" +
                    no_exception + "}");
      ASSERT_EQ(client->Submit(TestRequest(1, {0}, 20)), EXECUTOR_OK);
      client->Cancel(1);
      ExecutorStats stats{};
      stats.size = sizeof(stats);
      client->table().stats(client->executor(), &stats, nullptr);
      client->WaitForEnds(1);
      EXPECT_EQ(client->results[1].finals, 1) << function;
      client->table().shutdown(client->executor(), 1000, nullptr);
    }
  }
}

TEST(Executor, LeavesTheHandlersOfSignalsAsTheyWere) {
  struct sigaction before {
  }, after{};
  sigaction(SIGSEGV, nullptr, &before);
  Client client;
  ASSERT_EQ(client->code(), EXECUTOR_OK) << client->message();
  sigaction(SIGSEGV, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(Executor, TellsWhyAnEngineCannotBeLoaded) {
  Client client(R"({"throw_in": "Executor"})");
  EXPECT_EQ(client->executor(), nullptr);
  EXPECT_EQ(client->code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(client->message().find(client.engine.path() + " could not be loaded: TensorRT-LLM: "), std::string::npos)
      << client->message();
}

TEST(Executor, RefusesAnEngineOfAnotherVersion) {
  const TestEngine engine("{}", ConfigJson("0.9.0"));
  TableClient client(engine.path(), Table());
  EXPECT_EQ(client.code(), EXECUTOR_ENGINE_CONFIG);
}

TEST(Executor, LeavesALoadThatIsGivenUp) {
  Client client("{}", [](ExecutorConfig* config) { config->on_progress = [](void*, double) { return 0u; }; });
  EXPECT_EQ(client->code(), EXECUTOR_LOAD_ABORTED);
}

}  // namespace
}  // namespace adapter
