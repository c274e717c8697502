// Guided requests over a runner whose results come one or two steps late. Skipped where libguidance.so is not built.
#include <gtest/gtest.h>

#include <algorithm>

#include "guided_vocabulary.h"
#include "late_runner.h"
#include "table_client.h"

namespace embedded {
namespace {

class LateGuides : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    script_.max_steps_in_flight = GetParam();
    script = &script_;
    DefaultModel().Write(directory_.path());
    client_ = std::make_unique<TableClient>(directory_.path(), LateTable(),
                                            [this](ExecutorConfig* config) { config->guided_decoding = &config_; });
    if (client_->code() == EXECUTOR_UNAVAILABLE) GTEST_SKIP() << client_->message();
    ASSERT_EQ(client_->code(), EXECUTOR_OK) << client_->message();
  }
  void TearDown() override {
    client_.reset();
    script = nullptr;
  }

  TestRequest Guided(uint64_t id, const char* regex, uint32_t sequences = 1) {
    TestRequest request(id, {1, 2, 3}, 200);
    request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
    request.sampling.n = sequences;
    request.sampling.seed = id;
    request.end_ids = {kEnd};
    guided_ = {GUIDE_REGEX, regex};
    request.request.guided = &guided_;
    return request;
  }
  void ExpectFollowed(const TestSequence& sequence) {
    EXPECT_EQ(sequence.finish, FINISH_END_ID);
    const std::string text = GuidedText(sequence.tokens);
    ASSERT_EQ(text.size(), 30u) << text;
    for (size_t i = 0; i < text.size(); ++i) EXPECT_EQ(text[i], i % 2 == 0 ? 'a' : text[i] == 'b' ? 'b' : 'c') << text;
  }
  static constexpr char kPattern[] = "(a[bc]){15}";

  LateRunnerScript script_;
  TemporaryDirectory directory_;
  ExecutorGuidedDecodingConfig config_ = GuidedConfig();
  ExecutorGuided guided_{};
  std::unique_ptr<TableClient> client_;
};
INSTANTIATE_TEST_SUITE_P(StepsInFlight, LateGuides, testing::Values(1, 2, 3));

TEST_P(LateGuides, StepsAreSubmittedAheadAndDrawnWhenTheTokenBeforeIsKnown) {
  ExpectFollowed(client_->Run(Guided(1, kPattern)).sequences.at(0));
  const std::vector<std::string>& events = script_.events;
  if (GetParam() == 1) {
    EXPECT_EQ(std::count(events.begin(), events.end(), "draw 1"), 0);
    return;
  }
  const std::vector<std::string> begin{"submit 0", "submit 1",  "collect 0", "draw 1",
                                       "submit 2", "collect 1", "draw 2"};
  ASSERT_GE(events.size(), begin.size());
  EXPECT_EQ(std::vector<std::string>(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(begin.size())),
            begin);
}

TEST_P(LateGuides, SequencesOfOneRequestAndOthersBesideItGetWhatTheyGetAlone) {
  TestRequest plain(50, {4, 5, 6}, 40);
  plain.sampling.set |= SAMPLING_SEED;
  plain.sampling.seed = 50;
  const std::vector<int32_t> alone = client_->Run(plain).tokens;
  TestRequest guided = Guided(1, kPattern, 4);
  plain.id = 51;
  ASSERT_EQ(client_->Submit({&guided, &plain}), EXECUTOR_OK);
  client_->WaitForEnds(3);
  EXPECT_EQ(client_->results[51].tokens, alone);
  ASSERT_EQ(client_->results[1].sequences.size(), 4u);
  for (const auto& [index, sequence] : client_->results[1].sequences) ExpectFollowed(sequence);
  EXPECT_EQ(client_->stats().kv_blocks_used, 0u);
}

TEST_P(LateGuides, ACancelWhileDrawsAreHeldEndsTheRequestAlone) {
  script_.holds_at_collect = 5;
  TestRequest guided = Guided(1, kPattern), other = Guided(2, kPattern);
  ASSERT_EQ(client_->Submit({&guided, &other}), EXECUTOR_OK);
  while (client_->results[1].tokens.size() < 4) ASSERT_EQ(client_->WaitOnce(), EXECUTOR_OK);
  client_->Cancel(1);
  script_.Release();
  client_->WaitForEnds(2);
  EXPECT_EQ(client_->results[1].finish, FINISH_CANCELLED);
  ExpectFollowed(client_->results[2].sequences.at(0));
}

}  // namespace
}  // namespace embedded
