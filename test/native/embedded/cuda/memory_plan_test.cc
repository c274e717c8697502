// How a GPU's memory is shared out; none of these tests needs one.
#include "native/embedded/cuda/memory_plan.h"

#include <gtest/gtest.h>

#include "expect_failure.h"

namespace embedded::cuda {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
// What an H200 has free once the driver and a context have theirs.
constexpr uint64_t kFreeBytes = uint64_t{142500} * kMebibyte;
constexpr DeviceTraits kH200{90, 132, 227 * 1024, 228 * 1024};

Device H200() {
  Device device;
  device.name = "NVIDIA H200";
  device.architecture = 90;
  device.multiprocessors = 132;
  return device;
}

ModelConfig Llama70B() {
  ModelConfig model{};
  model.dtype = "bfloat16";
  model.hidden_size = 8192;
  model.layers = 80;
  model.heads = 64;
  model.kv_heads = 8;
  model.head_dim = 128;
  model.intermediate_size = 28672;
  model.vocab_size = 128256;
  model.max_positions = 131072;
  return model;
}

MemoryPlan Plan(const ModelConfig& model, const Limits& limits, uint64_t free_bytes = kFreeBytes,
                const ExecutorKvCacheConfig* kv_cache = nullptr, int rank = 0) {
  ExecutorConfig config{};
  config.size = sizeof(config);
  config.kv_cache = kv_cache;
  return PlanMemory({config, {}, model, limits, {}}, rank, H200(), kH200, free_bytes);
}

Limits LimitsOf(int max_batch_size, int max_num_tokens, int max_seq_len) {
  Limits limits{};
  limits.max_batch_size = limits.max_draws = max_batch_size;
  limits.max_num_tokens = max_num_tokens;
  limits.max_input_len = max_seq_len - 1;
  limits.max_seq_len = max_seq_len;
  return limits;
}

TEST(MemoryPlan, DynamicRopeIsRefusedWhereASequenceCanOutgrowWhatTheModelWasTrainedFor) {
  ModelConfig model = Llama70B();
  model.rope_scaling.type = RopeScalingType::kDynamic;
  model.rope_scaling.original_max_positions = 4096;
  EXPECT_NO_THROW(Plan(model, LimitsOf(1, 512, 4096)));
  ExpectFailure([&] { Plan(model, LimitsOf(1, 512, 4097)); }, EXECUTOR_MODEL_UNSUPPORTED,
                "dynamic frequencies (rotary_scaling)");
}

TEST(MemoryPlan, AdaptersHaveTheirPartOfWhatTheEngineLeaves) {
  const ModelConfig model = Llama70B();
  Limits limits = LimitsOf(1, 512, 4096);
  EXPECT_EQ(Plan(model, limits).adapter_bytes, 0u);
  const uint64_t without = Plan(model, limits).bytes();
  limits.adapters = AdapterLimits{64, uint64_t{1} << 30, 0.25};
  const MemoryPlan plan = Plan(model, limits);
  EXPECT_NEAR(static_cast<double>(plan.adapter_bytes), 0.25 * static_cast<double>(kFreeBytes - without),
              0.01 * kFreeBytes);
  EXPECT_GE(plan.bytes(), without + plan.adapter_bytes);
  EXPECT_LE(plan.bytes(), kFreeBytes);
}

TEST(MemoryPlan, AdaptersOverAwqAreRefused) {
  ModelConfig model = Llama70B();
  model.quantization.algo = QuantAlgo::kW4A16Awq;
  model.quantization.pre_quant_scale = true;
  Limits limits = LimitsOf(1, 512, 4096);
  limits.adapters = AdapterLimits{64, uint64_t{1} << 30, 0.02};
  ExpectFailure([&] { Plan(model, limits); }, EXECUTOR_UNSUPPORTED, "peftCache is set", "peft_cache");
}

TEST(MemoryPlan, KeysAndValuesInInt8TakeAByteEachAndAScaleForEachTokenAndHead) {
  ModelConfig model = Llama70B();
  model.layers = 8;
  Limits limits = LimitsOf(4, 8192, 131072);
  const MemoryPlan elements = Plan(model, limits);
  limits.kv_dtype = KV_DTYPE_INT8;
  const MemoryPlan plan = Plan(model, limits);
  EXPECT_EQ(plan.kv.bytes_per_block(), uint64_t{64} * 2 * 8 * 8 * (128 + 4));
  EXPECT_EQ(plan.kv.layout.blocks, elements.kv.layout.blocks);
  // One sequence of a layer and a step's new tokens, which prompts read as elements, and their block table.
  const uint64_t expanded = uint64_t{2048 + 128} * 64 * 8 * 128 * 2 * 2;
  EXPECT_NEAR(static_cast<double>(plan.work_bytes), static_cast<double>(elements.work_bytes + expanded), 2 * kMebibyte);
}

// A draft model, loaded once the other has what it takes, finds room for as many tokens.
TEST(MemoryPlan, ARunnerLeavesRoomForTheOneBesideItAndAsManyOfItsBlocks) {
  ModelConfig model = Llama70B(), small = Llama70B();
  model.layers = 40;
  small.layers = 4;
  small.hidden_size = 2048;
  small.heads = 16;
  const Limits limits = LimitsOf(64, 8192, 32768);
  ExecutorConfig config{};
  config.size = sizeof(config);
  RunnerOptions draft{config, {}, small, limits, {}};
  const MemoryPlan alone = Plan(model, limits);
  const MemoryPlan plan = PlanMemory({config, {}, model, limits, {}, &draft}, 0, H200(), kH200, kFreeBytes);
  EXPECT_LT(plan.kv.layout.blocks, alone.kv.layout.blocks);
  EXPECT_GT(plan.kv.layout.blocks, alone.kv.layout.blocks * 3 / 4);
  ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = static_cast<uint32_t>(plan.kv.layout.blocks * plan.kv.layout.tokens_per_block);
  config.kv_cache = &kv;
  const MemoryPlan beside = PlanMemory(draft, 0, H200(), kH200, kFreeBytes - plan.bytes());
  EXPECT_EQ(beside.kv.layout.blocks, plan.kv.layout.blocks);
  EXPECT_LE(plan.bytes() + beside.bytes(), kFreeBytes);
}

TEST(MemoryPlan, TwoRunnersThatDoNotFitTogetherAreRefused) {
  const ModelConfig model = Llama70B();
  const Limits limits = LimitsOf(1, 512, 4096);
  ExecutorConfig config{};
  config.size = sizeof(config);
  const RunnerOptions draft{config, {}, model, limits, {}};
  ExpectFailure(
      [&] {
        PlanMemory({config, {}, model, limits, {}, &draft}, 0, H200(), kH200, kFreeBytes);
      },
      EXECUTOR_OUT_OF_MEMORY, "has 142500 MiB free; expected ");
}

// Sequences that start alike share blocks, so the size of the cache says nothing about their tables.
TEST(MemoryPlan, AStepHasRoomForTheBlockTableOfEachOfItsPrompts) {
  const ModelConfig model = Llama70B();
  const KvLayout kv{Element::kBfloat16, model.layers, 2100, model.kv_heads, 64, model.head_dim};
  const auto bytes_with_tables_of = [&](int blocks) {
    return Llama::DeviceBytes(model, kv, {512, 16, 131072, blocks}, kH200);
  };
  EXPECT_EQ(bytes_with_tables_of(2048) - bytes_with_tables_of(1024), sizeof(int32_t) * 16 * 1024);
}

TEST(MemoryPlan, ASequenceOf131072TokensHas2048Blocks) {
  ModelConfig model = Llama70B();
  model.layers = 8;
  const MemoryPlan plan = Plan(model, LimitsOf(4, 8192, 131072));
  EXPECT_EQ(plan.limits.max_positions, 131072);
  EXPECT_EQ(plan.limits.max_blocks, 2048);
  EXPECT_EQ(plan.kv.layout.blocks, 4 * 2048);
  EXPECT_EQ(plan.kv.bytes(), uint64_t{4} * 131072 * 8 * 128 * 2 * 2 * 8);
}

TEST(MemoryPlan, ARankOfASplitEmbeddingHasItsRowsAlone) {
  ModelConfig model = Llama70B();
  model.tp_size = 2;
  const Limits limits = LimitsOf(1, 512, 4096);
  const size_t whole = Plan(model, limits).weight_bytes;
  model.parallel_embedding = true;
  EXPECT_EQ(whole - Plan(model, limits).weight_bytes, size_t{128256} / 2 * 8192 * 2);
}

TEST(MemoryPlan, AStageHasItsLayersTheFirstTheEmbeddingAndTheLastTheHead) {
  ModelConfig model = Llama70B();
  model.head_rows = model.vocab_size;
  const Limits limits = LimitsOf(1, 512, 4096);
  const size_t whole = Plan(model, limits).weight_bytes;
  model.pp_size = 4;
  std::vector<size_t> stages;
  for (int rank = 0; rank < model.pp_size; ++rank)
    stages.push_back(Plan(model, limits, kFreeBytes, nullptr, rank).weight_bytes);
  const size_t embedding = size_t{128256} * 8192 * 2, norm = size_t{8192} * 2;
  EXPECT_EQ(stages[0] - stages[1], embedding);
  EXPECT_EQ(stages[1], stages[2]);
  EXPECT_EQ(stages[3] - stages[1], embedding + norm) << "the head is as large";
  EXPECT_EQ(stages[0] + stages[1] + stages[2] + stages[3], whole);
}

TEST(MemoryPlan, SeventyBillionParametersAndASequenceOf4096TokensFitAnH200) {
  const MemoryPlan plan = Plan(Llama70B(), LimitsOf(1, 8192, 4096));
  EXPECT_EQ(plan.weight_bytes / kMebibyte, 134570u);
  EXPECT_EQ(plan.kv.layout.blocks, 64) << "the whole sequence, and no more";
  EXPECT_LE(plan.work_bytes, 1500 * kMebibyte);
  EXPECT_LE(plan.bytes(), kFreeBytes);
}

TEST(MemoryPlan, WeightsOfFourBitsAreCountedAsTheyLieThereWithRoomToExpandOneMatrix) {
  ModelConfig model = Llama70B();
  model.quantization.algo = QuantAlgo::kW4A16Awq;
  const MemoryPlan plan = Plan(model, LimitsOf(1, 8192, 4096));
  EXPECT_EQ(plan.weight_bytes / kMebibyte, 37696u);
  EXPECT_GE(plan.work_bytes, Plan(Llama70B(), LimitsOf(1, 8192, 4096)).work_bytes + uint64_t{2} * 57344 * 8192);
}

TEST(MemoryPlan, QuantizedWeightsOfAnOddIntermediateSizeAreRefused) {
  ModelConfig model = Llama70B();
  model.quantization.algo = QuantAlgo::kW8A16;
  model.intermediate_size = 28676;
  ExpectFailure([&] { Plan(model, LimitsOf(1, 512, 4096)); }, EXECUTOR_MODEL_UNSUPPORTED, "intermediate_size is 28676");
}

TEST(MemoryPlan, AStepHasRoomForNoMoreThanItsSequencesHave) {
  EXPECT_EQ(Plan(Llama70B(), LimitsOf(1, 8192, 1000)).limits.max_tokens, 1024) << "padded";
  EXPECT_EQ(Plan(Llama70B(), LimitsOf(4, 8192, 1024)).limits.max_tokens, 4096);
  EXPECT_EQ(Plan(Llama70B(), LimitsOf(64, 2048, 4096)).limits.max_tokens, 2048);
}

TEST(MemoryPlan, WhatIsNeededAndFreeIsNamedWhereItDoesNotFit) {
  ExpectFailure([] { Plan(Llama70B(), LimitsOf(1, 8192, 4096), 135000 * kMebibyte); }, EXECUTOR_OUT_OF_MEMORY,
                "NVIDIA H200 has 135000 MiB free; expected 134570 MiB for the weights, ");
  ExpectFailure([] { Plan(Llama70B(), LimitsOf(1, 8192, 4096), 135000 * kMebibyte); }, EXECUTOR_OUT_OF_MEMORY,
                "or use executor: 'cpu'.");
}

TEST(MemoryPlan, WhatACacheOfSoManyTokensTakesIsNamed) {
  ExecutorKvCacheConfig kv_cache{};
  kv_cache.size = sizeof(kv_cache);
  kv_cache.set = KV_CACHE_MAX_TOKENS;
  kv_cache.max_tokens = 64 * 1000;
  ExpectFailure([&] { Plan(Llama70B(), LimitsOf(1, 8192, 4096), kFreeBytes, &kv_cache); }, EXECUTOR_OUT_OF_MEMORY,
                "kvCache needs 20000 MiB for 1000 blocks of 64 tokens; expected at most ", "kv_cache");
}

TEST(MemoryPlan, ForAStepThatIsTooLargeNamesItsOption) {
  ExpectFailure([] { Plan(Llama70B(), LimitsOf(1, 65536, 4096)); }, EXECUTOR_INVALID_OPTION,
                "maxNumTokens is 65536; expected at most 65472.", "max_num_tokens");
}

}  // namespace
}  // namespace embedded::cuda
