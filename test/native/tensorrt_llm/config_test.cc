#include "native/tensorrt_llm/config.h"

#include <cstdlib>

#include "test_engine.h"

namespace adapter {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    given_.size = sizeof(given_);
    ForgetMpirun();
  }
  ~ConfigTest() override { ForgetMpirun(); }
  static void ForgetMpirun() {
    for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}) unsetenv(variable);
  }
  tle::ExecutorConfig Make() { return MakeExecutorConfig(given_, engine_, "/nowhere/libs"); }
  executor::Failure Refuse() {
    return FailureOfCall([&] { Make(); });
  }

  Engine engine_ = TestEngine().Read();
  ExecutorConfig given_{};
};

template <typename T>
T Sized() {
  T group{};
  group.size = sizeof(group);
  return group;
}

TEST_F(ConfigTest, LeavesWhatIsUnsetToTheLibraryButForTheEnginesBeamWidth) {
  const tle::ExecutorConfig made = Make(), defaults;
  EXPECT_EQ(made.getMaxBeamWidth(), 4);
  EXPECT_EQ(made.getMaxBatchSize(), std::nullopt);
  EXPECT_EQ(made.getEnableChunkedContext(), defaults.getEnableChunkedContext());
  EXPECT_EQ(made.getKvCacheConfig().getEnableBlockReuse(), defaults.getKvCacheConfig().getEnableBlockReuse());
  EXPECT_EQ(made.getIterStatsMaxIterations(), defaults.getIterStatsMaxIterations());
}

TEST_F(ConfigTest, CarriesItsOwnFields) {
  given_.set = CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS | CONFIG_CHUNKED_CONTEXT | CONFIG_GPU_WEIGHTS_FRACTION |
               CONFIG_REQUEST_STATS;
  given_.max_batch_size = 2;
  given_.max_num_tokens = 32;
  given_.chunked_context = 1;
  given_.gpu_weights_fraction = 0.5f;
  given_.request_stats = 3;
  const tle::ExecutorConfig made = Make();
  EXPECT_EQ(made.getMaxBatchSize(), 2);
  EXPECT_EQ(made.getMaxNumTokens(), 32);
  EXPECT_TRUE(made.getEnableChunkedContext());
  EXPECT_EQ(made.getGpuWeightsPercent(), 0.5f);
  EXPECT_EQ(made.getRequestStatsMaxIterations(), 3);
}

TEST_F(ConfigTest, CarriesTheKvCache) {
  auto kv = Sized<ExecutorKvCacheConfig>();
  const std::vector<int32_t> windows{128, 256};
  kv.set = KV_CACHE_BLOCK_REUSE | KV_CACHE_MAX_TOKENS | KV_CACHE_FREE_MEMORY_FRACTION | KV_CACHE_HOST_BYTES;
  kv.block_reuse = 1;
  kv.max_tokens = 1000;
  kv.free_memory_fraction = 0.25;
  kv.host_bytes = uint64_t{5} << 30;
  kv.max_attention_windows = windows.data();
  kv.max_attention_window_count = 2;
  given_.kv_cache = &kv;
  const tle::KvCacheConfig made = Make().getKvCacheConfig();
  EXPECT_TRUE(made.getEnableBlockReuse());
  EXPECT_EQ(made.getMaxTokens(), 1000);
  EXPECT_EQ(made.getFreeGpuMemoryFraction(), 0.25f);
  EXPECT_EQ(made.getHostCacheSize(), size_t{5} << 30);
  EXPECT_EQ(made.getMaxAttentionWindowVec(), windows);
}

TEST_F(ConfigTest, CarriesTheSchedulersPolicies) {
  auto scheduler = Sized<ExecutorSchedulerConfig>();
  scheduler.set = SCHEDULER_CAPACITY_POLICY | SCHEDULER_CHUNKING_POLICY;
  scheduler.capacity_policy = CAPACITY_MAX_UTILIZATION;
  scheduler.chunking_policy = CHUNKING_EQUAL_PROGRESS;
  given_.scheduler = &scheduler;
  const tle::SchedulerConfig made = Make().getSchedulerConfig();
  EXPECT_EQ(made.getCapacitySchedulerPolicy(), tle::CapacitySchedulerPolicy::kMAX_UTILIZATION);
  EXPECT_EQ(made.getContextChunkingPolicy(), tle::ContextChunkingPolicy::kEQUAL_PROGRESS);
}

TEST_F(ConfigTest, CarriesLookaheadUnderEitherNameOfItsSetter) {
  auto decoding = Sized<ExecutorDecodingConfig>();
  const ExecutorLookahead lookahead{5, 3, 4};
  decoding.mode = DECODING_LOOKAHEAD;
  decoding.lookahead = &lookahead;
  given_.decoding = &decoding;
  const auto made = Make().getDecodingConfig();
  EXPECT_EQ(made->getLookaheadDecodingConfig()->getWindowSize(), 5);
}

TEST_F(ConfigTest, IsRefusedForDraftsOfThisPackagesOwn) {
  auto decoding = Sized<ExecutorDecodingConfig>();
  given_.decoding = &decoding;
  const auto lookup = Sized<ExecutorPromptLookup>();
  decoding.prompt_lookup = &lookup;
  EXPECT_STREQ(Refuse().field(), "decoding.prompt_lookup");
  decoding.prompt_lookup = nullptr;
  const auto model = Sized<ExecutorDraftModel>();
  decoding.draft_model = &model;
  EXPECT_STREQ(Refuse().field(), "decoding.draft_model");
}

TEST_F(ConfigTest, IsRefusedForMoreThanTheEngineWasBuiltFor) {
  given_.set = CONFIG_MAX_BATCH_SIZE;
  given_.max_batch_size = 5;
  const auto failure = Refuse();
  EXPECT_EQ(failure.code(), EXECUTOR_INVALID_OPTION);
  EXPECT_NE(std::string(failure.what()).find("maxBatchSize is 5; expected 1 to 4, "), std::string::npos)
      << failure.what();
}

TEST_F(ConfigTest, IsRefusedForAnotherTensorParallelSizeThanTheEngines) {
  given_.set = CONFIG_TENSOR_PARALLEL_SIZE;
  given_.tensor_parallel_size = 2;
  EXPECT_EQ(Refuse().code(), EXECUTOR_INVALID_OPTION);
}

TEST_F(ConfigTest, CarriesWhatLaterVersionsHaveOrNamesTheFirstOfThem) {
  given_.set = CONFIG_GATHER_GENERATION_LOGITS;
  given_.gather_generation_logits = 1;
#if STAND_IN_1_2
  EXPECT_TRUE(Make().getGatherGenerationLogits());
#else
  EXPECT_EQ(Refuse().code(), EXECUTOR_UNSUPPORTED);
  EXPECT_NE(std::string(Refuse().what()).find("0.19 and newer do."), std::string::npos);
#endif
}

TEST_F(ConfigTest, RunsOneRankInThisProcess) {
  auto parallel = Sized<ExecutorParallelConfig>();
  const int32_t device = 3;
  parallel.device_ids = &device;
  parallel.device_id_count = 1;
  given_.parallel = &parallel;
  const auto made = Make().getParallelConfig();
  EXPECT_EQ(made->getCommunicationMode(), tle::CommunicationMode::kLEADER);
  EXPECT_EQ(made->getDeviceIds(), std::vector<tle::SizeType32>({3}));
}

TEST_F(ConfigTest, StartsSeveralRanksByTheWorkerProgram) {
  engine_.tensor_parallel_size = 2;
  EXPECT_EQ(Refuse().code(), EXECUTOR_UNAVAILABLE);  // there is none beside the library
  auto parallel = Sized<ExecutorParallelConfig>();
  parallel.worker_path = "/bin/sh";
  given_.parallel = &parallel;
  const auto made = Make().getParallelConfig();
  EXPECT_EQ(made->getCommunicationMode(), tle::CommunicationMode::kORCHESTRATOR);
  EXPECT_EQ(made->getOrchestratorConfig()->getWorkerExecutablePath(), "/bin/sh");
  EXPECT_TRUE(made->getOrchestratorConfig()->getSpawnProcesses());
}

TEST_F(ConfigTest, IsOneOfTheRanksThatMpirunHasStarted) {
  engine_.tensor_parallel_size = 2;
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_EQ(Make().getParallelConfig()->getCommunicationMode(), tle::CommunicationMode::kLEADER);
  setenv("OMPI_COMM_WORLD_SIZE", "3", 1);
  const auto failure = Refuse();
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_RANKS);
  EXPECT_NE(std::string(failure.what()).find("mpirun -n 2"), std::string::npos) << failure.what();
}

TEST_F(ConfigTest, IsRefusedForProcessesThatMpirunHasNotStarted) {
  engine_.tensor_parallel_size = 2;
  setenv("OMPI_COMM_WORLD_SIZE", "3", 1);
  auto parallel = Sized<ExecutorParallelConfig>();
  const std::vector<int32_t> beyond{1, 3}, three{0, 1, 2}, two{1, 2};
  given_.parallel = &parallel;
  for (const auto& [ids, code] : {std::pair(&beyond, EXECUTOR_ENGINE_RANKS), std::pair(&three, EXECUTOR_ENGINE_RANKS),
                                  std::pair(&two, EXECUTOR_OK)}) {
    parallel.participant_ids = ids->data();
    parallel.participant_id_count = static_cast<uint32_t>(ids->size());
    EXPECT_EQ(Refuse().code(), code);
  }
}

TEST_F(ConfigTest, OrchestratesByProcess0TheRanksThatMpirunHasStarted) {
  engine_.tensor_parallel_size = 2;
  auto parallel = Sized<ExecutorParallelConfig>();
  const std::vector<int32_t> participants{1, 2};
  parallel.set = PARALLEL_MODE | PARALLEL_SPAWN;
  parallel.mode = COMMUNICATION_ORCHESTRATOR;
  given_.parallel = &parallel;
  EXPECT_EQ(Refuse().code(), EXECUTOR_ENGINE_RANKS) << "mpirun has started none";
  setenv("OMPI_COMM_WORLD_SIZE", "3", 1);
  EXPECT_EQ(Refuse().code(), EXECUTOR_INVALID_OPTION) << "who runs the ranks is not said";
  parallel.participant_ids = participants.data();
  parallel.participant_id_count = 2;
  for (const char* rank : {"0", "1"}) {
    setenv("OMPI_COMM_WORLD_RANK", rank, 1);
    const auto made = Make().getParallelConfig()->getOrchestratorConfig();
    EXPECT_FALSE(made->getSpawnProcesses());
    EXPECT_EQ(made->getIsOrchestrator(), *rank == '0');
  }
}

TEST_F(ConfigTest, LooksForMessagesOfItsWorkersEachMillisecondUnlessToldOtherwise) {
  EXPECT_EQ(Make().getRecvPollPeriodMs(), 0) << "one rank has no workers";
  engine_.tensor_parallel_size = 2;
  auto parallel = Sized<ExecutorParallelConfig>();
  parallel.worker_path = "/bin/sh";
  given_.parallel = &parallel;
  EXPECT_EQ(Make().getRecvPollPeriodMs(), 1);
  given_.set = CONFIG_RECEIVE_POLL_PERIOD;
  given_.receive_poll_period_ms = 0;
  EXPECT_EQ(Make().getRecvPollPeriodMs(), 0);
}

TEST_F(ConfigTest, IsRefusedWithoutADeviceForEachRank) {
  auto parallel = Sized<ExecutorParallelConfig>();
  const std::vector<int32_t> devices{0, 1};
  parallel.device_ids = devices.data();
  parallel.device_id_count = 2;
  given_.parallel = &parallel;
  EXPECT_EQ(Refuse().code(), EXECUTOR_ENGINE_RANKS);
}

}  // namespace
}  // namespace adapter
