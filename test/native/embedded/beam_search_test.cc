// Which outputs a search finds, beside generate() of Hugging Face transformers (scripts/make-beam-goldens.py) over a table
// of logits in place of a model: those after token t at position p are row (t + 7 p) of it.
#include "native/embedded/beam_search.h"

#include <cmath>

#include "../paths.h"
#include "golden_request.h"
#include "native/executor/cpp/logprobs.h"

namespace embedded {
namespace {

constexpr auto kGoesOn = [](size_t, int32_t) { return FINISH_NONE; };

BeamSearchParams ParamsOf(const AskedRequest& asked) {
  const ExecutorSampling& sampling = asked.sampling;
  const size_t ends = std::max<size_t>(2, asked.end_ids.size() + 1);
  return {sampling.beam_width, sampling.beam_width * ends, asked.request.max_tokens, sampling.length_penalty,
          sampling.early_stopping == 0   ? EarlyStopping::kWhenBetterIsUnlikely
          : sampling.early_stopping == 1 ? EarlyStopping::kAtOnce
                                         : EarlyStopping::kWhenBetterIsImpossible};
}

bool EndsWith(const std::vector<int32_t>& tokens, const std::vector<int32_t>& word) {
  return tokens.size() >= word.size() && std::equal(word.rbegin(), word.rend(), tokens.rbegin());
}

// A search over the table.
struct TableSearch {
  explicit TableSearch(const std::vector<std::vector<float>>& logits, const AskedRequest& asked)
      : logits(logits), asked(asked), search(ParamsOf(asked)), beams(asked.sampling.beam_width) {}

  std::vector<BeamCandidate> CandidatesAfter(const std::vector<int32_t>& beam) {
    const size_t token = static_cast<size_t>(beam.empty() ? asked.tokens.back() : beam.back());
    std::vector<float> row = logits[(token + 7 * (asked.tokens.size() + beam.size() - 1)) % logits.size()];
    const double log_sum = executor::LogSumExp(row.data(), static_cast<int>(row.size()));
    if (asked.sampling.set & SAMPLING_MIN_TOKENS && beam.size() < asked.sampling.min_tokens)
      for (const int32_t end_id : asked.end_ids) row[static_cast<size_t>(end_id)] = -INFINITY;
    std::vector<executor::TokenLogprob> scratch;
    std::vector<BeamCandidate> candidates;
    for (const auto& top : executor::TopLogprobs(row.data(), static_cast<int>(row.size()), 100, log_sum, &scratch))
      if (std::isfinite(top.logprob)) candidates.push_back({top.token, top.logprob, top.logprob});
    return candidates;
  }

  void Run() {
    while (!search.done()) {
      std::vector<std::vector<BeamCandidate>> candidates;
      for (const std::vector<int32_t>& beam : beams) candidates.push_back(CandidatesAfter(beam));
      search.Advance(candidates, [&](size_t beam, int32_t token) {
        std::vector<int32_t> tokens = beams[beam];
        tokens.push_back(token);
        const auto& ends = asked.end_ids;
        if (std::find(ends.begin(), ends.end(), token) != ends.end()) return FINISH_END_ID;
        for (const auto& word : asked.stop_tokens.lists)
          if (EndsWith(tokens, word)) return FINISH_STOP_TOKENS;
        return tokens.size() == asked.request.max_tokens ? FINISH_LENGTH : FINISH_NONE;
      });
      if (search.done()) break;
      std::vector<std::vector<int32_t>> next;
      for (size_t beam = 0; beam < beams.size(); ++beam) {
        next.push_back(beams[search.choices()[beam].from]);
        next.back().push_back(search.choices()[beam].candidate.token);
      }
      beams = next;
    }
  }

  std::vector<int32_t> TokensOf(const BeamSearch::FoundOutput& found) {
    std::vector<int32_t> tokens;
    for (const BeamSearch::Choice& choice : search.PathTo(found)) tokens.push_back(choice.candidate.token);
    return tokens;
  }

  const std::vector<std::vector<float>>& logits;
  const AskedRequest& asked;
  BeamSearch search;
  std::vector<std::vector<int32_t>> beams;  // their tokens
};

TEST(BeamSearch, FindsTheOutputsAndScoresOfTransformers) {
  simdjson::dom::parser parser;
  const element golden = parser.load(FromProgram(GOLDENS "/logits-processors/beams.golden.json"));
  std::vector<std::vector<float>> logits;
  for (const element row : golden["table"].get_array()) logits.push_back(Logits(row));
  int cases = 0;
  for (const element one : golden["cases"].get_array()) {
    if (std::string_view(one["model"]) != "table") continue;
    SCOPED_TRACE(simdjson::minify(one["asked"]) + " after " + simdjson::minify(one["prompt"]));
    AskedRequest asked(1, Tokens(one["prompt"]));
    Ask(one["asked"], &asked);
    TableSearch table(logits, asked);
    table.Run();
    const auto& found = table.search.found();
    size_t i = 0;
    for (const element output : one["outputs"].get_array()) {
      ASSERT_LT(i, found.size());
      std::vector<int32_t> expected = Tokens(output["tokens"]);
      if (!output["end_id"].is_null()) expected.push_back(Token(output["end_id"]));
      EXPECT_EQ(table.TokensOf(found[i]), expected) << "output " << i;
      EXPECT_EQ(found[i].finish == FINISH_END_ID, !output["end_id"].is_null()) << "output " << i;
      EXPECT_NEAR(found[i].score, double(output["score"]), 2e-5) << "output " << i;
      ++i;
    }
    EXPECT_EQ(found.size(), i);
    ++cases;
  }
  EXPECT_GT(cases, 50);
}

TEST(BeamSearch, ABeamKeepsItsNumberWhileOneOfItsCandidatesGoesOn) {
  BeamSearch search({3, 6, 10});
  search.Advance({{{10, -1, -1}, {11, -2, -2}, {12, -3, -3}}, {}, {}}, kGoesOn);
  // Beams 0 to 2 have scores -1, -2 and -3. The third goes on twice, the first not at all.
  search.Advance({{{20, -9, -9}}, {{21, -1, -1}}, {{22, -0.5f, -0.5f}, {23, -1, -1}}}, kGoesOn);
  const BeamSearch::Choice* const choices = search.choices();
  EXPECT_EQ(choices[1].from, 1u);
  EXPECT_EQ(choices[1].candidate.token, 21);
  EXPECT_EQ(choices[2].from, 2u);
  EXPECT_EQ(choices[2].candidate.token, 22) << "the likelier of its candidates";
  EXPECT_EQ(choices[0].from, 2u) << "the number of the beam that ended here";
  EXPECT_EQ(choices[0].candidate.token, 23);
}

TEST(BeamSearch, ABeamThatNothingFollowsCopiesAnotherAndIsNotLookedAt) {
  BeamSearch search({3, 6, 10});
  search.Advance({{{10, -1, -1}}, {}, {}}, kGoesOn);  // the logits processors forbid all others
  for (size_t beam = 0; beam < 3; ++beam) EXPECT_EQ(search.choices()[beam].candidate.token, 10);
  search.Advance({{{20, -1, -1}, {21, -2, -2}}, {{22, -0.1f, -0.1f}}, {{23, -0.1f, -0.1f}}}, kGoesOn);
  EXPECT_EQ(search.choices()[0].candidate.token, 20);
  EXPECT_EQ(search.choices()[1].candidate.token, 21);
  EXPECT_EQ(search.choices()[1].from, 0u);
}

TEST(BeamSearch, EndsWithFewerOutputsWhereNothingGoesOn) {
  BeamSearch search({4, 8, 10});
  search.Advance({{{10, -1, -1}, {11, -2, -2}}, {}, {}, {}}, [](size_t, int32_t) { return FINISH_END_ID; });
  EXPECT_TRUE(search.done());
  EXPECT_EQ(search.found().size(), 2u);
}

TEST(BeamSearch, StartsAgainAsIfNothingHadBeen) {
  BeamSearch search({2, 4, 10});
  const std::vector<std::vector<BeamCandidate>> first{{{10, -1, -1}, {11, -2, -2}}, {}};
  search.Advance(first, [](size_t, int32_t token) { return token == 11 ? FINISH_END_ID : FINISH_NONE; });
  EXPECT_EQ(search.found().size(), 1u);
  search.Start();
  EXPECT_EQ(search.steps(), 0u);
  EXPECT_TRUE(search.found().empty());
  search.Advance(first, kGoesOn);
  EXPECT_EQ(search.choices()[1].candidate.token, 11);
}

}  // namespace
}  // namespace embedded
