// Requests with beams: what they find, beside generate() of Hugging Face transformers (scripts/make-beam-goldens.py), and
// their rows and blocks.
#include "native/embedded/beams.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "../paths.h"
#include "golden_request.h"
#include "late_runner.h"
#include "table_client.h"

namespace embedded {
namespace {

TestRequest Beam(uint64_t id, uint32_t width, std::vector<int32_t> prompt = {1, 2, 3}, uint32_t max_tokens = 8) {
  TestRequest request(id, std::move(prompt), max_tokens);
  request.sampling.set |= SAMPLING_BEAM_WIDTH;
  request.sampling.beam_width = width;
  return request;
}

void ExpectEnds(const TestResult& result, uint32_t outputs) {
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(result.sequences.size(), outputs);
  for (const auto& [index, sequence] : result.sequences) {
    EXPECT_LT(index, outputs);
    EXPECT_EQ(sequence.finals, 1) << index;
  }
}

TEST(Beams, FindTheOutputsOfTransformers) {
  simdjson::dom::parser parser;
  const std::string engine = FromProgram(GOLDENS "/logits-processors");
  const element golden = parser.load(engine + "/beams.golden.json");
  TableClient client(engine);
  uint64_t id = 0;
  for (const element one : golden["cases"].get_array()) {
    if (std::string_view(one["model"]) != "llama") continue;
    SCOPED_TRACE(simdjson::minify(one["asked"]));
    AskedRequest asked(++id, Tokens(one["prompt"]));
    Ask(one["asked"], &asked);
    asked.output.flags = OUTPUT_LOGPROBS;
    const TestResult result = client.Run(asked.Wire());
    ExpectEnds(result, asked.sampling.beam_width);
    const bool changes_logprobs = asked.sampling.set & SAMPLING_REPETITION_PENALTY;
    uint32_t index = 0;
    for (const element output : one["outputs"].get_array()) {
      const TestSequence& sequence = result.sequences.at(index++);
      EXPECT_EQ(sequence.tokens, Tokens(output["tokens"])) << "output " << index;
      EXPECT_EQ(sequence.finish == FINISH_END_ID, !output["end_id"].is_null()) << "output " << index;
      if (changes_logprobs || !output["end_id"].is_null()) continue;  // the end token's own has no row
      double sum = 0;
      for (const float logprob : sequence.logprobs) sum += logprob;
      EXPECT_NEAR(sum / std::pow(sequence.tokens.size(), asked.sampling.length_penalty), double(output["score"]), 1e-4);
    }
  }
  EXPECT_GT(id, 80u);
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
  EXPECT_EQ(client.stats().completed_requests, id);
}

TEST(Beams, ComputeAndKeepThePromptOnce) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(Beam(1, 4, RandomPrompt(96, 101, 1), 5));
  EXPECT_EQ(client.stats().steps, 2u + 4) << "chunks of 64 and 32, then four tokens";
  const TestResult again = client.Run(Beam(2, 4, RandomPrompt(96, 101, 1), 5));
  EXPECT_EQ(again.details->kv_blocks_reused, 3u) << "all but the last token";
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(again.sequences.at(i).tokens, result.sequences.at(i).tokens);
}

TEST(Beams, GiveTheBestOnesAtTheEndAndNothingBefore) {
  TableClient client(DefaultModel());
  TestRequest request = Beam(1, 4);
  const TestResult all = client.Run(request);
  ExpectEnds(all, 4);
  request.id = 2;
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 2;
  const TestResult best = client.Run(request);
  ExpectEnds(best, 2);
  for (uint32_t i = 0; i < 2; ++i) EXPECT_EQ(best.sequences.at(i).tokens, all.sequences.at(i).tokens);
  ASSERT_EQ(best.row_list.size(), 3u);
  EXPECT_EQ(best.row_list[0].tokens, 0u);
  EXPECT_TRUE(best.row_list[0].has_usage) << "it says that the request no longer waits";
  EXPECT_EQ(best.row_list[1].flags, ROW_SEQUENCE_FINAL);
  EXPECT_EQ(best.row_list[2].flags, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  EXPECT_EQ(best.row_list[2].finish, FINISH_LENGTH);

  request.id = 3;
  request.request.streaming = 0;
  EXPECT_EQ(client.Run(request).row_list.size(), 2u);
}

TEST(Beams, LogitsAndLikelyTokensComeWithEachOutputsTokens) {
  TableClient client(DefaultModel());
  TestRequest request = Beam(1, 3);
  request.output.flags = OUTPUT_LOGPROBS | OUTPUT_RETURN_GENERATION_LOGITS;
  request.output.top_logprobs = 101;
  request.sampling.set |= SAMPLING_NO_REPEAT_NGRAM_SIZE;
  request.sampling.no_repeat_ngram_size = 1;
  const TestResult result = client.Run(request);
  size_t top = 0;
  for (const auto& [index, sequence] : result.sequences) {
    ASSERT_EQ(sequence.logprobs.size(), 8u);
    ASSERT_EQ(sequence.generation_logits.size(), 8u * 101);
    for (size_t i = 0; i < 8; ++i) {
      const float* const logits = sequence.generation_logits.data() + 101 * i;
      const int32_t token = sequence.tokens[i];
      const double expected = logits[token] - executor::LogSumExp(logits, 101);
      EXPECT_NEAR(sequence.logprobs[i], expected, 1e-5) << "before the n-gram rule";
      const auto begin = result.top.begin() + static_cast<std::ptrdiff_t>(101 * top++);
      const auto listed = std::find_if(begin, begin + 101, [&](const auto& each) { return each.first == token; });
      EXPECT_NEAR(listed->second, expected, 1e-5);
    }
  }
}

TEST(Beams, ThatAreCancelledEndOnceInEveryPhase) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 4;
  });
  TestRequest decoding = Beam(1, 4, {1, 2, 3}, 10000), waiting = Beam(2, 3);
  ASSERT_EQ(client.Submit({&decoding, &waiting}), EXECUTOR_OK) << client.message();
  while (client.stats().steps < 5) ASSERT_EQ(client.WaitOnce(1), EXECUTOR_OK);
  client.Cancel(2);
  while (client.results[2].finals == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(1);
  client.WaitForEnds(2);
  TestRequest in_prompt = Beam(3, 2, RandomPrompt(100000, 101, 1));
  ASSERT_EQ(client.Submit(in_prompt), EXECUTOR_OK) << client.message();
  while (client.results[3].rows == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(3);
  client.WaitForEnds(3);
  for (const auto& [id, outputs] : {std::pair<uint64_t, uint32_t>{1, 4}, {2, 3}, {3, 2}}) {
    ExpectEnds(client.results[id], outputs);
    EXPECT_TRUE(client.results[id].tokens.empty());
    for (const auto& [index, sequence] : client.results[id].sequences) EXPECT_EQ(sequence.finish, FINISH_CANCELLED);
  }
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Beams, FailWhereTheLogitsProcessorsLeaveTooFewOutputs) {
  TableClient client(DefaultModel());
  AskedRequest request(1, {1, 2, 3}, 1);
  request.sampling.set |= SAMPLING_BEAM_WIDTH;
  request.sampling.beam_width = 3;
  for (int32_t token = 2; token < 101; ++token) request.bad_tokens.lists.push_back({token});
  const TestResult result = client.Run(request.Wire());
  ASSERT_TRUE(result.error.has_value());
  EXPECT_EQ(std::string(result.error->message).rfind("The beam search found 2 outputs; expected 3, ", 0), 0u)
      << result.error->message;
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Beams, FailWhereTheLogitsAreNotFinite) {
  TinyModel model = DefaultModel();
  std::fill_n(model.tensors["transformer.vocab_embedding.weight"].begin(), model.hidden_size, std::nanf(""));
  TableClient client(model);
  const TestResult result = client.Run(Beam(1, 2, {0}));
  ASSERT_TRUE(result.error.has_value());
  EXPECT_EQ(result.error->code, EXECUTOR_ENGINE_WEIGHTS);
}

TEST(Beams, AreAsLongAsTheCacheHoldsOfAllAndRefusedWhereItHoldsNone) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 6 * 32;
  TableClient client(DefaultModel(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  const TestResult result = client.Run(Beam(1, 2, RandomPrompt(40, 101, 1), 1000));
  ExpectEnds(result, 2);
  EXPECT_EQ(result.sequences.at(0).tokens.size(), 3u * 32 - 40) << "one block of the prompt, and two for each";
  const TestResult wide = client.Run(Beam(2, 5, RandomPrompt(40, 101, 1), 1000));
  EXPECT_EQ(wide.sequences.at(0).tokens.size(), 2u * 32 - 40);
  EXPECT_EQ(client.Submit(Beam(3, 6, RandomPrompt(40, 101, 1), 1000)), EXECUTOR_INVALID_OPTION);
  EXPECT_EQ(client.message().rfind("beamWidth is 6; expected at most 5, ", 0), 0u) << client.message();
}

// What the LateRunner's model makes of a search that nothing disturbs.
std::vector<std::vector<int32_t>> LateOutputs(const TestRequest& request, int vocab_size) {
  const size_t width = request.sampling.beam_width;
  std::vector<std::vector<int32_t>> beams(width, request.tokens);
  BeamSearch search({width, 2 * width, request.request.max_tokens});
  while (!search.done()) {
    std::vector<std::vector<BeamCandidate>> candidates;
    for (const auto& beam : beams)
      candidates.push_back(LateRunner::Candidates(beam, static_cast<int>(2 * width), vocab_size));
    search.Advance(candidates, [&](size_t beam, int32_t token) {
      if (request.end_ids.front() == token) return FINISH_END_ID;
      const size_t length = beams[beam].size() + 1 - request.tokens.size();
      return length == request.request.max_tokens ? FINISH_LENGTH : FINISH_NONE;
    });
    if (search.done()) break;
    const std::vector<std::vector<int32_t>> before = beams;
    for (size_t beam = 0; beam < width; ++beam) {
      beams[beam] = before[search.choices()[beam].from];
      beams[beam].push_back(search.choices()[beam].candidate.token);
    }
  }
  std::vector<std::vector<int32_t>> outputs;
  for (const auto& found : search.found()) {
    std::vector<int32_t>& tokens = outputs.emplace_back();
    for (const auto& choice : search.PathTo(found)) tokens.push_back(choice.candidate.token);
    if (found.finish == FINISH_END_ID) tokens.pop_back();
  }
  return outputs;
}

// Beams among other requests over a cache that is too small for all, some of them cancelled, on a runner that is ahead.
TEST(Beams, OfARandomLoadAllEndOnceAsTheyWouldAloneAndLeaveNoBlock) {
  LateRunnerScript late;
  late.kv_blocks = 32;
  script = &late;
  TemporaryDirectory directory;
  DefaultModel().Write(directory.path());
  uint64_t preemptions = 0;
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    TableClient client(directory.path(), LateTable());
    std::mt19937 random(seed);
    std::vector<TestRequest> requests;
    std::vector<TestRequest*> pointers;
    for (uint64_t id = 1; id <= 40; ++id) {
      const std::vector<int32_t> prompt = RandomPrompt(static_cast<int>(1 + random() % 20), 101, seed);
      const uint32_t max_tokens = static_cast<uint32_t>(1 + random() % 16);
      if (random() % 3 == 0)
        requests.push_back(TestRequest(id, prompt, max_tokens));
      else
        requests.push_back(Beam(id, 2 + random() % 5, prompt, max_tokens));
      requests.back().end_ids = {static_cast<int32_t>(random() % 101)};
      requests.back().request.streaming = random() % 2;
    }
    for (TestRequest& request : requests) pointers.push_back(&request);
    ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
    for (uint64_t id = 4; id <= 40; id += 4) {
      if (client.ended() < 40) client.WaitOnce();
      client.Cancel(id);
    }
    client.WaitForEnds(40);
    for (const TestRequest& request : requests) {
      SCOPED_TRACE(request.id);
      const TestResult& result = client.results[request.id];
      const bool is_beam = request.sampling.set & SAMPLING_BEAM_WIDTH;
      ExpectEnds(result, is_beam ? request.sampling.beam_width : 1);
      if (!is_beam) continue;
      const std::vector<std::vector<int32_t>> expected = LateOutputs(request, 101);
      for (const auto& [index, sequence] : result.sequences)
        if (sequence.finish == FINISH_CANCELLED)
          EXPECT_TRUE(sequence.tokens.empty());
        else
          EXPECT_EQ(sequence.tokens, expected.at(index)) << index;
    }
    preemptions += client.stats().preemptions;
    EXPECT_EQ(client.stats().kv_blocks_used, 0u);
    EXPECT_EQ(client.stats().completed_requests, 40u);
  }
  EXPECT_GT(preemptions, 0u);
  script = nullptr;
}

}  // namespace
}  // namespace embedded
