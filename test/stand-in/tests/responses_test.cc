#include "test_engine.h"

namespace stand_in {
namespace {

TEST(Ids, CountFromOneAndSpendOneForEachFurtherSequence) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
#if STAND_IN_1_2
  tle::SamplingConfig three;
  three.setNumReturnSequences(3);
  const Request several({0}, 2, false, three);
#else
  Request several({0}, 2);
  several.setNumReturnSequences(3);
#endif
  EXPECT_EQ(executor->enqueueRequest(Request({0}, 2)), 1u);
  EXPECT_EQ(executor->enqueueRequests({several, Request({0}, 2)}), (std::vector<IdType>{2, 5}));
}

TEST(Sequences, CarryTheFirstOnesIdAndTheirIndexAndOnlyTheLastToEndIsFinal) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
#if STAND_IN_1_2
  tle::SamplingConfig three;
  three.setNumReturnSequences(3);
  const std::vector<Response> responses = Complete(*executor, Request({0}, 2, false, three));
#else
  Request several({0}, 2);
  several.setNumReturnSequences(3);
  const std::vector<Response> responses = Complete(*executor, several);
#endif
  ASSERT_EQ(responses.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const tle::Result& result = responses[static_cast<size_t>(i)].getResult();
    EXPECT_EQ(responses[static_cast<size_t>(i)].getRequestId(), 1u);
    EXPECT_EQ(result.sequenceIndex, i);
    EXPECT_TRUE(result.isSequenceFinal);
    EXPECT_EQ(result.isFinal, i == 2);
  }
}

TEST(Responses, OfAStreamAreDeltasWithoutThePromptAndWithTheLogProbsOfAllTokensSoFar) {
  const LettersEngineDirectory engine(R"({"deltas": [1, 2]})");
  const auto executor = Open(engine.path());
  const std::vector<Response> responses =
      Complete(*executor, Request({7, 0}, 4, true, tle::SamplingConfig(), tle::OutputConfig(true)));
  ASSERT_EQ(responses.size(), 3u);
  size_t so_far = 0;
  for (const Response& response : responses) {
    so_far += response.getResult().outputTokenIds.front().size();
    EXPECT_EQ(response.getResult().logProbs->front().size(), so_far);
    EXPECT_FLOAT_EQ(response.getResult().cumLogProbs->front(), -0.5f * static_cast<float>(so_far));
  }
  EXPECT_EQ(TokensOf(responses), Letters(4));
  EXPECT_EQ(ReasonOf(responses[0]), FinishReason::kNOT_FINISHED);
  EXPECT_EQ(ReasonOf(responses[2]), FinishReason::kLENGTH);
}

TEST(Responses, OfNoStreamAreOneWithThePromptUnlessItIsExcluded) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  const std::vector<Response> with = Complete(*executor, Request({7, 0}, 2));
  ASSERT_EQ(with.size(), 1u);
  EXPECT_EQ(TokensOf(with), (VecTokens{7, 0, 'a', 'b'}));
  tle::OutputConfig output;
  output.excludeInputFromOutput = true;
  EXPECT_EQ(TokensOf(Complete(*executor, Request({7, 0}, 2, false, tle::SamplingConfig(), output))),
            (VecTokens{'a', 'b'}));
}

TEST(Responses, LeaveTheEndIdOutAndStopWordsIn) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  Request ends({0}, 20, true);
  ends.setEndId('d');
  const std::vector<Response> ended = Complete(*executor, ends);
  EXPECT_EQ(TokensOf(ended), Letters(3));
  EXPECT_TRUE(ended.back().getResult().outputTokenIds.front().empty()) << "the final delta has no token";
  EXPECT_EQ(ReasonOf(ended.back()), FinishReason::kEND_ID);

  Request stops({0}, 20, true);
  stops.setStopWords({{'x'}, {'c', 'd'}});
  const std::vector<Response> stopped = Complete(*executor, stops);
  EXPECT_EQ(TokensOf(stopped), Letters(4));
  EXPECT_EQ(ReasonOf(stopped.back()), FinishReason::kSTOP_WORDS);
}

TEST(Responses, OfBeamsHoldAllGeneratedTokensEachTime) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path(), Generous());
  const std::vector<Response> responses = Complete(*executor, Request({0}, 3, true, tle::SamplingConfig(2)));
  ASSERT_EQ(responses.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const tle::BeamTokens& beams = responses[i].getResult().outputTokenIds;
    ASSERT_EQ(beams.size(), 2u);
    EXPECT_EQ(beams[0], Letters(static_cast<int>(i) + 1));
    EXPECT_EQ(beams[1], Letters(static_cast<int>(i) + 1, 1));
  }
}

TEST(Responses, GiveLogitsOfAStreamsDeltaAndOfAllPlacesOtherwise) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path(), Generous());
  const tle::OutputConfig logits(false, true, true);
  const std::vector<Response> stream = Complete(*executor, Request({7, 0}, 2, true, tle::SamplingConfig(), logits));
  ASSERT_EQ(stream.size(), 2u);
  const tle::Tensor delta = *stream[1].getResult().generationLogits;
  ASSERT_EQ(delta.getShape().size(), 3u);
  EXPECT_EQ(delta.getShape()[0], 1);
  EXPECT_EQ(static_cast<const float*>(delta.getData())['b'], 1);

  Request whole({7, 0}, 5, false, tle::SamplingConfig(), logits);
  whole.setEndId('b');
  const Response response = Complete(*executor, whole).front();
  const tle::Tensor generation = *response.getResult().generationLogits, context = *response.getResult().contextLogits;
  EXPECT_EQ(generation.getShape()[1], 5) << "room for maxTokens, though one came";
  EXPECT_EQ(static_cast<const float*>(generation.getData())['a'], 1);
  EXPECT_EQ(context.getShape()[0], 2);
  EXPECT_EQ(static_cast<const float*>(context.getData())[7], 1);
}

TEST(Limits, CutMaxTokensToWhatTheEngineHasRoomFor) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  const std::vector<Response> responses = Complete(*executor, Request(VecTokens(60, 0), 1000, true));
  EXPECT_EQ(TokensOf(responses).size(), 4u);
  EXPECT_EQ(ReasonOf(responses.back()), FinishReason::kLENGTH);
}

TEST(Errors, OfAPromptThatDoesNotFitComeAsAResponseWithAPrefixAndABacktrace) {
  const LettersEngineDirectory engine;
  const auto executor = Open(engine.path());
  Request request(VecTokens(64, 0), 1);
  request.setClientId(99);
  const std::vector<Response> responses = Complete(*executor, request);
  ASSERT_EQ(responses.size(), 1u);
  ASSERT_TRUE(responses[0].hasError());
  EXPECT_EQ(
      responses[0].getErrorMsg().rfind("Encountered an error when fetching new request: Prompt length (64) exceeds "
                                       "maximum input length (63).",
                                       0),
      0u);
  EXPECT_NE(responses[0].getErrorMsg().find('\n'), std::string::npos);
  EXPECT_NE(MessageOf([&] { return responses[0].getResult(); }).find("Cannot get the result"), std::string::npos);
#if STAND_IN_1_2
  EXPECT_EQ(responses[0].getClientId(), 99u);
#endif
}

TEST(Errors, OfLogitsThatTheEngineDoesNotGatherComeAsResponses) {
  const LettersEngineDirectory engine("{}", R"({"max_batch_size": 4, "max_num_tokens": 64, "max_seq_len": 64})");
  const auto executor = Open(engine.path());
  for (const tle::OutputConfig& output : {tle::OutputConfig(false, true), tle::OutputConfig(false, false, true)}) {
    const std::vector<Response> responses = Complete(*executor, Request({0}, 1, false, tle::SamplingConfig(), output));
    ASSERT_TRUE(responses[0].hasError());
    EXPECT_NE(responses[0].getErrorMsg().find("gather_"), std::string::npos) << responses[0].getErrorMsg();
  }
}

TEST(Errors, OfOptionsOutOfRangeAreThrownAtConstruction) {
  const std::string prefix = "[TensorRT-LLM][ERROR] Assertion failed: ";
  EXPECT_EQ(MessageOf([] { tle::SamplingConfig().setTopP(0.0f); }).rfind(prefix, 0), 0u);
  EXPECT_EQ(MessageOf([] { tle::SamplingConfig(0); }).rfind(prefix, 0), 0u);
  EXPECT_EQ(MessageOf([] { Request({}, 1); }).rfind(prefix, 0), 0u);
  EXPECT_EQ(MessageOf([] { Request({0}, 0); }).rfind(prefix, 0), 0u);
  EXPECT_EQ(MessageOf([] { tle::KvCacheConfig().setFreeGpuMemoryFraction(1); }).rfind(prefix, 0), 0u);
  EXPECT_EQ(MessageOf([] { tle::OrchestratorConfig(true, "/no/worker"); }).rfind(prefix + "Worker executable at", 0),
            0u);
}

}  // namespace
}  // namespace stand_in
