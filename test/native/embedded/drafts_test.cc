// Speculative decoding on the CPU: what it changes, and what it must not.
#include "native/embedded/drafts.h"

#include <gtest/gtest.h>

#include "table_client.h"

namespace embedded {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int kVocabSize = 101;  // DefaultModel's

TEST(Drafts, AreTheCallersAsFarAsTheyComeTrue) {
  const DraftParams params{{7, 8, 9}, std::nullopt, 0};
  Drafts drafts(params);
  EXPECT_EQ(drafts.Propose({1, 2}, 2, 8), (Tokens{7, 8, 9}));
  EXPECT_EQ(drafts.Propose({1, 2, 7}, 2, 1), (Tokens{8}));
  EXPECT_EQ(drafts.Propose({1, 2, 7, 5}, 2, 8), Tokens());
  EXPECT_EQ(drafts.Propose({1, 2, 7, 8, 9}, 2, 8), Tokens());
}

TEST(Drafts, GetShorterAndNeedLongerRunsWhileTheyAreRejected) {
  const DraftParams params{{}, PromptLookupLimits{/*max_draft_tokens=*/4, /*max_matching_ngram=*/3}, 0};
  Drafts drafts(params);
  const Tokens pair{9, 1, 2, 3, 4, 5, 8, 1, 2}, triple{9, 1, 2, 3, 4, 5, 9, 1, 2};
  EXPECT_EQ(drafts.Propose(pair, 1, 8), (Tokens{3, 4, 5, 8}));
  drafts.Verified(4, 1);
  EXPECT_EQ(drafts.Propose(pair, 1, 8), (Tokens{3, 4}));
  drafts.Verified(2, 0);
  EXPECT_EQ(drafts.Propose(pair, 1, 8), Tokens());
  Drafts others(params);
  others.Propose(triple, 1, 8);
  others.Verified(4, 0);
  EXPECT_EQ(others.Propose(triple, 1, 8), (Tokens{3})) << "a run of three is enough";
  others.Verified(1, 1);
  EXPECT_EQ(others.Propose(triple, 1, 8), (Tokens{3, 4})) << "what is accepted counts again";
}

TEST(Drafts, OfTheModelComeLastGetFewerAndRestWhileNoneComesTrue) {
  const DraftParams params{{7, 8}, std::nullopt, 4};
  Drafts drafts(params);
  const Tokens of_model{5, 6};
  EXPECT_EQ(drafts.Propose({1, 2}, 2, 8, of_model), (Tokens{7, 8})) << "the caller's come first";
  EXPECT_EQ(drafts.Propose({1, 2, 3}, 2, 1, of_model), (Tokens{5}));
  drafts.Verified(4, 1);
  EXPECT_EQ(drafts.model_tokens(), 2u);
  drafts.Verified(2, 2);
  EXPECT_EQ(drafts.model_tokens(), 4u) << "what is accepted counts again";
  std::vector<int> rests;
  for (int miss = 0; miss < 8; ++miss) {
    drafts.Verified(1, 0);
    for (rests.push_back(0); drafts.model_tokens() == 0; ++rests.back()) drafts.Skipped();
    EXPECT_EQ(drafts.model_tokens(), 1u);
  }
  EXPECT_EQ(rests, (std::vector<int>{0, 0, 2, 4, 8, 16, 32, 32}));
}

// An executor that drafts, and one that does not.
class SpeculativeDecoding : public testing::Test {
 protected:
  // Requests of several kinds, most of which say little but a few tokens, so that their texts repeat.
  static std::vector<TestRequest> Mixed() {
    static const int32_t kTokens[] = {3, 4, 5};
    static const float kBias[] = {20, 20, 20};
    std::vector<TestRequest> requests;
    for (uint32_t id = 1; id <= 12; ++id) {
      Tokens prompt = RandomPrompt(10, kVocabSize, id);
      prompt.insert(prompt.end(), prompt.begin(), prompt.end());
      TestRequest& request = requests.emplace_back(id, prompt, 20 + id);
      request.output.flags = OUTPUT_LOGPROBS | OUTPUT_RETURN_GENERATION_LOGITS;
      request.request.streaming = id % 2;
      request.sampling.set |= SAMPLING_SEED | SAMPLING_N;
      request.sampling.seed = id;
      request.sampling.n = 1 + id % 3;
      if (id % 4 >= 2) request.sampling.temperature = 2;
      if (id != 1) request.request.logit_bias = {kTokens, kBias, 3};
      if (id % 3 == 0) {
        request.sampling.set |= SAMPLING_REPETITION_PENALTY | SAMPLING_NO_REPEAT_NGRAM_SIZE | SAMPLING_MIN_TOKENS;
        request.sampling.repetition_penalty = 1.2f;
        request.sampling.no_repeat_ngram_size = 6;
        request.sampling.min_tokens = 15;
        request.end_ids = {4};
      }
    }
    return requests;
  }

  static std::map<uint64_t, TestResult> ResultsOf(TableClient* client, std::vector<TestRequest> requests) {
    std::vector<TestRequest*> pointers;
    for (TestRequest& request : requests) pointers.push_back(&request);
    EXPECT_EQ(client->Submit(pointers), EXECUTOR_OK) << client->message();
    client->WaitForEnds(client->ended() + static_cast<int>(requests.size()));
    return client->results;
  }

  static void ExpectSame(const std::map<uint64_t, TestResult>& results,
                         const std::map<uint64_t, TestResult>& expected) {
    ASSERT_EQ(results.size(), expected.size());
    for (const auto& [id, result] : expected)
      for (const auto& [index, sequence] : result.sequences) {
        SCOPED_TRACE(std::to_string(id) + ", " + std::to_string(index));
        const TestSequence& other = results.at(id).sequences.at(index);
        EXPECT_EQ(other.tokens, sequence.tokens);
        EXPECT_EQ(other.logprobs, sequence.logprobs);
        EXPECT_EQ(other.generation_logits, sequence.generation_logits);
        EXPECT_EQ(other.finish, sequence.finish);
      }
  }

  ExecutorPromptLookup lookup_{sizeof(lookup_), 0, 0, 0};
  ExecutorDecodingConfig decoding_{sizeof(decoding_), DECODING_AUTO, nullptr, nullptr, {}, 0, &lookup_, nullptr};
  // With room for drafts beside all the sequences.
  static void Widen(ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS;
    config->max_batch_size = config->max_num_tokens = 128;
  }
  TableClient plain_{DefaultModel(), Widen};
  TableClient drafting_{DefaultModel(), [this](ExecutorConfig* config) {
                          Widen(config);
                          config->decoding = &decoding_;
                        }};
};

TEST_F(SpeculativeDecoding, PromptLookupChangesNoTokenLogprobOrLogit) {
  const auto expected = ResultsOf(&plain_, Mixed());
  ExpectSame(ResultsOf(&drafting_, Mixed()), expected);
  const ExecutorStats stats = drafting_.stats();
  EXPECT_GT(stats.draft_tokens_accepted, 0u);
  EXPECT_GT(stats.draft_tokens, stats.draft_tokens_accepted);
  EXPECT_LT(stats.steps, plain_.stats().steps);
  EXPECT_EQ(stats.kv_blocks_used, 0u);
  EXPECT_EQ(plain_.stats().draft_tokens, 0u);
}

TEST_F(SpeculativeDecoding, TheCallersDraftsChangeNoneEither) {
  const auto expected = ResultsOf(&plain_, Mixed());
  std::vector<TestRequest> requests = Mixed();
  for (TestRequest& request : requests) {
    request.draft_tokens = expected.at(request.id).sequences.at(0).tokens;
    request.draft_tokens[request.id % request.draft_tokens.size()] = 7;
    request.request.set |= REQUEST_PROMPT_LOOKUP;  // 0
  }
  ExpectSame(ResultsOf(&drafting_, requests), expected);
  const TestResult& first = drafting_.results.at(1);
  EXPECT_TRUE(first.details->set & DETAILS_SPECULATIVE);
  EXPECT_GT(first.details->draft_tokens, first.details->draft_tokens_accepted);
}

TEST_F(SpeculativeDecoding, WhatWasRejectedIsNotKeptForLaterPrompts) {
  for (TestRequest request : Mixed()) {
    request.output.flags = 0;
    const TestResult first = drafting_.Run(request);
    if (first.sequences.at(0).finish != FINISH_LENGTH) continue;
    TestRequest next(request.id, request.tokens, 8);
    next.tokens.insert(next.tokens.end(), first.sequences.at(0).tokens.begin(), first.sequences.at(0).tokens.end());
    EXPECT_EQ(drafting_.Run(next).tokens, plain_.Run(next).tokens) << request.id;
  }
  EXPECT_GT(drafting_.stats().kv_blocks_reused, 0u);
}

TEST_F(SpeculativeDecoding, ARequestMaySayWhetherItWantsPromptLookup) {
  const TestRequest repeating(1, {5, 6, 7, 5, 6, 7, 5, 6, 7}, 30);
  TestRequest wanted = repeating, unwanted = repeating;
  wanted.request.set = unwanted.request.set = REQUEST_PROMPT_LOOKUP;
  wanted.request.prompt_lookup = 1;
  EXPECT_EQ(plain_.Run(wanted).tokens, drafting_.Run(unwanted).tokens);
  EXPECT_GT(plain_.stats().draft_tokens, 0u);
  EXPECT_EQ(drafting_.stats().draft_tokens, 0u);
}

TEST_F(SpeculativeDecoding, OneSequenceAtATimeIsEnoughForPromptLookup) {
  TableClient narrow(DefaultModel(), [this](ExecutorConfig* config) {
    config->decoding = &decoding_;
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 1;
  });
  const TestRequest repeating(1, {5, 6, 7, 5, 6, 7, 5, 6, 7}, 30);
  EXPECT_EQ(narrow.Run(repeating).tokens, plain_.Run(repeating).tokens);
  EXPECT_GT(narrow.stats().draft_tokens, 0u);
}

TEST_F(SpeculativeDecoding, WhatOnlyOtherExecutorsDoWithDraftsIsRefusedByName) {
  const auto refused = [&](const char* field, const std::function<void(TestRequest*)>& change) {
    TestRequest request(1);
    request.draft_tokens = {1, 2};
    change(&request);
    EXPECT_EQ(plain_.Submit({&request}), EXECUTOR_UNSUPPORTED);
    EXPECT_STREQ(plain_.error().field, field);
  };
  const ExecutorTensor logits{};
  refused("draft.logits", [&](TestRequest* request) { request->draft.logits = &logits; });
  refused("draft.acceptance_threshold", [](TestRequest* request) { request->draft.has_acceptance_threshold = 1; });
  refused("draft.fast_logits", [](TestRequest* request) { request->draft.fast_logits = 1; });
  TestRequest request(1);
  request.draft_tokens = {1, kVocabSize};
  EXPECT_EQ(plain_.Submit({&request}), EXECUTOR_INVALID_INPUT);
  EXPECT_STREQ(plain_.error().field, "draft.tokens");
}

TEST_F(SpeculativeDecoding, OtherWaysOfDecodingAreRefusedAtLoadByName) {
  const auto refused = [&](ExecutorCode code, const char* field, const std::function<void()>& change) {
    const ExecutorDecodingConfig decoding = decoding_;
    const ExecutorPromptLookup lookup = lookup_;
    change();
    const TableClient client(DefaultModel(), [this](ExecutorConfig* config) { config->decoding = &decoding_; });
    EXPECT_EQ(client.code(), code);
    EXPECT_STREQ(client.error().field, field);
    decoding_ = decoding;
    lookup_ = lookup;
  };
  const ExecutorLookahead lookahead{5, 3, 4};
  const ExecutorEagle eagle{};
  const Tokens choices{0};
  const std::vector<uint32_t> offsets{0, 1};
  refused(EXECUTOR_UNSUPPORTED, "decoding.mode", [&] { decoding_.mode = DECODING_MEDUSA; });
  refused(EXECUTOR_UNSUPPORTED, "decoding.lookahead", [&] { decoding_.lookahead = &lookahead; });
  refused(EXECUTOR_UNSUPPORTED, "decoding.eagle", [&] { decoding_.eagle = &eagle; });
  refused(EXECUTOR_UNSUPPORTED, "decoding.medusa_choices", [&] {
    decoding_.medusa_choices = {choices.data(), offsets.data(), 1};
  });
  refused(EXECUTOR_UNSUPPORTED, "decoding.fast_logits", [&] { decoding_.fast_logits = 1; });
  refused(EXECUTOR_INVALID_OPTION, "decoding.prompt_lookup.max_draft_tokens",
          [&] { lookup_.set = PROMPT_LOOKUP_MAX_DRAFT_TOKENS; });
  refused(EXECUTOR_INVALID_OPTION, "decoding.prompt_lookup.max_matching_ngram", [&] {
    lookup_.set = PROMPT_LOOKUP_MAX_MATCHING_NGRAM;
    lookup_.max_matching_ngram = 1;
  });
}

}  // namespace
}  // namespace embedded
