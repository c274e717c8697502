// What a request changes about its logits, beside Hugging Face's logits processors and generate()
// (scripts/make-logits-processor-goldens.py), and what of it reaches the request's rows.
#include "native/embedded/cpu/logits_processors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "../../paths.h"
#include "../golden_request.h"
#include "native/embedded/request.h"

namespace embedded::cpu {
namespace {

const std::string kEngine = FromProgram(GOLDENS "/logits-processors");
constexpr float kForbidden = -std::numeric_limits<float>::infinity();

element Golden() {
  static simdjson::dom::parser parser;
  static const element golden = parser.load(kEngine + "/processors.golden.json");
  return golden;
}

// A greedy request that writes something else than the model alone would.
AskedRequest PenalizedRequest(uint64_t id) {
  AskedRequest request(id, {7, 7, 20, 3}, 40);
  request.sampling.set |= SAMPLING_REPETITION_PENALTY | SAMPLING_FREQUENCY_PENALTY | SAMPLING_NO_REPEAT_NGRAM_SIZE;
  request.sampling.repetition_penalty = 1.2f;
  request.sampling.frequency_penalty = 0.4f;
  request.sampling.no_repeat_ngram_size = 2;
  return request;
}

TEST(LogitsProcessors, GiveTheLogitsOfHuggingFacesAloneAndTogether) {
  std::vector<std::vector<float>> rows;
  for (const element row : Golden()["rows"].get_array()) rows.push_back(Logits(row));
  const int vocab_size = static_cast<int>(rows[0].size());
  Limits limits{};
  limits.max_input_len = limits.max_seq_len = 1000;
  limits.max_batch_size = 1;
  LogitsProcessors processors(vocab_size);  // one for all: nothing of a case may stay behind
  for (const element one : Golden()["processed"].get_array()) {
    SCOPED_TRACE(simdjson::minify(one["asked"]) + " after " + simdjson::minify(one["history"]));
    const std::vector<int32_t> history = Tokens(one["history"]);
    const std::vector<float>& logits = rows[one["row"].get_uint64()];
    AskedRequest asked(1, {history.begin(), history.end() - one["new_tokens"].get_int64()}, 1000);
    Ask(one["asked"], &asked);
    const SamplingParams params = MakeRequest(*asked.Wire().Get(), limits, vocab_size)->sampling;
    const float* processed = processors.Apply(logits.data(), params.processors, history);
    const std::vector<float> expected = Logits(one["logits"]);
    for (size_t token = 0; token < expected.size(); ++token)
      if (expected[token] == kForbidden || expected[token] == logits[token])
        ASSERT_EQ(processed[token], expected[token]) << "token " << token;
      else
        ASSERT_NEAR(processed[token], expected[token], 2e-6) << "token " << token;
  }
}

TEST(LogitsProcessors, LeaveTheLogitsWhereTheyAreIfNothingIsAsked) {
  const std::vector<float> logits{1, 2, 3};
  EXPECT_EQ(LogitsProcessors(3).Apply(logits.data(), {}, {0, 1}), logits.data());
}

TEST(LogitsProcessors, TheExecutorWritesWhatHuggingFacesGenerateWrites) {
  TableClient client(kEngine);
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  for (const element one : Golden()["generated"].get_array()) {
    SCOPED_TRACE(simdjson::minify(one["asked"]) + " after " + simdjson::minify(one["prompt"]));
    AskedRequest request(1, Tokens(one["prompt"]), 32);
    Ask(one["asked"], &request);
    const TestResult result = client.Run(request.Wire());
    EXPECT_EQ(result.tokens, Tokens(one["tokens"]));
    EXPECT_EQ(result.finish, std::string_view(one["finish"]) == "length" ? FINISH_LENGTH : FINISH_END_ID);
  }
}

TEST(LogitsProcessors, ARequestWritesTheSameBesideOthersThatAskForOtherThings) {
  TableClient client(kEngine);
  const std::vector<int32_t> alone = client.Run(PenalizedRequest(1).Wire()).tokens;
  std::vector<AskedRequest> requests;
  for (uint64_t id = 0; id < 20; ++id) {
    requests.push_back(PenalizedRequest(id));
    if (id % 2 == 1) requests.back().sampling.frequency_penalty = 0.1f * static_cast<float>(id);
    if (id % 3 == 1) requests.back().sampling.set = SAMPLING_TEMPERATURE;
  }
  std::vector<TestRequest*> pointers;
  for (AskedRequest& request : requests) pointers.push_back(&request.Wire());
  ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
  client.WaitForEnds(21);
  for (uint64_t id = 0; id < 20; id += 6) EXPECT_EQ(client.results[id].tokens, alone);
  EXPECT_NE(client.results[1].tokens, alone);
}

TEST(LogitsProcessors, LogprobsAndLogitsStayThoseOfTheModel) {
  TableClient client(kEngine);
  AskedRequest request = PenalizedRequest(1);
  request.output.flags = OUTPUT_LOGPROBS | OUTPUT_RETURN_GENERATION_LOGITS;
  request.output.top_logprobs = 1;
  const TestResult result = client.Run(request.Wire());
  AskedRequest teacher(2, request.tokens, 1);  // the same tokens as a prompt
  teacher.tokens.insert(teacher.tokens.end(), result.tokens.begin(), result.tokens.end());
  teacher.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const std::vector<float> model_logits = client.Run(teacher).context_logits;

  const size_t vocab_size = client.info().vocab_size;
  const std::vector<float> expected(
      model_logits.begin() + static_cast<std::ptrdiff_t>((request.tokens.size() - 1) * vocab_size),
      model_logits.end() - static_cast<std::ptrdiff_t>(vocab_size));
  EXPECT_EQ(result.generation_logits, expected);
  int not_the_likeliest = 0;
  for (size_t i = 0; i < result.tokens.size(); ++i) {
    const float* row = expected.data() + i * vocab_size;
    const double sum = std::accumulate(row, row + vocab_size, 0.0,
                                       [](double so_far, float logit) { return so_far + std::exp(double{logit}); });
    EXPECT_NEAR(result.logprobs[i], row[result.tokens[i]] - std::log(sum), 1e-4);
    EXPECT_EQ(result.top[i].first, std::max_element(row, row + vocab_size) - row);
    if (result.top[i].first != result.tokens[i]) ++not_the_likeliest;
  }
  EXPECT_GT(not_the_likeliest, 0) << "what was asked changed nothing";
}

TEST(LogitsProcessors, ATokenRuledOutIsNeverDrawnAtAnyTemperature) {
  TableClient client(kEngine);
  const std::set<int32_t> allowed{4, 11, 40, 77, 90};
  std::set<int32_t> drawn;
  for (const float temperature : {0.0f, 1.0f, 100.0f}) {
    AskedRequest request(1, {1, 2, 3}, 200);
    request.sampling.temperature = temperature;
    for (int32_t token = 0; token < static_cast<int32_t>(client.info().vocab_size); ++token)
      if (allowed.count(token) == 0) request.bad_tokens.lists.push_back({token});
    const TestResult result = client.Run(request.Wire());
    EXPECT_EQ(result.tokens.size(), 200u);
    drawn.insert(result.tokens.begin(), result.tokens.end());
  }
  EXPECT_EQ(drawn, allowed);
}

TEST(LogitsProcessors, ARequestThatRulesOutEveryTokenFailsAndSaysSo) {
  for (const float temperature : {0.0f, 1.0f}) {
    TableClient client(kEngine);
    AskedRequest request(1, {1, 2, 3}, 200);
    request.sampling.temperature = temperature;
    request.sampling.set |= SAMPLING_NO_REPEAT_NGRAM_SIZE;
    request.sampling.no_repeat_ngram_size = 1;
    const TestResult result = client.Run(request.Wire());
    EXPECT_EQ(result.tokens.size(), client.info().vocab_size - 3) << "each token once";
    EXPECT_EQ(result.finish, FINISH_ERROR);
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->code, EXECUTOR_INVALID_OPTION);
    EXPECT_NE(std::string(result.error->message).find("n-gram rule"), std::string::npos) << result.error->message;
    EXPECT_EQ(client.Run(TestRequest(2)).tokens.size(), 8u) << "the executor goes on";
  }
}

TEST(LogitsProcessors, SayWhatTheyCanDo) {
  const TableClient client(kEngine);
  const uint64_t expected = CAN_PENALTIES | CAN_OUTPUT_PENALTIES | CAN_NO_REPEAT_NGRAM_SIZE | CAN_LOGIT_BIAS |
                            CAN_MIN_TOKENS | CAN_BAD_TOKENS;
  EXPECT_EQ(client.info().capabilities & expected, expected);
}

}  // namespace
}  // namespace embedded::cpu
