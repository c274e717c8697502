#include <algorithm>

#include "test_engine.h"

namespace stand_in {
namespace {

// An engine whose answers are computed by the embedded executor.
class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    embedded::TinyModel model;
    model.build_config = kBuild;
    model.Fill().Write(directory_.path());
    embedded::WriteFile(directory_.path() + "/rank0.engine", "the weights are in rank0.safetensors");
    executor_ = Open(directory_.path(), Generous());
  }
  VecTokens Sample(const tle::SamplingConfig& sampling) {
    return TokensOf(Complete(*executor_, Request({1, 2, 3}, 12, true, sampling)));
  }

  embedded::TemporaryDirectory directory_;
  std::unique_ptr<Executor> executor_;
};

tle::SamplingConfig Sampling(float top_p, float temperature, std::optional<uint64_t> seed) {
  tle::SamplingConfig sampling;
  sampling.setTopP(top_p);
  sampling.setTemperature(temperature);
  sampling.setSeed(seed);
  return sampling;
}

TEST_F(CheckpointTest, IsGreedyWhereNeitherTopKNorTopPIsSet) {
  tle::SamplingConfig hot;
  hot.setTemperature(5.0f);
  hot.setSeed(3);
  EXPECT_EQ(Sample(hot), Sample(Sampling(1, 0, 0)));
  EXPECT_NE(Sample(Sampling(1, 5, 3)), Sample(hot)) << "topP 1 samples";
}

TEST_F(CheckpointTest, TakesASeedThatIsNotGivenForZero) {
  EXPECT_EQ(Sample(Sampling(1, 5, std::nullopt)), Sample(Sampling(1, 5, 0)));
  EXPECT_NE(Sample(Sampling(1, 5, 1)), Sample(Sampling(1, 5, 0)));
}

TEST_F(CheckpointTest, CountsTheSeedsOfFurtherSequencesUp) {
#if STAND_IN_1_2
  tle::SamplingConfig two = Sampling(1, 5, 7);
  two.setNumReturnSequences(2);
  Request request({1, 2, 3}, 12, true, two);
#else
  Request request({1, 2, 3}, 12, true, Sampling(1, 5, 7));
  request.setNumReturnSequences(2);
#endif
  VecTokens second;
  for (const Response& response : Complete(*executor_, request))
    if (response.getResult().sequenceIndex == 1)
      for (const auto token : response.getResult().outputTokenIds.front()) second.push_back(token);
  EXPECT_EQ(second, Sample(Sampling(1, 5, 8)));
}

TEST_F(CheckpointTest, GivesLogProbsAndLogitsOfItsTokens) {
  const std::vector<Response> responses = Complete(
      *executor_, Request({1, 2, 3}, 4, false, tle::SamplingConfig(), tle::OutputConfig(true, true, true, true)));
  const tle::Result& result = responses.back().getResult();
  ASSERT_EQ(result.outputTokenIds.front().size(), 4u);
  EXPECT_EQ(result.logProbs->front().size(), 4u);
  const auto* logits = static_cast<const float*>(result.generationLogits->getData());
  const auto likeliest = std::max_element(logits, logits + 101) - logits;
  EXPECT_EQ(likeliest, result.outputTokenIds.front().front());
  EXPECT_EQ(result.contextLogits->getShape()[0], 3);
  EXPECT_EQ(result.contextLogits->getShape()[1], 101);
}

TEST_F(CheckpointTest, AnswersWithAnErrorWhereTheEmbeddedExecutorRefuses) {
  const tle::SamplingConfig with_top_p_min(1, std::nullopt, 0.5f, 0.1f);
  const std::vector<Response> responses = Complete(*executor_, Request({1, 2, 3}, 4, false, with_top_p_min));
  ASSERT_TRUE(responses.back().hasError());
  EXPECT_EQ(responses.back().getErrorMsg().rfind("Encountered an error when fetching new request: ", 0), 0u);
}

TEST_F(CheckpointTest, CancelsWhatRuns) {
  const IdType id = executor_->enqueueRequest(Request({1, 2, 3}, 60, true));
  executor_->cancelRequest(id);
  EXPECT_TRUE(AwaitFinals(*executor_).back().getResult().isFinal);
  EXPECT_EQ(TokensOf(Complete(*executor_, Request({1, 2, 3}, 4, true))).size(), 4u);
}

}  // namespace
}  // namespace stand_in
