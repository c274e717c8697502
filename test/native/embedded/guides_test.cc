// Guided output through the executor's table, over a vocabulary of bytes. Skipped where libguidance.so is not built.
#include "native/embedded/guides.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "guided_vocabulary.h"
#include "table_client.h"
#include "thread_limit.h"

namespace embedded {
namespace {

// It takes a while to compile.
std::string LargeGrammar() {
  std::string grammar = "start: ";
  for (int i = 0; i < 3000; ++i) grammar += "\"" + std::to_string(i) + "\" | ";
  return grammar + "\"x\"";
}

class GuidesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (client_.code() == EXECUTOR_UNAVAILABLE) GTEST_SKIP() << client_.message();
    ASSERT_EQ(client_.code(), EXECUTOR_OK) << client_.message();
  }

  // Random draws.
  TestRequest Guided(uint64_t id, ExecutorGuide kind, const char* text, uint32_t sequences = 1) {
    TestRequest request(id, {1, 2, 3}, 200);
    request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
    request.sampling.n = sequences;
    request.sampling.temperature = 2;
    request.sampling.seed = id;
    request.end_ids = {kEnd};
    guided_ = {kind, text};
    request.request.guided = &guided_;
    return request;
  }

  ExecutorGuidedDecodingConfig config_ = GuidedConfig();
  ExecutorGuided guided_{};
  TableClient client_{DefaultModel(), [this](ExecutorConfig* config) { config->guided_decoding = &config_; }};
};

TEST_F(GuidesTest, OutputsMatchTheirGrammarAndEndWithIt) {
  EXPECT_TRUE(client_.info().capabilities & CAN_GUIDED);
  EXPECT_EQ(client_.info().guided_after_reasoning, 1u);
  for (uint64_t id = 1; id <= 5; ++id) {
    const TestResult result = client_.Run(Guided(id, GUIDE_REGEX, "(yes|no), [0-9]{3}"));
    EXPECT_EQ(result.finish, FINISH_END_ID);
    const std::string text = GuidedText(result.tokens);
    EXPECT_TRUE(text.rfind("yes, ", 0) == 0 || text.rfind("no, ", 0) == 0) << text;
    EXPECT_TRUE(text.size() == 7 || text.size() == 8) << text;
  }
}

TEST_F(GuidesTest, EverySequenceOfARequestHasAPlaceOfItsOwn) {
  const TestResult result = client_.Run(Guided(1, GUIDE_GRAMMAR, "start: /[a-z]/ /[a-z]/ /[a-z]/ \"!\"", 4));
  ASSERT_EQ(result.sequences.size(), 4u);
  for (const auto& [index, sequence] : result.sequences) {
    EXPECT_EQ(sequence.finish, FINISH_END_ID) << index;
    EXPECT_EQ(GuidedText(sequence.tokens).size(), 4u) << index;
    EXPECT_EQ(GuidedText(sequence.tokens).back(), '!') << index;
  }
  EXPECT_NE(result.sequences.at(0).tokens, result.sequences.at(1).tokens);
}

// The token that the vocabulary has for a character.
int32_t TokenOf(char c) { return c - ' '; }

class ReasoningGuidesTest : public GuidesTest {
 protected:
  // Of an output whose reasoning ends with `end`; `likely` is drawn wherever it may be.
  TestResult RunWith(std::vector<int32_t> begins, const char* end, char likely) {
    TestRequest request = Guided(1, GUIDE_REGEX, "[ab]{3}");
    ExecutorReasoning reasoning{};
    reasoning.size = sizeof(reasoning);
    reasoning.begins = begins.data();
    reasoning.begin_count = static_cast<uint32_t>(begins.size());
    reasoning.ends = &end;
    reasoning.end_count = 1;
    request.request.reasoning = &reasoning;
    const int32_t token = TokenOf(likely);
    const float bias = 100;
    request.request.logit_bias = {&token, &bias, 1};
    return client_.Run(request);
  }
};

TEST_F(ReasoningGuidesTest, TheGrammarHoldsBehindReasoningThatThePromptHasBegun) {
  const TestResult result = RunWith({}, "xx", 'x');
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(GuidedText(result.tokens).substr(0, 2), "xx");
  EXPECT_EQ(GuidedText(result.tokens).find_first_not_of("ab", 2), std::string::npos);
  EXPECT_EQ(result.tokens.size(), 5u);
}

TEST_F(ReasoningGuidesTest, TheGrammarHoldsBehindReasoningThatTheOutputBegins) {
  const TestResult result = RunWith({TokenOf('<'), TokenOf('x')}, "xx", 'x');
  EXPECT_EQ(result.finish, FINISH_END_ID);
  EXPECT_EQ(GuidedText(result.tokens).substr(0, 3), "xxx");
  EXPECT_EQ(result.tokens.size(), 6u);
}

TEST_F(ReasoningGuidesTest, TheGrammarHoldsAtOnceWhereTheOutputBeginsNoReasoning) {
  const TestResult result = RunWith({TokenOf('<')}, "xx", 'x');
  EXPECT_EQ(result.finish, FINISH_END_ID);
  const std::string text = GuidedText(result.tokens);
  if (text[0] == '<') GTEST_SKIP() << "the model has drawn it";
  EXPECT_EQ(text.find_first_not_of("ab"), std::string::npos) << text;
  EXPECT_EQ(text.size(), 3u);
}

TEST_F(ReasoningGuidesTest, AReasoningWithoutAnEndIsRefused) {
  TestRequest request = Guided(1, GUIDE_REGEX, "a");
  ExecutorReasoning reasoning{};
  reasoning.size = sizeof(reasoning);
  request.request.reasoning = &reasoning;
  EXPECT_EQ(client_.Submit(request), EXECUTOR_INVALID_OPTION);
  EXPECT_STREQ(client_.error().field, "reasoning.ends");
}

TEST_F(GuidesTest, RequestsWithAndWithoutRunSideBySide) {
  TestRequest plain(50, {1, 2, 3}, 20);
  const std::vector<int32_t> alone = client_.Run(plain).tokens;
  TestRequest guided = Guided(1, GUIDE_REGEX, "[ab]{20}");
  plain.id = 51;
  ASSERT_EQ(client_.Submit({&guided, &plain}), EXECUTOR_OK);
  client_.WaitForEnds(3);
  EXPECT_EQ(client_.results[51].tokens, alone);
  for (const char c : GuidedText(client_.results[1].tokens)) EXPECT_TRUE(c == 'a' || c == 'b') << c;
}

TEST_F(GuidesTest, AGrammarThatCannotBeFollowedFailsItsRequestAlone) {
  const struct {
    ExecutorGuide kind;
    const char* text;
  } cases[] = {{GUIDE_REGEX, "("},
               {GUIDE_JSON_SCHEMA, "{"},
               {GUIDE_JSON_SCHEMA, R"({"type": "nothing"})"},
               {GUIDE_GRAMMAR, "start: nowhere"},
               {GUIDE_STRUCTURAL_TAG, R"({"structures": [], "triggers": ["<"]})"}};
  uint64_t id = 1;
  for (const auto& bad : cases) {
    const TestResult result = client_.Run(Guided(id++, bad.kind, bad.text));
    EXPECT_EQ(result.finish, FINISH_ERROR) << bad.text;
    ASSERT_TRUE(result.error.has_value());
    EXPECT_EQ(result.error->code, EXECUTOR_INVALID_OPTION) << bad.text;
    EXPECT_STREQ(result.error->field, "guided");
  }
  EXPECT_EQ(client_.Run(TestRequest(100)).finish, FINISH_LENGTH);
}

TEST_F(GuidesTest, ARequestMayBeCancelledWhileItsGrammarIsCompiled) {
  const std::string large = LargeGrammar();
  for (uint64_t id = 1; id <= 5; ++id) {
    ASSERT_EQ(client_.Submit(Guided(id, GUIDE_GRAMMAR, large.c_str())), EXECUTOR_OK);
    client_.Cancel(id);
  }
  client_.WaitForEnds(5);
  EXPECT_EQ(client_.results[5].finals, 1);
  EXPECT_EQ(client_.Run(Guided(6, GUIDE_REGEX, "ab")).finish, FINISH_END_ID);
}

TEST_F(GuidesTest, ATimeLimitHoldsWhileTheGrammarIsCompiledToo) {
  const std::string large = LargeGrammar();
  for (uint64_t id = 1; id <= 3; ++id) {
    TestRequest request = Guided(id, GUIDE_GRAMMAR, large.c_str());
    request.request.set |= REQUEST_TIMEOUT;
    request.request.timeout_ms = 1;
    ASSERT_EQ(client_.Submit(request), EXECUTOR_OK);
  }
  client_.WaitForEnds(3);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(client_.results[id].finish, FINISH_TIMEOUT) << id;
  EXPECT_EQ(client_.Run(Guided(4, GUIDE_REGEX, "ab")).finish, FINISH_END_ID);
}

TEST_F(GuidesTest, AStructuralTagConstrainsWhatFollowsItsTriggerAlone) {
  const TestResult result = client_.Run(
      Guided(1, GUIDE_STRUCTURAL_TAG,
             R"({"structures": [{"begin": "E=", "schema": {"type": "boolean"}, "end": ";"}], "triggers": ["E"]})"));
  const std::string text = GuidedText(result.tokens);
  size_t tags = 0;
  for (size_t at = text.find('E'); at != std::string::npos; at = text.find('E', at + 1)) {
    const std::string rest = text.substr(at);
    if (rest.size() < 8) break;  // cut by the length
    const bool is_true = rest.rfind("E=true;", 0) == 0;
    EXPECT_TRUE(is_true || rest.rfind("E=false;", 0) == 0) << rest;
    at += is_true ? 6 : 7;
    ++tags;
  }
  EXPECT_GT(tags, 0u) << text;
}

TEST_F(GuidesTest, WhereNoThreadCanBeStartedARequestFailsAlone) {
  {
    const ThreadLimit limit(0);
    EXPECT_EQ(client_.Submit(Guided(1, GUIDE_REGEX, "ab")), EXECUTOR_UNAVAILABLE) << "none compiles";
  }
  {
    const ThreadLimit limit(1);
    const TestResult result = client_.Run(Guided(2, GUIDE_REGEX, "ab"));
    ASSERT_TRUE(result.error.has_value()) << "none computes masks";
    EXPECT_EQ(result.error->code, EXECUTOR_UNAVAILABLE);
  }
  EXPECT_EQ(client_.Run(TestRequest(3)).finish, FINISH_LENGTH);
  EXPECT_EQ(client_.Run(Guided(4, GUIDE_REGEX, "ab")).finish, FINISH_END_ID);
}

TEST_F(GuidesTest, WithoutEndIdsItIsRefused) {
  TestRequest request = Guided(1, GUIDE_JSON, nullptr);
  request.end_ids.clear();
  EXPECT_EQ(client_.Submit(request), EXECUTOR_INVALID_OPTION);
  EXPECT_STREQ(client_.error().field, "guided");
}

TEST(Guides, AreRefusedWhereTheEngineWasLoadedWithoutThem) {
  TableClient client(DefaultModel());
  EXPECT_FALSE(client.info().capabilities & CAN_GUIDED);
  EXPECT_EQ(client.info().guided_after_reasoning, 0u);
  ExecutorGuided guided{GUIDE_JSON, nullptr};
  TestRequest request(1);
  request.end_ids = {kEnd};
  request.request.guided = &guided;
  EXPECT_EQ(client.Submit(request), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(client.error().field, "guided");
}

TEST(Guides, AnotherBackendIsRefusedByName) {
  ExecutorGuidedDecodingConfig config = GuidedConfig();
  config.backend = GUIDED_BACKEND_XGRAMMAR;
  const TableClient client(DefaultModel(), [&](ExecutorConfig* given) { given->guided_decoding = &config; });
  EXPECT_EQ(client.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(client.error().field, "guided_decoding");
}

}  // namespace
}  // namespace embedded
