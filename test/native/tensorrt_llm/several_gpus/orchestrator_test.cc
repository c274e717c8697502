// Several ranks over real MPI: the adapter through its table, over the stand-in and its executorWorker.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <thread>

#include "../../embedded/table_client.h"
#include "../../paths.h"
#include "../test_engine.h"

namespace adapter {
namespace {

using embedded::TableClient;
using embedded::TestRequest;
using embedded::TestResult;

constexpr char kSlow[] = R"({"step_ms": 5})";

// Each test in a process of its own, as ctest runs them: MPI and its environment are the process's.
class Orchestrator : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string_view(EXECUTOR_LIBRARY).empty()) GTEST_SKIP() << "no MPI here: libopenmpi-dev and openmpi-bin";
  }

  static const ExecutorTable* Table() {
    void* const library = dlopen(FromProgram(EXECUTOR_LIBRARY).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    return reinterpret_cast<ExecutorTableFunction>(dlsym(library, EXECUTOR_TABLE_SYMBOL))(EXECUTOR_ABI_VERSION);
  }
};

// An engine of two ranks.
class TwoRanks : public TestEngine {
 public:
  explicit TwoRanks(const std::string& script = "{}", size_t rank_bytes = 100)
      : TestEngine(script, ConfigJson(tle::kTensorRtLlmVersion, 2)) {
    for (const char* name : {"/rank0.engine", "/rank1.engine"})
      embedded::WriteFile(path() + name, std::string(rank_bytes, 'x'));
  }
};

std::vector<int32_t> Letters(int count, int first = 0) {
  std::vector<int32_t> letters;
  for (int i = 0; i < count; ++i) letters.push_back('a' + (first + i) % 26);
  return letters;
}

std::string ReadWord(const std::filesystem::path& file, int word) {
  std::ifstream stream(file);
  std::string text;
  for (int i = 0; i <= word; ++i) stream >> text;
  return text;
}

// Processes of executorWorker that this process's Open MPI has started and that have not ended.
int RunningWorkers() {
  int workers = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (ReadWord(entry.path() / "comm", 0) != "executorWorker" || ReadWord(entry.path() / "stat", 2) == "Z") continue;
    const std::string daemon = ReadWord(entry.path() / "stat", 3);
    workers += ReadWord("/proc/" + daemon + "/stat", 3) == std::to_string(getpid());
  }
  return workers;
}

void AwaitNoWorkers() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (RunningWorkers() > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(RunningWorkers(), 0);
}

TEST_F(Orchestrator, RunsRequestsOnTwoRanks) {
  const TwoRanks engine;
  TableClient client(engine.path(), Table());
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  EXPECT_EQ(client.info().rank, 0u);
  EXPECT_EQ(client.info().tensor_parallel_size, 2u);
  for (uint64_t id = 1; id <= 20; ++id) {
    const TestResult result = client.Run(TestRequest(id, {static_cast<int32_t>(id)}, 9));
    EXPECT_EQ(result.tokens, Letters(9, static_cast<int>(id)));
    EXPECT_EQ(result.finals, 1);
  }
}

TEST_F(Orchestrator, LeavesNoWorkerBehindAndStartsOthersAgain) {
  const TwoRanks engine;
  for (int i = 0; i < 2; ++i) {
    TableClient client(engine.path(), Table());
    ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
    EXPECT_EQ(RunningWorkers(), 2);
    EXPECT_EQ(client.Run(TestRequest(1, {0}, 3)).tokens, Letters(3));
    EXPECT_EQ(client.table().shutdown(client.executor(), 5000, nullptr), EXECUTOR_OK);
    AwaitNoWorkers();
    EXPECT_EQ(client.WaitOnce(300), EXECUTOR_OK) << "an end that was ordered is no failure: " << client.message();
  }
}

TEST_F(Orchestrator, EndsTheWorkersWhenItIsDestroyedWithoutAShutdown) {
  const TwoRanks engine;
  { const TableClient client(engine.path(), Table()); }
  AwaitNoWorkers();
}

TEST_F(Orchestrator, CancelsARequestThatRuns) {
  const TwoRanks engine(kSlow);
  TableClient client(engine.path(), Table());
  ASSERT_EQ(client.Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK) << client.message();
  while (client.results.empty()) client.WaitOnce();
  client.Cancel(1);
  client.WaitForEnds(1);
  EXPECT_EQ(client.results[1].finish, FINISH_CANCELLED);
  EXPECT_LT(client.results[1].tokens.size(), 60u);
}

TEST_F(Orchestrator, TellsHowMuchOfTheRankFilesItsWorkersHaveRead) {
  const TwoRanks engine(R"({"load_ms": 1500})", 4 << 20);
  static std::vector<double> told;
  const TableClient client(engine.path(), Table(), [](ExecutorConfig* config) {
    config->on_progress = [](void*, double done) {
      told.push_back(done);
      return 1u;
    };
  });
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 1);
  const auto between = [](double done) { return done > 0.05 && done <= 0.95; };
  EXPECT_GE(std::set<double>(told.begin(), told.end()).size(), 4u);
  EXPECT_TRUE(std::any_of(told.begin(), told.end(), between));
  EXPECT_LE(told[told.size() - 2], 0.95);
}

TEST_F(Orchestrator, GivesALoadUpThatIsUnderway) {
  const TwoRanks engine(R"({"load_ms": 600000})");
  static int calls = 0;
  const TableClient client(engine.path(), Table(), [](ExecutorConfig* config) {
    config->on_progress = [](void*, double) { return ++calls < 3 ? 1u : 0u; };
  });
  EXPECT_EQ(client.code(), EXECUTOR_LOAD_ABORTED) << client.message();
  EXPECT_EQ(calls, 3);
}

TEST_F(Orchestrator, FailsALoadWhoseWorkerCannotReadItsRank) {
  const TwoRanks engine;
  const TableClient client(engine.path(), Table(), [&](ExecutorConfig* config) {
    // Once the adapter has seen that it is there.
    config->context = const_cast<TwoRanks*>(&engine);
    config->on_progress = [](void* directory, double) {
      std::filesystem::remove(static_cast<TwoRanks*>(directory)->path() + "/rank1.engine");
      return 1u;
    };
  });
  EXPECT_EQ(client.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(client.message().find("a worker process ended while it loaded"), std::string::npos) << client.message();
}

// "abort" is not among them: it ends this process too, as the tests of isolation show.
class WorkerEnd : public Orchestrator, public testing::WithParamInterface<const char*> {
 protected:
  static std::string Script(const std::string& rest) {
    return std::string(R"({"worker_ends_by": ")") + GetParam() + "\", " + rest + "}";
  }
};
INSTANTIATE_TEST_SUITE_P(Of, WorkerEnd, testing::Values("exit", "MPI_Abort", "SIGKILL"));

TEST_P(WorkerEnd, WhileItLoadsFailsTheLoad) {
  const TwoRanks engine(Script(R"("load_ms": 300)"));
  const TableClient client(engine.path(), Table());
  EXPECT_EQ(client.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(client.message().find("a worker process ended while it loaded"), std::string::npos) << client.message();
}

TEST_P(WorkerEnd, FailsWhatRunsAndLeavesShutdownAndAnotherLoadWorking) {
  {
    const TwoRanks engine(Script(R"("worker_ends_at_step": 5, "step_ms": 5)"));
    TableClient client(engine.path(), Table());
    for (uint64_t id = 1; id <= 3; ++id)
      ASSERT_EQ(client.Submit(TestRequest(id, {0}, 60)), EXECUTOR_OK) << client.message();
    client.WaitForEnds(3);
    for (const auto& [id, result] : client.results) {
      EXPECT_EQ(result.finals, 1) << id;
      ASSERT_TRUE(result.error.has_value());
      EXPECT_EQ(result.error->code, EXECUTOR_FAILED);
    }
    EXPECT_EQ(client.WaitOnce(), EXECUTOR_FAILED);
    EXPECT_EQ(client.Submit(TestRequest(9, {0}, 3)), EXECUTOR_FAILED);
    EXPECT_EQ(client.table().shutdown(client.executor(), 1000, nullptr), EXECUTOR_OK);
  }
  AwaitNoWorkers();
  const TwoRanks engine;
  TableClient client(engine.path(), Table());
  EXPECT_EQ(client.Run(TestRequest(1, {0}, 3)).tokens, Letters(3));
}

TEST_P(WorkerEnd, FailsTheOtherEnginesThatThisProcessOrchestratesToo) {
  const TwoRanks healthy(kSlow);
  const TwoRanks dying(Script(R"("worker_ends_at_step": 5, "step_ms": 5)"));
  TableClient bystander(healthy.path(), Table()), client(dying.path(), Table());
  ASSERT_EQ(bystander.Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK) << bystander.message();
  while (bystander.results.empty()) bystander.WaitOnce();
  ASSERT_EQ(client.Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK) << client.message();
  client.WaitForEnds(1);
  EXPECT_EQ(client.results[1].error->code, EXECUTOR_FAILED);
  AwaitNoWorkers();  // Open MPI ends them all
  while (bystander.WaitOnce(100) == EXECUTOR_OK) continue;
  EXPECT_EQ(bystander.code(), EXECUTOR_FAILED);
}

TEST_P(WorkerEnd, ThatNobodyHasHeardOfLeavesShutdownWorking) {
  const TwoRanks engine(Script(R"("worker_ends_at_step": 1)"));
  TableClient client(engine.path(), Table());
  ASSERT_EQ(client.Submit(TestRequest(1, {0}, 60)), EXECUTOR_OK) << client.message();
  AwaitNoWorkers();
  EXPECT_EQ(client.table().shutdown(client.executor(), 0, nullptr), EXECUTOR_OK);
}

// A copy of the worker without libraries beside it.
class WorkerElsewhere {
 public:
  WorkerElsewhere() {
    std::filesystem::copy_file(FromProgram(WORKER_PROGRAM), path_);
    parallel_.size = sizeof(parallel_);
    parallel_.worker_path = path_.c_str();
  }
  const std::string& path() const { return path_; }
  const ExecutorParallelConfig* parallel() const { return &parallel_; }

 private:
  const embedded::TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/executorWorker";
  ExecutorParallelConfig parallel_{};
};

TEST_F(Orchestrator, StartsAWorkerThatFindsItsLibrariesWhereThisProcessHasThem) {
  const TwoRanks engine;
  const WorkerElsewhere worker;
  unsetenv("LD_LIBRARY_PATH");
  TableClient client(engine.path(), Table(), [&](ExecutorConfig* config) { config->parallel = worker.parallel(); });
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  EXPECT_EQ(client.Run(TestRequest(1, {0}, 3)).tokens, Letters(3));
  EXPECT_EQ(getenv("LD_LIBRARY_PATH"), nullptr);
}

TEST_F(Orchestrator, RefusesAWorkerProgramThatLacksALibrary) {
  const TwoRanks engine;
  const WorkerElsewhere worker;
  std::ifstream file(worker.path(), std::ios::binary);
  std::string program{std::istreambuf_iterator<char>(file), {}};
  program.replace(program.find("libtensorrt_llm.so"), 18, "libtensorrt_old.so");
  embedded::WriteFile(worker.path(), program);
  const TableClient client(engine.path(), Table(),
                           [&](ExecutorConfig* config) { config->parallel = worker.parallel(); });
  EXPECT_EQ(client.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(client.message().find(worker.path() + " needs libtensorrt_old.so"), std::string::npos) << client.message();
}

TEST_F(Orchestrator, OutlivesAnMpiThatStartsNoWorkers) {
  // One place for two ranks, and the user does not let Open MPI fill it twice.
  const TwoRanks engine;
  const std::string hosts = engine.path() + "/hosts";
  embedded::WriteFile(hosts, "localhost slots=1\n");
  setenv("OMPI_MCA_orte_default_hostfile", hosts.c_str(), 1);
  setenv("OMPI_MCA_rmaps_base_oversubscribe", "0", 1);
  const TableClient client(engine.path(), Table());
  EXPECT_EQ(client.executor(), nullptr);
  EXPECT_NE(client.message().find("MPI error"), std::string::npos) << client.message();
}

TEST_F(Orchestrator, RunsBesideEnginesOfOneRankOnDevicesOfTheirOwn) {
  const TestEngine first, second;
  const TwoRanks third;
  const int32_t devices[] = {3, 1};
  ExecutorParallelConfig parallel[2] = {};
  std::vector<std::unique_ptr<TableClient>> clients;
  for (const TestEngine* engine : {&first, &second}) {
    const size_t i = clients.size();
    parallel[i].size = sizeof(parallel[i]);
    parallel[i].device_ids = &devices[i];
    parallel[i].device_id_count = 1;
    clients.push_back(std::make_unique<TableClient>(engine->path(), Table(),
                                                    [&](ExecutorConfig* config) { config->parallel = &parallel[i]; }));
  }
  clients.push_back(std::make_unique<TableClient>(third.path(), Table()));
  for (const auto& client : clients) ASSERT_EQ(client->code(), EXECUTOR_OK) << client->message();
  for (const auto& client : clients)
    ASSERT_EQ(client->Submit(TestRequest(1, {0}, 9)), EXECUTOR_OK) << client->message();
  for (const auto& client : clients) {
    client->WaitForEnds(1);
    EXPECT_EQ(client->results[1].tokens, Letters(9));
  }
}

}  // namespace
}  // namespace adapter
