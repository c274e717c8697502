#include "native/tensorrt_llm/responses.h"

#include <cmath>
#include <vector>

#include "native/tensorrt_llm/tensors.h"
#include "test_engine.h"

namespace adapter {
namespace {

Pending StreamingRequest() {
  Pending pending{};
  pending.id = 7;
  pending.prompt_tokens = 2;
  pending.max_tokens = 8;
  pending.streaming = true;
  pending.sequences.resize(1);
  return pending;
}

tle::Result Delta(tle::VecTokens tokens) {
  tle::Result result{};
  result.outputTokenIds = {std::move(tokens)};
  result.finishReasons = {tle::FinishReason::kNOT_FINISHED};
  return result;
}

tle::Result Final(tle::VecTokens tokens, tle::FinishReason reason) {
  tle::Result result = Delta(std::move(tokens));
  result.finishReasons = {reason};
  result.isFinal = result.isSequenceFinal = true;
  return result;
}

// A tensor of this shape whose values are 0 but for `peak` at each row's own column.
tle::Tensor LogitsWith(std::vector<int64_t> shape, const std::vector<int32_t>& peaks, float peak) {
  std::vector<float> values(peaks.size() * static_cast<size_t>(shape.back()));
  for (size_t row = 0; row < peaks.size(); ++row)
    values[row * static_cast<size_t>(shape.back()) + static_cast<size_t>(peaks[row])] = peak;
  ExecutorTensor view{values.data(), DATA_TYPE_FLOAT32, static_cast<uint32_t>(shape.size()), {}};
  std::copy(shape.begin(), shape.end(), view.shape);
  return MakeTensor(view);
}

class ResponsesTest : public testing::Test {
 protected:
  std::vector<BatchRow> Rows(const tle::Result& result) {
    return RowsOf(result, engine_, pending_.cancelled, &pending_);
  }
  BatchRow OnlyRow(const tle::Result& result) {
    std::vector<BatchRow> rows = Rows(result);
    EXPECT_EQ(rows.size(), 1u);
    return rows.empty() ? BatchRow() : std::move(rows.front());
  }

  Engine engine_ = TestEngine().Read();
  Pending pending_ = StreamingRequest();
};

TEST_F(ResponsesTest, GiveNoneOneOrManyTokensARow) {
  EXPECT_EQ(OnlyRow(Delta({})).tokens, std::vector<int32_t>());
  EXPECT_EQ(OnlyRow(Delta({5})).tokens, std::vector<int32_t>({5}));
  EXPECT_EQ(OnlyRow(Delta({6, 7, 8})).tokens, std::vector<int32_t>({6, 7, 8}));
}

TEST_F(ResponsesTest, GiveUsageWithTheFirstRowAndTheLast) {
  EXPECT_TRUE(OnlyRow(Delta({5})).details->numbers.set & DETAILS_USAGE);
  EXPECT_EQ(OnlyRow(Delta({5})).details, nullptr);
  const BatchRow last = OnlyRow(Final({}, tle::FinishReason::kLENGTH));
  EXPECT_TRUE(last.details->numbers.set & DETAILS_USAGE);
  EXPECT_EQ(last.details->numbers.prompt_tokens, 2u);
}

TEST_F(ResponsesTest, TellHowLongTheRequestWaitedForItsPlace) {
  pending_.placed = pending_.submitted + std::chrono::milliseconds(30);
  EXPECT_EQ(OnlyRow(Delta({5})).details->numbers.queue_ms, 30);
}

TEST_F(ResponsesTest, GiveTheLogprobsOfTheRowsTokensOfAllThatHaveCome) {
  pending_.logprobs = true;
  tle::Result first = Delta({5});
  first.logProbs = std::vector<tle::VecLogProbs>{{-1}};
  EXPECT_EQ(OnlyRow(first).logprobs, std::vector<float>({-1}));
  tle::Result second = Delta({6, 7});
  second.logProbs = std::vector<tle::VecLogProbs>{{-1, -2, -3}};
  EXPECT_EQ(OnlyRow(second).logprobs, std::vector<float>({-2, -3}));
}

TEST_F(ResponsesTest, TakeAnotherEndIdOffAndTellIt) {
  pending_.end_ids = {10, 11};
  const BatchRow row = OnlyRow(Final({5, 11}, tle::FinishReason::kSTOP_WORDS));
  EXPECT_EQ(row.tokens, std::vector<int32_t>({5}));
  EXPECT_EQ(row.finish, FINISH_END_ID);
  EXPECT_TRUE(row.details->numbers.set & DETAILS_STOP_TOKEN);
  EXPECT_EQ(row.details->numbers.stop_token, 11);
}

TEST_F(ResponsesTest, RememberAnEndIdThatComesBeforeTheFinalResponse) {
  pending_.end_ids = {10, 11};
  EXPECT_EQ(OnlyRow(Delta({5, 11})).tokens, std::vector<int32_t>({5}));
  const BatchRow row = OnlyRow(Final({6}, tle::FinishReason::kSTOP_WORDS));
  EXPECT_EQ(row.tokens, std::vector<int32_t>());
  EXPECT_EQ(row.finish, FINISH_END_ID);
  EXPECT_EQ(row.details->numbers.stop_token, 11);
}

TEST_F(ResponsesTest, TellTheEndIdThatTheEngineWatched) {
  pending_.end_ids = {10, 11};
  const BatchRow row = OnlyRow(Final({}, tle::FinishReason::kEND_ID));
  EXPECT_EQ(row.finish, FINISH_END_ID);
  EXPECT_EQ(row.details->numbers.stop_token, 10);
}

TEST_F(ResponsesTest, LeaveAStopWordAmongTheTokens) {
  pending_.end_ids = {10};
  const BatchRow row = OnlyRow(Final({5, 6}, tle::FinishReason::kSTOP_WORDS));
  EXPECT_EQ(row.tokens, std::vector<int32_t>({5, 6}));
  EXPECT_EQ(row.finish, FINISH_STOP_TOKENS);
  EXPECT_FALSE(row.details->numbers.set & DETAILS_STOP_TOKEN);
}

TEST_F(ResponsesTest, KnowACancelledRequestWithoutAReason) {
  pending_.cancelled = true;
  EXPECT_EQ(OnlyRow(Final({}, tle::FinishReason::kNOT_FINISHED)).finish, FINISH_CANCELLED);
}

TEST_F(ResponsesTest, EndTheRequestWithItsLastSequence) {
  pending_.sequences.resize(2);
  tle::Result first = Final({5}, tle::FinishReason::kLENGTH);
  first.isFinal = false;
  first.sequenceIndex = 1;
  const BatchRow of_second = OnlyRow(first);
  EXPECT_EQ(of_second.sequence, 1u);
  EXPECT_EQ(of_second.flags, ROW_SEQUENCE_FINAL);
  const BatchRow of_first = OnlyRow(Final({6}, tle::FinishReason::kLENGTH));
  EXPECT_EQ(of_first.sequence, 0u);
  EXPECT_EQ(of_first.flags, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
}

TEST_F(ResponsesTest, DropWhatComesForASequenceThatHasEnded) {
  pending_.sequences.resize(2);
  tle::Result result = Final({5}, tle::FinishReason::kLENGTH);
  result.isFinal = false;
  Rows(result);
  EXPECT_TRUE(Rows(Delta({6})).empty());
}

TEST_F(ResponsesTest, ReplaceTheTokensOfEachBeam) {
  pending_.replaces_tokens = pending_.logprobs = true;
  pending_.sequences.resize(2);
  tle::Result result = Delta({5, 6});
  result.outputTokenIds.push_back({5, 7});
  result.logProbs = std::vector<tle::VecLogProbs>{{-1, -2}, {-1, -3}};
  for (int i = 0; i < 2; ++i) {
    const std::vector<BatchRow> rows = Rows(result);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[1].sequence, 1u);
    EXPECT_EQ(rows[1].flags, ROW_REPLACES_TOKENS);
    EXPECT_EQ(rows[1].tokens, std::vector<int32_t>({5, 7}));
    EXPECT_EQ(rows[1].logprobs, std::vector<float>({-1, -3}));
  }
}

#if STAND_IN_1_2
TEST_F(ResponsesTest, CountNoMoreCachedTokensThanCanBe) {
  tle::Result result = Delta({5});
  result.requestPerfMetrics.emplace().kvCacheMetrics.numReusedBlocks = 1;  // of 32 tokens; the prompt has 2
  EXPECT_EQ(OnlyRow(result).details->numbers.cached_tokens, 1u);
}

TEST_F(ResponsesTest, LeaveACancelledBeamWhatItHad) {
  pending_.replaces_tokens = true;
  EXPECT_EQ(OnlyRow(Delta({5, 6})).flags, ROW_REPLACES_TOKENS);
  const BatchRow row = OnlyRow(Final({}, tle::FinishReason::kCANCELLED));
  EXPECT_EQ(row.flags, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  EXPECT_EQ(row.finish, FINISH_CANCELLED);
}
#endif

TEST_F(ResponsesTest, GiveTheBeamsThatWereAskedFor) {
  tle::Result result = Final({5}, tle::FinishReason::kLENGTH);
  result.outputTokenIds.push_back({6});
  const BatchRow row = OnlyRow(result);
  EXPECT_EQ(row.tokens, std::vector<int32_t>({5}));
  EXPECT_TRUE(row.flags & ROW_REQUEST_FINAL);
}

TEST_F(ResponsesTest, MakeTopLogprobsOfTheLogits) {
  pending_.logprobs = true;
  pending_.top_logprobs = 2;
  tle::Result result = Delta({5, 9});
  result.generationLogits = LogitsWith({2, 1, 259}, {5, 8}, 3);
  const BatchRow row = OnlyRow(result);
  ASSERT_EQ(row.top_logprobs.size(), 2u);
  EXPECT_EQ(row.top_logprobs[0][0].token, 5);
  EXPECT_EQ(row.top_logprobs[0][1].token, 0);
  EXPECT_EQ(row.top_logprobs[1][0].token, 8);
  EXPECT_NEAR(row.top_logprobs[1][0].logprob, 3 - std::log(std::exp(3.0) + 258), 1e-6);
  EXPECT_EQ(row.details->generation_logits.size(), 0u);
}

TEST_F(ResponsesTest, LeaveOutTheColumnsThatFillTheLogitsUp) {
  engine_.tensor_parallel_size = 2;
  pending_.generation_logits = true;
  tle::Result result = Delta({5});
  result.generationLogits = LogitsWith({1, 1, 260}, {259}, 9);
  const BatchRow row = OnlyRow(result);
  EXPECT_EQ(row.details->generation_logits, std::vector<float>(259, 0));
}

TEST_F(ResponsesTest, FindTheLogitsOfABeamInAWholeRequests) {
  pending_.streaming = false;
  pending_.generation_logits = true;
  pending_.sequences.resize(2);
  tle::Result result = Final({5}, tle::FinishReason::kLENGTH);
  result.outputTokenIds.push_back({6});
  result.generationLogits = LogitsWith({2, 3, 259}, {50, 51, 52, 60, 61, 62}, 1);  // [beams, max_tokens]
  const std::vector<BatchRow> rows = Rows(result);
  EXPECT_EQ(rows[0].details->generation_logits[50], 1);
  EXPECT_EQ(rows[1].details->generation_logits[60], 1);
  EXPECT_EQ(rows[1].details->generation_logits.size(), 259u);
}

TEST_F(ResponsesTest, GiveThePromptsLogprobsOnceEachFromTheLogitsBefore) {
  pending_.prompt = {4, 6};
  pending_.prompt_logprobs = true;
  pending_.top_prompt_logprobs = 1;
  tle::Result result = Delta({5});
  result.contextLogits = LogitsWith({2, 259}, {6, 5}, 2);
  const BatchRow row = OnlyRow(result);
  ASSERT_EQ(row.details->prompt_logprobs.size(), 2u);
  EXPECT_TRUE(std::isnan(row.details->prompt_logprobs[0]));
  EXPECT_NEAR(row.details->prompt_logprobs[1], 2 - std::log(std::exp(2.0) + 258), 1e-6);
  EXPECT_EQ(row.details->prompt_top_tokens, std::vector<int32_t>({-1, 6}));
  const BatchRow second = OnlyRow(result);
  EXPECT_EQ(second.details, nullptr);
}

TEST_F(ResponsesTest, GiveNoPromptLogprobBeforeTheStart) {
  pending_.prompt_tokens = 3;
  pending_.prompt = {4, 6, 5};
  pending_.prompt_logprobs = true;
  pending_.top_prompt_logprobs = 1;
  pending_.prompt_logprobs_start = 2;
  tle::Result result = Delta({5});
  result.contextLogits = LogitsWith({3, 259}, {6, 5, 7}, 2);
  const BatchRow row = OnlyRow(result);
  ASSERT_EQ(row.details->prompt_logprobs.size(), 3u);
  EXPECT_TRUE(std::isnan(row.details->prompt_logprobs[1]));
  EXPECT_NEAR(row.details->prompt_logprobs[2], 2 - std::log(std::exp(2.0) + 258), 1e-6);
  EXPECT_EQ(row.details->prompt_top_tokens, std::vector<int32_t>({-1, -1, 5}));
}

TEST_F(ResponsesTest, FailWhereTheLogitsOfACachedPromptAreMissing) {
  pending_.context_logits = true;
  tle::Result result = Delta({5});
  result.contextLogits = LogitsWith({1, 259}, {5}, 2);
  EXPECT_EQ(FailureOfCall([&] { Rows(result); }).code(), EXECUTOR_UNSUPPORTED);
}

}  // namespace
}  // namespace adapter
