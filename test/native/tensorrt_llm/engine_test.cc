#include "tensorrt_llm/engine.h"

#include "test_engine.h"

namespace adapter {
namespace {

bool Contains(const executor::Failure& failure, const char* part) {
  return std::string(failure.what()).find(part) != std::string::npos;
}

TEST(Engine, HasLogitsOfAWholeNumberOfColumnsForEachRank) {
  TestEngine directory("{}", ConfigJson("1", 2));
  embedded::WriteFile(directory.path() + "/rank1.engine", "");
  const Engine engine = directory.Read();
  EXPECT_EQ(engine.vocab_size, 259);
  EXPECT_EQ(engine.padded_vocab_size(), 260);
  EXPECT_EQ(engine.world_size(), 2);
}

TEST(Engine, NamesTheRankFilesThatAreMissing) {
  const TestEngine directory("{}", ConfigJson("1", 3));
  const auto failure = FailureOfCall([&] { directory.Read(); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_RANKS);
  EXPECT_TRUE(Contains(failure, "lacks rank1.engine, rank2.engine; its config.json names 3 ranks")) << failure.what();
}

TEST(Engine, NamesTheFieldThatIsWrongInItsConfig) {
  const TestEngine directory("{}", R"({"version": "1", "pretrained_config": {"dtype": "float16", "vocab_size": -1,
      "mapping": {}}})");
  const auto failure = FailureOfCall([&] { directory.Read(); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_CONFIG);
  EXPECT_TRUE(Contains(failure, "pretrained_config.vocab_size is -1; it must be a whole number")) << failure.what();
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
  EXPECT_TRUE(Contains(failure, "version is 1.0.0; TensorRT-LLM here is 1.2.1")) << failure.what();
  EXPECT_NO_THROW(CheckEngineVersion(engine, "1.0.0"));
}

}  // namespace
}  // namespace adapter
