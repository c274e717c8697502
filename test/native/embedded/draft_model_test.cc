// A second model that drafts: what it changes of a text (nothing), and how many of its drafts come true.
#include "native/embedded/draft_model.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "late_runner.h"
#include "table_client.h"

namespace embedded {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int kVocabSize = 101;  // DefaultModel's

// The options of a load with a draft model.
struct DraftConfig {
  std::string engine_dir;
  ExecutorDraftModel model{};
  ExecutorDecodingConfig decoding{};

  explicit DraftConfig(std::string dir) : engine_dir(std::move(dir)) {
    model.size = sizeof(model);
    model.engine_dir = engine_dir.c_str();
    decoding.size = sizeof(decoding);
    decoding.draft_model = &model;
  }
};

class DraftModelTest : public testing::Test {
 protected:
  static TinyModel OtherModel() {
    TinyModel other;
    other.seed = 2;
    return other.Fill();
  }
  // DefaultModel with another one that drafts, with room for drafts beside many sequences.
  static std::unique_ptr<TableClient> Open(DraftConfig* draft) {
    return std::make_unique<TableClient>(DefaultModel(), [&](ExecutorConfig* config) {
      Widen(config);
      if (draft != nullptr) config->decoding = &draft->decoding;
    });
  }
  static void Widen(ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS;
    config->max_batch_size = config->max_num_tokens = 64;
  }
  std::unique_ptr<TableClient> OpenWith(const TinyModel& model) {
    model.Write(directory_.path());
    DraftConfig draft(directory_.path());
    return Open(&draft);
  }
  static TestRequest Sampled(uint64_t id, int prompt_tokens, uint32_t max_tokens) {
    TestRequest request(id, RandomPrompt(prompt_tokens, kVocabSize, static_cast<uint32_t>(id)), max_tokens);
    request.sampling.set |= SAMPLING_SEED;
    request.sampling.seed = id;
    request.sampling.temperature = id % 2 == 0 ? 0 : 0.5f;
    request.output.flags = OUTPUT_LOGPROBS;
    request.output.top_logprobs = 1;
    return request;
  }

  TemporaryDirectory directory_;
};

TEST_F(DraftModelTest, ChangesNoTokenOrLogprobWhetherItAgreesOrNot) {
  const auto plain = Open(nullptr), same = OpenWith(DefaultModel());
  const TemporaryDirectory other_directory;
  OtherModel().Write(other_directory.path());
  DraftConfig other_draft(other_directory.path());
  const auto other = Open(&other_draft);
  for (TableClient* client : {plain.get(), same.get(), other.get()}) {
    std::vector<TestRequest> requests;
    std::vector<TestRequest*> pointers;
    for (uint64_t id = 1; id <= 8; ++id) {
      TestRequest& request = requests.emplace_back(Sampled(id, static_cast<int>(20 * id), 40));
      request.sampling.set |= SAMPLING_N;
      request.sampling.n = 1 + id % 3;
    }
    for (TestRequest& request : requests) pointers.push_back(&request);
    ASSERT_EQ(client->Submit(pointers), EXECUTOR_OK) << client->message();
    client->WaitForEnds(8);
    for (uint64_t id = 1; id <= 8; ++id)
      for (const auto& [index, sequence] : plain->results[id].sequences) {
        EXPECT_EQ(client->results[id].sequences[index].tokens, sequence.tokens) << id << ", " << index;
        EXPECT_EQ(client->results[id].sequences[index].logprobs, sequence.logprobs) << id << ", " << index;
      }
    EXPECT_EQ(client->stats().kv_blocks_used, 0u);
  }
  EXPECT_EQ(plain->stats().draft_tokens, 0u);
  EXPECT_GT(other->stats().draft_tokens, other->stats().draft_tokens_accepted);
  EXPECT_LT(other->stats().draft_tokens, 1000u) << "it rests where its drafts do not come true";
  EXPECT_LT(same->stats().steps, plain->stats().steps);
}

TEST_F(DraftModelTest, OfTheSameModelEveryDraftOfAGreedyTextComesTrue) {
  const auto client = OpenWith(DefaultModel());
  const TestResult result = client->Run(TestRequest(1, RandomPrompt(50, kVocabSize, 1), 41));
  // The first token comes with the prompt; four drafts and one more a step.
  EXPECT_EQ(result.details->draft_tokens, 32u);
  EXPECT_EQ(result.details->draft_tokens_accepted, 32u);
  EXPECT_EQ(client->stats().steps, 9u);
  EXPECT_GT(client->stats().draft_ms, 0);
  EXPECT_LT(client->stats().draft_ms, client->stats().step_ms);
}

// What the model drafts is the likeliest token after what the text really says, also after drafts that were rejected and after
// a rest: of the same model, whose likeliest tokens come with the text.
TEST_F(DraftModelTest, DraftsWhatIsLikeliestAfterTheTextAsItIs) {
  const auto client = OpenWith(DefaultModel());
  size_t rejected = 0;
  for (uint64_t id = 1; id <= 9; id += 2) {
    SCOPED_TRACE(id);
    const TestRequest request = Sampled(id, 30, 60);
    const TestResult result = client->Run(request);
    const DraftParams params{{}, std::nullopt, 4};
    Drafts expected(params);
    size_t drafted = 0, accepted = 0;
    for (size_t i = 1; i < result.tokens.size(); ++i) {
      const size_t count = std::min(expected.model_tokens(), result.tokens.size() - 1 - i);
      if (count == 0) {
        expected.Skipped();
        continue;
      }
      size_t true_ones = 0;
      while (true_ones < count && result.tokens[i + true_ones] == result.top[i + true_ones].first) ++true_ones;
      expected.Propose({}, 0, 1);
      expected.Verified(count, true_ones);
      drafted += count;
      accepted += true_ones;
      i += true_ones;
    }
    EXPECT_EQ(result.details->draft_tokens, drafted);
    EXPECT_EQ(result.details->draft_tokens_accepted, accepted);
    rejected += drafted - accepted;
  }
  EXPECT_GT(rejected, 10u);
}

TEST_F(DraftModelTest, APromptThatIsNewIsComputedOverSeveralSteps) {
  DefaultModel().Write(directory_.path());
  DraftConfig draft(directory_.path());
  TableClient client(DefaultModel(), [&](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS;
    config->max_batch_size = config->max_num_tokens = 16;
    config->decoding = &draft.decoding;
  });
  const TestResult result = client.Run(TestRequest(1, RandomPrompt(100, kVocabSize, 1), 20));
  // 7 steps of the prompt; the draft model computes it in 7 more, of which the last drafts.
  EXPECT_EQ(result.details->draft_tokens_accepted, result.details->draft_tokens);
  EXPECT_EQ(result.details->draft_tokens, 10u);
  // What is kept of both models is not computed again, so the first token has drafts before it.
  EXPECT_EQ(client.Run(TestRequest(2, RandomPrompt(100, kVocabSize, 1), 20)).details->draft_tokens, 16u);
}

TEST_F(DraftModelTest, ARequestMayDoWithoutIt) {
  const auto client = OpenWith(DefaultModel());
  TestRequest request(1, {1, 2, 3}, 20);
  request.request.set |= REQUEST_DRAFT_MODEL;  // 0
  client->Run(request);
  EXPECT_EQ(client->stats().draft_tokens, 0u);
}

TEST_F(DraftModelTest, ItsMemoryIsCountedWithTheOthers) {
  const auto plain = Open(nullptr), drafting = OpenWith(DefaultModel());
  EXPECT_EQ(drafting->info().weight_bytes, 2 * plain->info().weight_bytes);
  EXPECT_EQ(drafting->info().kv_cache_bytes, 2 * plain->info().kv_cache_bytes);
}

TEST_F(DraftModelTest, AnEngineThatCannotDraftForTheOtherIsRefused) {
  const auto refused = [&](const char* field, const std::string& found, const std::function<void(TinyModel*)>& model,
                           const std::function<void(DraftConfig*)>& change) {
    TinyModel draft_model;
    model(&draft_model);
    draft_model.Fill().Write(directory_.path());
    DraftConfig draft(directory_.path());
    change(&draft);
    const auto client = Open(&draft);
    EXPECT_EQ(client->code(), EXECUTOR_INVALID_OPTION);
    EXPECT_STREQ(client->error().field, field);
    EXPECT_NE(client->message().find(found), std::string::npos) << client->message();
  };
  const auto as_it_is = [](auto*) {};
  refused(
      "decoding.draft_model", "a vocabulary of 102 tokens; expected at most 101",
      [](TinyModel* model) { model->vocab_size = 102; }, as_it_is);
  refused("decoding.draft_model.max_draft_tokens", "is 65; expected a whole number from 1 to 64", as_it_is,
          [](DraftConfig* draft) {
            draft->model.set = DRAFT_MODEL_MAX_DRAFT_TOKENS;
            draft->model.max_draft_tokens = 65;
          });
  refused("decoding.draft_model.engine_dir", "is null", as_it_is,
          [](DraftConfig* draft) { draft->model.engine_dir = nullptr; });
}

TEST_F(DraftModelTest, OfASmallerVocabularyItDraftsForTextsOfTheTokensThatItKnows) {
  TinyModel smaller;
  smaller.vocab_size = 90;
  const auto client = OpenWith(smaller.Fill()), plain = Open(nullptr);
  TestRequest known(1, RandomPrompt(30, 90, 1), 12), unknown(2, {1, 2, 95, 3}, 12),
      biased(3, RandomPrompt(30, 90, 3), 12);
  ExecutorLogitBias& bias = biased.request.logit_bias;
  const int32_t tokens[] = {95, 7};
  const float values[] = {-2, 1};
  bias.tokens = tokens;
  bias.values = values;
  bias.count = 2;
  for (TestRequest* request : {&known, &unknown, &biased}) {
    const TestResult result = client->Run(*request);
    EXPECT_EQ(result.tokens, plain->Run(*request).tokens);
    EXPECT_EQ(result.details->draft_tokens > 0, request != &unknown);
  }
}

TEST_F(DraftModelTest, DraftsAgainAsSoonAsAPromptLeavesRoom) {
  const auto client = OpenWith(DefaultModel());
  TestRequest running(1, RandomPrompt(10, kVocabSize, 1), 40), prompt(2, RandomPrompt(200, kVocabSize, 2), 1);
  ASSERT_EQ(client->Submit({&running, &prompt}), EXECUTOR_OK);
  client->WaitForEnds(2);
  // Three tokens or four come beside the prompt's chunks, and of the others four of five are drafts.
  EXPECT_GE(client->results[1].details->draft_tokens, 27u);
}

TEST_F(DraftModelTest, AskingForItIsRefusedWhereThereIsNone) {
  const auto plain = Open(nullptr);
  TestRequest request(1);
  request.request.set |= REQUEST_DRAFT_MODEL;
  request.request.draft_model = 1;
  EXPECT_EQ(plain->Submit({&request}), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(plain->error().field, "draft_model");
}

TEST_F(DraftModelTest, ATextThatOutgrowsItGoesOnWithoutDrafts) {
  TinyModel shorter;
  shorter.max_positions = 32;
  const auto client = OpenWith(shorter.Fill());
  const auto plain = Open(nullptr);
  const TestRequest request(1, RandomPrompt(20, kVocabSize, 1), 60);
  EXPECT_EQ(client->Run(request).tokens, plain->Run(request).tokens);
  EXPECT_GT(client->stats().draft_tokens, 0u);
  EXPECT_LE(client->stats().draft_tokens, 13u);
}

// Over a runner that is late, so that the drafts themselves are drawn ahead, and a cache that is too small: what is drafted is
// read through the block table, and comes true where the request draws as the draft model does.
class LateDraftModelTest : public testing::TestWithParam<int> {
 protected:
  LateDraftModelTest() {
    script_.max_steps_in_flight = GetParam();
    script_.kv_blocks = 60;
    script = &script_;
    DefaultModel().Write(directory_.path());
  }
  ~LateDraftModelTest() override { script = nullptr; }

  static Tokens TextOf(const TestRequest& request, size_t tokens) {
    Tokens history = request.tokens;
    while (history.size() < request.tokens.size() + tokens)
      history.push_back(LateRunner::NextToken(history, request.sampling.seed, 0, 0, kVocabSize));
    return {history.begin() + static_cast<std::ptrdiff_t>(request.tokens.size()), history.end()};
  }

  LateRunnerScript script_;
  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(StepsInFlight, LateDraftModelTest, testing::Values(1, 2, 3));

TEST_P(LateDraftModelTest, ARandomLoadGetsExactTextsAndDraftsThatComeTrue) {
  DraftConfig draft(directory_.path());
  TableClient client(directory_.path(), LateTable(),
                     [&](ExecutorConfig* config) { config->decoding = &draft.decoding; });
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  std::mt19937 random(1);
  std::vector<TestRequest> requests;
  std::vector<TestRequest*> pointers;
  for (uint64_t id = 1; id <= 80; ++id) {
    TestRequest& request = requests.emplace_back(
        id, RandomPrompt(static_cast<int>(1 + random() % 80), kVocabSize, static_cast<uint32_t>(id % 50)),
        static_cast<uint32_t>(2 + random() % 40));
    request.sampling.set |= SAMPLING_SEED;
    request.sampling.seed = id % 4;  // 0: as the draft model draws
  }
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
  for (uint64_t id = 3; id <= 80; id += 16) client.Cancel(id);
  client.WaitForEnds(80);
  uint64_t agreed = 0;
  for (const TestRequest& request : requests) {
    const TestResult& result = client.results[request.id];
    if (result.finish == FINISH_CANCELLED) continue;
    EXPECT_EQ(result.tokens, TextOf(request, request.request.max_tokens)) << request.id;
    if (request.sampling.seed != 0) continue;
    EXPECT_EQ(result.details->draft_tokens_accepted, result.details->draft_tokens) << request.id;
    agreed += result.details->draft_tokens;
  }
  EXPECT_GT(agreed, 100u);
  EXPECT_GT(client.stats().preemptions, 0u);
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

// One request's drafts do not come true, so that its steps are planned ahead; the other's prompt is in the cache, so that its
// first step has room for drafts.
TEST_P(LateDraftModelTest, DraftsOnlyWhileNoStepOfTheOtherModelRuns) {
  DraftConfig draft(directory_.path());
  TableClient client(directory_.path(), LateTable(),
                     [&](ExecutorConfig* config) { config->decoding = &draft.decoding; });
  const Tokens prompt = RandomPrompt(20, kVocabSize, 1);
  client.Run(TestRequest(1, prompt, 2));
  TestRequest resting(2, RandomPrompt(10, kVocabSize, 2), 120);
  resting.sampling.set |= SAMPLING_SEED;
  resting.sampling.seed = 1;
  ASSERT_EQ(client.Submit({&resting}), EXECUTOR_OK);
  for (uint64_t id = 3; id < 6; ++id) {
    while (client.results[2].tokens.size() < 20 * id) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
    EXPECT_FALSE(client.Run(TestRequest(id, prompt, 8)).error.has_value());
  }
  client.WaitForEnds(5);
  EXPECT_FALSE(client.results[2].error.has_value());
}

// A batch without room for drafts, and a text that has outgrown the draft model, lose nothing: their steps overlap.
TEST_P(LateDraftModelTest, WhereItCannotDraftStepsArePlannedAhead) {
  const TemporaryDirectory short_directory;
  TinyModel shorter = DefaultModel();
  shorter.max_positions = 16;
  shorter.Write(short_directory.path());
  DraftConfig same(directory_.path()), outgrown(short_directory.path());
  for (const auto& [draft, max_batch_size, prompt_tokens] : {std::tuple(&same, 2u, 4), std::tuple(&outgrown, 8u, 20)}) {
    TableClient client(directory_.path(), LateTable(),
                       [&, draft = draft, size = max_batch_size](ExecutorConfig* config) {
                         config->set |= CONFIG_MAX_BATCH_SIZE;
                         config->max_batch_size = size;
                         config->decoding = &draft->decoding;
                         draft->model.set = DRAFT_MODEL_MAX_DRAFT_TOKENS;
                         draft->model.max_draft_tokens = 1;
                       });
    ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
    script_.events.clear();
    TestRequest first(1, RandomPrompt(prompt_tokens, kVocabSize, 1), 60);
    TestRequest second(2, RandomPrompt(prompt_tokens, kVocabSize, 2), 60);
    ASSERT_EQ(client.Submit({&first, &second}), EXECUTOR_OK);
    client.WaitForEnds(2);
    int ahead = 0, in_flight = 0;
    for (const std::string& event : script_.events) {
      in_flight += event.rfind("submit", 0) == 0 ? 1 : -1;
      ahead += in_flight > 1;
    }
    EXPECT_EQ(ahead > 40, GetParam() > 1) << ahead;
  }
}

}  // namespace
}  // namespace embedded
