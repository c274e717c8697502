#include "native/tensorrt_llm/request.h"

#include <string>
#include <vector>

#include "../embedded/table_client.h"
#include "test_engine.h"

namespace adapter {
namespace {

using embedded::TestRequest;

class RequestTest : public testing::Test {
 protected:
  RequestTest() {
    limits_.max_seq_len = engine_.max_seq_len;
    limits_.max_input_len = engine_.max_seq_len - 1;
    limits_.max_num_sequences = static_cast<uint32_t>(engine_.max_batch_size);
    limits_.max_beam_width = static_cast<uint32_t>(engine_.max_beam_width);
  }
  tle::Request Make(TestRequest request) { return MakeRequest(*request.Get(), engine_, limits_).request; }
  executor::Failure Refuse(TestRequest request) {
    return FailureOfCall([&] { MakeRequest(*request.Get(), engine_, limits_); });
  }

  Engine engine_ = TestEngine().Read();
  RequestLimits limits_{};
};

TEST_F(RequestTest, CarriesItsIdAsClientId) {
  EXPECT_EQ(Make(TestRequest(uint64_t{1} << 60)).getClientId(), uint64_t{1} << 60);
}

TEST_F(RequestTest, WatchesTheFirstEndIdAndMakesStopWordsOfTheOthers) {
  TestRequest request(1);
  request.end_ids = {10, 11, 12};
  const tle::Request made = Make(request);
  EXPECT_EQ(made.getEndId(), 10);
  EXPECT_EQ(made.getStopWords(), (std::list<tle::VecTokens>{{11}, {12}}));
}

TEST_F(RequestTest, LeavesABadWordOutThatIsAnEndId) {
  TestRequest request(1);
  request.end_ids = {10};
  const std::vector<int32_t> tokens{10, 20, 21};
  const std::vector<uint32_t> offsets{0, 1, 3};
  request.request.bad_tokens = {tokens.data(), offsets.data(), 2};
  EXPECT_EQ(Make(request).getBadWords(), (std::list<tle::VecTokens>{{20, 21}}));
}

TEST_F(RequestTest, IsGreedyAtTemperature0) {
  const tle::SamplingConfig sampling = Make(TestRequest(1)).getSamplingConfig();
  EXPECT_EQ(sampling.getTopK(), 1);
  EXPECT_EQ(sampling.getTemperature(), 1.f);
}

TEST_F(RequestTest, DrawsFromAllTokensWithASeedOfItsOwnWhereNothingIsSet) {
  TestRequest request(1);
  request.sampling.set = 0;
  const tle::SamplingConfig sampling = Make(request).getSamplingConfig();
  EXPECT_EQ(sampling.getTopK(), 0);
  EXPECT_EQ(sampling.getTopP(), 1.f);  // TensorRT-LLM's own default of both together is greedy
  EXPECT_EQ(sampling.getTemperature(), 1.f);
  EXPECT_NE(sampling.getSeed(), Make(request).getSamplingConfig().getSeed());
}

TEST_F(RequestTest, SpreadsABiasOverTheColumnsOfTheLogits) {
  engine_.tensor_parallel_size = 2;
  TestRequest request(1);
  const std::vector<int32_t> tokens{3, 258};
  const std::vector<float> values{-2, 5};
  request.request.logit_bias = {tokens.data(), values.data(), 2};
  const tle::Tensor bias = *Make(request).getEmbeddingBias();
  ASSERT_EQ(bias.getSize(), 260u);
  const auto* data = static_cast<const float*>(bias.getData());
  EXPECT_EQ(data[3], -2);
  EXPECT_EQ(data[258], 5);
  EXPECT_EQ(data[0] + data[4] + data[259], 0);
}

TEST_F(RequestTest, AsksForNoMoreTokensThanItsSequenceMayHave) {
  TestRequest request(1, {1, 2, 3}, 1000);
  EXPECT_EQ(Make(request).getMaxTokens(), 61);
}

TEST_F(RequestTest, IsRefusedWhereNoNewTokenFits) {
  const auto failure = Refuse(TestRequest(9, std::vector<int32_t>(64, 1)));
  EXPECT_EQ(failure.code(), EXECUTOR_PROMPT_TOO_LONG);
  EXPECT_EQ(failure.request_id(), 9u);
}

TEST_F(RequestTest, IsRefusedWhereItsPromptIsLongerThanOneStepTakes) {
  limits_.max_input_len = 10;
  const auto failure = Refuse(TestRequest(9, std::vector<int32_t>(11, 1)));
  EXPECT_EQ(failure.code(), EXECUTOR_PROMPT_TOO_LONG);
  EXPECT_NE(std::string(failure.what()).find("expected at most 10 "), std::string::npos) << failure.what();
}

TEST_F(RequestTest, IsRefusedForMoreSamplesThanRunAtOnceButNotForMoreBeams) {
  TestRequest request(1);
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 4;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_OK);
  limits_.max_num_sequences = 3;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_INVALID_OPTION);
  request.sampling.set |= SAMPLING_BEAM_WIDTH;
  request.sampling.beam_width = 4;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_OK);
}

TEST_F(RequestTest, IsRefusedForMoreBeamsThanTheEngineWasLoadedFor) {
  TestRequest request(1);
  request.sampling.set |= SAMPLING_BEAM_WIDTH;
  request.sampling.beam_width = 4;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_OK);
  limits_.max_beam_width = 3;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_INVALID_OPTION);
}

TEST_F(RequestTest, IsRefusedWithATokenOutsideTheVocabulary) {
  EXPECT_EQ(Refuse(TestRequest(1, {259})).code(), EXECUTOR_INVALID_INPUT);
}

TEST_F(RequestTest, AsksForLogitsWhereTopLogprobsAreMadeOfThem) {
  TestRequest request(1);
  request.output.top_logprobs = 2;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_UNSUPPORTED);
  limits_.generation_logits = true;
  EXPECT_TRUE(Make(request).getOutputConfig().returnGenerationLogits);
  EXPECT_TRUE(Make(request).getOutputConfig().returnLogProbs);
}

TEST_F(RequestTest, HoldsBackOneEndIdOnlyUntilMinTokens) {
  TestRequest request(1);
  request.sampling.set |= SAMPLING_MIN_TOKENS;
  request.sampling.min_tokens = 2;
  request.end_ids = {10};
  EXPECT_EQ(Make(request).getSamplingConfig().getMinTokens(), 2);
  request.end_ids = {10, 11};
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_UNSUPPORTED);
}

TEST_F(RequestTest, HasAllTokensInEachRowOfABeamSearchThatStreams) {
  TestRequest request(1);
  request.sampling.set |= SAMPLING_BEAM_WIDTH;
  request.sampling.beam_width = 3;
  EXPECT_TRUE(Make(request).getReturnAllGeneratedTokens());
  EXPECT_EQ(Make(request).getSamplingConfig().getBeamWidth(), 3);
  EXPECT_FALSE(Make(TestRequest(1)).getReturnAllGeneratedTokens());
}

#if STAND_IN_1_2
TEST_F(RequestTest, CarriesWhatLaterVersionsHave) {
  TestRequest request(1);
  request.request.set = REQUEST_CACHE_SALT | REQUEST_TIMEOUT;
  request.request.cache_salt = 7;
  request.request.timeout_ms = 900;
  request.sampling.set = SAMPLING_MIN_P | SAMPLING_N | SAMPLING_PROMPT_IGNORE_LENGTH;
  request.sampling.min_p = 0.25f;
  request.sampling.n = 3;
  request.sampling.prompt_ignore_length = 2;
  const ExecutorGuided guided{GUIDE_REGEX, "a+"};
  request.request.guided = &guided;
  const tle::Request made = Make(request);
  EXPECT_EQ(made.getCacheSaltID(), 7u);
  EXPECT_EQ(made.getAllottedTimeMs(), std::chrono::milliseconds(900));
  EXPECT_EQ(made.getSamplingConfig().getMinP(), 0.25f);
  EXPECT_EQ(made.getSamplingConfig().getNumReturnSequences(), 3);
  EXPECT_EQ(made.getSamplingConfig().getPromptIgnoreLength(), 2);
  EXPECT_EQ(made.getGuidedDecodingParams()->getGuide(), "a+");
}
#else
TEST_F(RequestTest, IsRefusedForWhatItsVersionLacksNamingTheFirstThatHasIt) {
  TestRequest request(5);
  request.request.set = REQUEST_CACHE_SALT;
  const auto failure = Refuse(request);
  EXPECT_EQ(failure.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_EQ(failure.request_id(), 5u);
  EXPECT_STREQ(failure.what(),
               "cacheSalt is set; expected it unset, because TensorRT-LLM 0.13.0 does not have it; 1.1 and newer do. "
               "Remove it, or install a newer version.");
}

TEST_F(RequestTest, IsRefusedForASamplingFieldThatItsVersionLacks) {
  TestRequest request(1);
  request.sampling.set = SAMPLING_MIN_P;
  request.sampling.min_p = 0.5f;
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_UNSUPPORTED);
  request.sampling.min_p = 0;  // leaves the sampling as it is
  EXPECT_EQ(Refuse(request).code(), EXECUTOR_OK);
}

TEST_F(RequestTest, AsksForItsSamplesItself) {
  TestRequest request(1);
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 3;
  EXPECT_EQ(Make(request).getNumReturnSequences(), 3);
}
#endif

}  // namespace
}  // namespace adapter
