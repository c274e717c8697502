#include "native/tensorrt_llm/engine_fit.h"

#include <cstdlib>
#include <ostream>

#include "test_engine.h"

namespace adapter {
namespace {

constexpr uint64_t kGigabyte = 1'000'000'000;

const Device kT4{"Tesla T4", 75, 16 * kGigabyte};
const Device kA100{"NVIDIA A100", 80, 80 * kGigabyte};
const Device kL4{"NVIDIA L4", 89, 24 * kGigabyte};
const Device kB200{"NVIDIA B200", 100, 180 * kGigabyte};

Engine EngineOf(int ranks = 1) {
  Engine engine{};
  engine.dir = "engines/model";
  engine.dtype = "float16";
  engine.gpus_per_node = 8;
  engine.tensor_parallel_size = ranks;
  engine.pipeline_parallel_size = engine.context_parallel_size = 1;
  return engine;
}

// Refers to the ids.
ExecutorParallelConfig DeviceIds(const std::vector<int32_t>& ids) {
  ExecutorParallelConfig parallel{};
  parallel.size = sizeof(parallel);
  parallel.device_ids = ids.data();
  parallel.device_id_count = static_cast<uint32_t>(ids.size());
  return parallel;
}

executor::Failure Refusal(const Engine& engine, const std::vector<Device>& devices, const char* version = "1.2.1",
                          const ExecutorParallelConfig* parallel = nullptr) {
  ExecutorConfig config{};
  config.size = sizeof(config);
  config.parallel = parallel;
  return FailureOfCall([&] { CheckFit(engine, config, devices, version); });
}

void ExpectFailure(const executor::Failure& failure, ExecutorCode code, const char* part) {
  EXPECT_EQ(failure.code(), code) << failure.what();
  EXPECT_NE(std::string(failure.what()).find(part), std::string::npos) << failure.what();
}

TEST(EngineFit, NeedsAGpuForEachRank) {
  ExpectFailure(Refusal(EngineOf(4), {kL4, kL4}), EXECUTOR_ENGINE_RANKS,
                "This machine has 2 GPUs; expected one for each of the engine's 4 ranks. ");
  EXPECT_EQ(Refusal(EngineOf(2), {kL4, kL4}).code(), EXECUTOR_OK);
}

TEST(EngineFit, AsksOfThisMachineOnlyTheRanksThatRunOnIt) {
  ExecutorParallelConfig two_nodes{};
  two_nodes.size = sizeof(two_nodes);
  two_nodes.set = PARALLEL_NODES;
  two_nodes.nodes = 2;
  EXPECT_EQ(RankDevices(EngineOf(4), two_nodes), (std::vector<int>{0, 1}));
  setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
  setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "3", 1);
  EXPECT_EQ(RankDevices(EngineOf(4), {}), (std::vector<int>{0, 1, 2}));
  setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "1", 1);
  EXPECT_EQ(RankDevices(EngineOf(2), {}), (std::vector<int>{0, 1}));  // this process starts the ranks
  unsetenv("OMPI_COMM_WORLD_SIZE");
  unsetenv("OMPI_COMM_WORLD_LOCAL_SIZE");
}

TEST(EngineFit, RefusesDeviceIdsThatAreNone) {
  const std::vector<Device> devices(9, kL4);
  const auto refusal = [&](const std::vector<int32_t>& ids) {
    const ExecutorParallelConfig parallel = DeviceIds(ids);
    return Refusal(EngineOf(static_cast<int>(ids.size())), devices, "1.2.1", &parallel);
  };
  ExpectFailure(refusal({9}), EXECUTOR_INVALID_OPTION,
                "parallel.deviceIds has 9; expected 0 to 8, because this machine has 9 GPUs.");
  ExpectFailure(refusal({-1}), EXECUTOR_INVALID_OPTION, "parallel.deviceIds has -1; ");
  ExpectFailure(refusal({1, 1}), EXECUTOR_INVALID_OPTION, "parallel.deviceIds has 1 twice; ");
  ExpectFailure(refusal({8}), EXECUTOR_INVALID_OPTION, "built for machines of 8 GPUs");
  EXPECT_EQ(refusal({7, 0}).code(), EXECUTOR_OK);
}

TEST(EngineFit, ChecksTheGpusThatTheRanksUseAndNoOthers) {
  Engine engine = EngineOf();
  engine.dtype = "bfloat16";
  std::vector<int32_t> ids{1};
  const ExecutorParallelConfig parallel = DeviceIds(ids);
  EXPECT_EQ(Refusal(engine, {kT4, kA100}, "1.2.1", &parallel).code(), EXECUTOR_OK);
  ids[0] = 0;
  EXPECT_EQ(Refusal(engine, {kT4, kA100}, "1.2.1", &parallel).code(), EXECUTOR_UNAVAILABLE);
}

struct GenerationCase {
  int compute_capability;
  const char* version;
  const char* refusal;  // null: none
  friend void PrintTo(const GenerationCase& made, std::ostream* out) {
    *out << made.compute_capability << " on " << made.version;
  }
};

class EngineFitGeneration : public testing::TestWithParam<GenerationCase> {};

TEST_P(EngineFitGeneration, RunsOnTheVersionsMadeForIt) {
  const auto& [compute_capability, version, refusal] = GetParam();
  const auto failure = Refusal(EngineOf(), {{"a GPU", compute_capability, kGigabyte}}, version);
  if (refusal == nullptr)
    EXPECT_EQ(failure.code(), EXECUTOR_OK) << failure.what();
  else
    ExpectFailure(failure, EXECUTOR_UNAVAILABLE, refusal);
}

INSTANTIATE_TEST_SUITE_P(
    , EngineFitGeneration,
    testing::Values(
        GenerationCase{70, "0.13.0", "expected 8.0 (Ampere) or newer, or 7.5 (Turing) with TensorRT-LLM up to 0.14."},
        GenerationCase{61, "1.2.1", "GPU 0 is a GPU of compute capability 6.1"}, GenerationCase{75, "0.13.0", nullptr},
        GenerationCase{75, "0.14.0", nullptr},
        GenerationCase{75, "0.15.0",
                       "TensorRT-LLM is 0.15.0, and GPU 0 is a GPU of compute capability 7.5; expected up to 0.14"},
        GenerationCase{75, "1.2.0rc4", "TensorRT-LLM is 1.2.0rc4, and GPU 0"}, GenerationCase{80, "0.13.0", nullptr},
        GenerationCase{90, "1.2.1", nullptr}, GenerationCase{100, "0.16.0", "expected 0.17 or newer, for Blackwell."},
        GenerationCase{121, "0.13.0", "Blackwell"}, GenerationCase{120, "0.17.0", nullptr}));

struct PrecisionCase {
  const char* dtype;
  const char* quant_algo;
  int needs;  // compute capability
  friend void PrintTo(const PrecisionCase& made, std::ostream* out) { *out << made.dtype << " " << made.quant_algo; }
};

class EngineFitPrecision : public testing::TestWithParam<PrecisionCase> {};

TEST_P(EngineFitPrecision, NeedsAGpuThatHasIt) {
  Engine engine = EngineOf();
  engine.dtype = GetParam().dtype;
  engine.quant_algo = GetParam().quant_algo;
  // 0.14 runs on all of them but Blackwell, which needs a later one.
  for (const Device& device : {kT4, kA100, kL4, kB200}) {
    const char* const version = device.compute_capability < 100 ? "0.14.0" : "1.2.1";
    const auto failure = Refusal(engine, {device}, version);
    if (device.compute_capability >= GetParam().needs)
      EXPECT_EQ(failure.code(), EXECUTOR_OK) << failure.what();
    else
      ExpectFailure(failure, EXECUTOR_MODEL_UNSUPPORTED, device.name.c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(, EngineFitPrecision,
                         testing::Values(PrecisionCase{"float16", "", 75}, PrecisionCase{"float32", "", 75},
                                         PrecisionCase{"bfloat16", "", 80}, PrecisionCase{"float16", "W8A16", 75},
                                         PrecisionCase{"float16", "W4A16_AWQ", 75},
                                         PrecisionCase{"float16", "W8A8_SQ_PER_CHANNEL", 80},
                                         PrecisionCase{"float16", "W4A8_QSERVE_PER_GROUP", 80},
                                         PrecisionCase{"float16", "W4A8_AWQ", 89}, PrecisionCase{"float16", "FP8", 89},
                                         PrecisionCase{"float16", "FP8_PER_CHANNEL_PER_TOKEN", 89},
                                         PrecisionCase{"float16", "NVFP4", 100}, PrecisionCase{"float16", "FP4", 100},
                                         PrecisionCase{"float16", "W4A8_MXFP4_FP8", 100}));

TEST(EngineFit, NamesTheFieldTheNeedAndTheGpuOfAPrecision) {
  Engine engine = EngineOf(2);
  engine.quant_algo = "FP8";
  ExpectFailure(Refusal(engine, {kL4, kA100}), EXECUTOR_MODEL_UNSUPPORTED,
                "GPU 1 is NVIDIA A100 of compute capability 8.0; expected 8.9 or newer, because "
                "pretrained_config.quantization.quant_algo is FP8.");
}

TEST(EngineFit, RefusesARankThatIsLargerThanItsGpu) {
  Engine engine = EngineOf();
  engine.largest_rank_bytes = 141'200'000'000;
  ExpectFailure(Refusal(engine, {kA100}), EXECUTOR_OUT_OF_MEMORY,
                "GPU 0 (NVIDIA A100) has 80.0 GB; expected at least 141.2 GB, the size of a rank of engines/model.");
  ExecutorConfig streams_weights{};
  streams_weights.size = sizeof(streams_weights);
  streams_weights.set = CONFIG_GPU_WEIGHTS_FRACTION;
  EXPECT_NO_THROW(CheckFit(engine, streams_weights, {kA100}, "1.2.1"));
}

TEST(EngineFit, DoubtsWeightOnlyQuantizationOnTuring) {
  Engine engine = EngineOf();
  EXPECT_EQ(DoubtsOf(engine, {0}, {kT4}), "");
  engine.quant_algo = "W8A16";
  EXPECT_NE(DoubtsOf(engine, {0}, {kT4}).find("have no code for W8A16"), std::string::npos);
  EXPECT_EQ(DoubtsOf(engine, {0}, {kA100}), "");
}

TEST(EngineFit, NamesTheGpusOnceWithTheirNumber) {
  const std::vector<Device> devices{kA100, kL4, kA100};
  EXPECT_EQ(DeviceText({0}, devices), "NVIDIA A100");
  EXPECT_EQ(DeviceText({0, 1, 2}, devices), "2 x NVIDIA A100, NVIDIA L4");
  EXPECT_EQ(DeviceText({1}, std::nullopt), "GPU 1");
  EXPECT_EQ(DeviceText({0, 1}, std::nullopt), "GPUs 0, 1");
}

}  // namespace
}  // namespace adapter
