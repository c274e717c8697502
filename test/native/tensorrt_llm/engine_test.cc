#include "native/tensorrt_llm/engine.h"

#include "test_engine.h"

namespace adapter {
namespace {

bool Contains(const executor::Failure& failure, const char* part) {
  return std::string(failure.what()).find(part) != std::string::npos;
}

TEST(Engine, HasLogitsOfAWholeNumberOfColumnsForEachRank) {
  TestEngine directory("{}", ConfigJson("1", 2));
  embedded::WriteFile(directory.path() + "/rank1.engine", "the second rank");
  const Engine engine = directory.Read();
  EXPECT_EQ(engine.vocab_size, 259);
  EXPECT_EQ(engine.padded_vocab_size(), 260);
  EXPECT_EQ(engine.world_size(), 2);
}

TEST(Engine, NamesTheRankFilesThatAreMissing) {
  const TestEngine directory("{}", ConfigJson("1", 3));
  const auto failure = FailureOfCall([&] { directory.Read(); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_RANKS);
  EXPECT_TRUE(Contains(failure, "has no rank1.engine, rank2.engine; expected 3 ranks")) << failure.what();
}

TEST(Engine, NamesTheRankFilesThatAreEmpty) {
  const TestEngine directory("{}", ConfigJson("1", 2));
  embedded::WriteFile(directory.path() + "/rank1.engine", "");
  const auto failure = FailureOfCall([&] { directory.Read(); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_WEIGHTS);
  EXPECT_TRUE(Contains(failure, ": rank1.engine has 0 bytes")) << failure.what();
}

// Its pretrained_config has the given fields besides those that are needed.
std::string ConfigWith(const std::string& fields) {
  std::string config = ConfigJson();
  const std::string start = R"("pretrained_config": {)";
  return config.insert(config.find(start) + start.size(), fields + ", ");
}

TEST(Engine, KnowsItsQuantizationAndTheLargestOfItsRanks) {
  const TestEngine plain("{}", ConfigWith(R"("quantization": {"quant_algo": null, "kv_cache_quant_algo": "FP8"})"));
  embedded::WriteFile(plain.path() + "/rank0.engine", "123456");
  EXPECT_EQ(plain.Read().quant_algo, "");
  EXPECT_EQ(plain.Read().largest_rank_bytes, 6u);
  EXPECT_EQ(plain.Read().gpus_per_node, 8);
  const TestEngine quantized("{}", ConfigWith(R"("quantization": {"quant_algo": "W4A16_AWQ"})"));
  EXPECT_EQ(quantized.Read().quant_algo, "W4A16_AWQ");
}

TEST(Engine, IsRefusedWhereItIsNoDecoder) {
  for (const char* const name : {"BertForSequenceClassification", "EncoderModel", "DecoderModel", "WhisperEncoder"}) {
    const TestEngine directory("{}", ConfigWith(R"("architecture": ")" + std::string(name) + '"'));
    const auto failure = FailureOfCall([&] { directory.Read(); });
    EXPECT_EQ(failure.code(), EXECUTOR_MODEL_UNSUPPORTED);
    EXPECT_TRUE(Contains(failure, name)) << failure.what();
  }
  EXPECT_NO_THROW(TestEngine("{}", ConfigWith(R"("architecture": "Qwen2ForCausalLM")")).Read());
}

TEST(Engine, RunsAdaptersIfItWasBuiltWithThePluginAndForModules) {
  EXPECT_TRUE(TestEngine().Read().runs_adapters);
  const auto with = [](const std::string& part, const std::string& other) {
    std::string config = ConfigJson();
    return TestEngine("{}", config.replace(config.find(part), part.size(), other)).Read().runs_adapters;
  };
  EXPECT_FALSE(with(R"("lora_plugin": "float16")", R"("lora_plugin": null)"));
  EXPECT_FALSE(with(R"(["attn_q"])", "[]"));
  EXPECT_FALSE(with(R"("lora_config": {"lora_target_modules": ["attn_q"]},)", ""));
}

TEST(Engine, HasNoMoreThan1024Ranks) {
  const auto mapping = [](const char* sizes) {
    return R"({"version": "1", "pretrained_config": {"dtype": "float16", "vocab_size": 9, "mapping": )" +
           std::string(sizes) + "}}";
  };
  for (const char* const sizes : {R"({"tp_size": 1025})", R"({"tp_size": 1024, "pp_size": 2})",
                                  R"({"tp_size": 64, "pp_size": 16, "cp_size": 134217728})"}) {
    const TestEngine directory("{}", mapping(sizes));
    EXPECT_EQ(FailureOfCall([&] { directory.Read(); }).code(), EXECUTOR_ENGINE_CONFIG) << sizes;
  }
}

TEST(Engine, NamesTheFieldThatIsWrongInItsConfig) {
  const TestEngine directory("{}", R"({"version": "1", "pretrained_config": {"dtype": "float16", "vocab_size": -1,
      "mapping": {}}})");
  const auto failure = FailureOfCall([&] { directory.Read(); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_CONFIG);
  EXPECT_TRUE(Contains(failure, "pretrained_config.vocab_size is -1; expected a whole number")) << failure.what();
}

TEST(Engine, IsNoDirectoryWithoutConfig) {
  const embedded::TemporaryDirectory empty;
  EXPECT_EQ(FailureOfCall([&] { ReadEngine(empty.path()); }).code(), EXECUTOR_ENGINE_NOT_FOUND);
}

TEST(Engine, IsNotReadFromACorruptConfig) {
  const TestEngine directory("{}", R"({"version": )");
  EXPECT_EQ(FailureOfCall([&] { directory.Read(); }).code(), EXECUTOR_ENGINE_CONFIG);
}

TEST(Engine, IsRefusedByAnotherVersionThanBuiltIt) {
  const Engine engine = TestEngine("{}", ConfigJson("1.0.0")).Read();
  const auto failure = FailureOfCall([&] { CheckEngineVersion(engine, "1.2.1"); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_CONFIG);
  EXPECT_TRUE(Contains(failure, "version is 1.0.0; expected 1.2.1")) << failure.what();
  EXPECT_NO_THROW(CheckEngineVersion(engine, "1.0.0"));
}

}  // namespace
}  // namespace adapter
