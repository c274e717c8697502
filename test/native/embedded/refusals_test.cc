// Requests and options that the executor does not take: each with its code and its field.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>

#include "native/executor/cpp/failure.h"
#include "table_client.h"

namespace embedded {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two biases, the first of them right.
void SetBeams(TestRequest* request, uint32_t width) {
  request->sampling.set |= SAMPLING_BEAM_WIDTH;
  request->sampling.beam_width = width;
}

void SetBias(TestRequest* request, int32_t token, float value) {
  static int32_t tokens[2];
  static float values[2];
  tokens[1] = token;
  values[1] = value;
  request->request.logit_bias = {tokens, values, 2};
}

TEST(Refusals, EachBadRequestIsRefusedWithItsCodeAndItsField) {
  TableClient client(DefaultModel());
  static const int32_t position_ids[] = {0, 1, 2}, bad_words[] = {5, -1};
  static const uint32_t whole[] = {0, 2}, empty[] = {0, 0};
  const struct {
    const char* field;
    const char* words;
    ExecutorCode code;
    void (*change)(TestRequest*);
  } cases[] = {
      {"", "The prompt has 256 tokens; ", EXECUTOR_PROMPT_TOO_LONG, [](TestRequest* r) { r->tokens.assign(256, 1); }},
      {"tokens", "tokens[1] is 101", EXECUTOR_INVALID_INPUT, [](TestRequest* r) { r->tokens[1] = 101; }},
      {"tokens", "tokens[2] is -1", EXECUTOR_INVALID_INPUT, [](TestRequest* r) { r->tokens[2] = -1; }},
      {"", "End id 101 is not a token; ", EXECUTOR_INVALID_INPUT, [](TestRequest* r) { r->end_ids = {101}; }},
      {"max_tokens", "maxTokens is ", EXECUTOR_INVALID_OPTION, [](TestRequest* r) { r->request.max_tokens = 0; }},
      {"temperature", "temperature is ", EXECUTOR_INVALID_OPTION, [](TestRequest* r) { r->sampling.temperature = -1; }},
      {"temperature", "temperature is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.temperature = std::nanf(""); }},
      {"top_p", "topP is ", EXECUTOR_INVALID_OPTION, [](TestRequest* r) { r->sampling.set |= SAMPLING_TOP_P; }},
      {"min_p", "minP is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.set |= SAMPLING_MIN_P, r->sampling.min_p = 1.5f; }},
      {"top_logprobs", "topLogprobs is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->output.top_logprobs = 102; }},
      {"repetition_penalty", "repetitionPenalty is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.set |= SAMPLING_REPETITION_PENALTY; }},
      {"repetition_penalty", "repetitionPenalty is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         r->sampling.set |= SAMPLING_REPETITION_PENALTY, r->sampling.repetition_penalty = kInfinity;
       }},
      {"presence_penalty", "presencePenalty is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.set |= SAMPLING_PRESENCE_PENALTY, r->sampling.presence_penalty = kInfinity; }},
      {"frequency_penalty", "frequencyPenalty is ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         r->sampling.set |= SAMPLING_FREQUENCY_PENALTY, r->sampling.frequency_penalty = std::nanf("");
       }},
      {"min_tokens", "minTokens is 9; expected at most maxTokens, 8.", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.set |= SAMPLING_MIN_TOKENS, r->sampling.min_tokens = 9; }},
      {"logit_bias", "logitBias names token 101; ", EXECUTOR_INVALID_INPUT, [](TestRequest* r) { SetBias(r, 101, 0); }},
      {"logit_bias", "logitBias[100] is -inf", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBias(r, 100, -kInfinity); }},
      {"bad_tokens", "badTokens[1] is -1", EXECUTOR_INVALID_INPUT,
       [](TestRequest* r) {
         r->request.bad_tokens = {bad_words, whole, 1};
       }},
      {"bad_tokens", "badTokens[0] has no token", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         r->request.bad_tokens = {bad_words, empty, 1};
       }},
      {"n", "n is 0", EXECUTOR_INVALID_OPTION, [](TestRequest* r) { r->sampling.set |= SAMPLING_N; }},
      {"n", "n is 65; expected 1 to maxBatchSize, 64, ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->sampling.set |= SAMPLING_N, r->sampling.n = 65; }},
      {"best_of", "bestOf is 65; expected 1 to maxBatchSize, 64, ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         r->sampling.set |= SAMPLING_N | SAMPLING_BEST_OF, r->sampling.n = 1, r->sampling.best_of = 65;
       }},
      {"beam_width", "beamWidth is 65; expected 1 to 64, which is maxBeamWidth. ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBeams(r, 65); }},
      {"beam_width", "beamWidth is 0; expected 1 to 64, ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBeams(r, 0); }},
      {"beam_width", "beamWidth is 40; expected 1 to 36, the most with 13 end tokens. ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBeams(r, 40), r->end_ids = RandomPrompt(13, 101, 1); }},
      {"n", "n is 5; expected 1 to beamWidth, 4, ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBeams(r, 4), r->sampling.set |= SAMPLING_N, r->sampling.n = 5; }},
      {"best_of", "bestOf is set, and beamWidth is 4; ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { SetBeams(r, 4), r->sampling.set |= SAMPLING_BEST_OF, r->sampling.best_of = 4; }},
      {"guided", "guided is set, and beamWidth is 4; ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         static const ExecutorGuided json{GUIDE_JSON, nullptr};
         SetBeams(r, 4), r->request.guided = &json;
       }},
      {"draft", "draft is set, and beamWidth is 4; ", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         static const ExecutorDraft draft{};
         SetBeams(r, 4), r->request.draft = &draft;
       }},
      {"length_penalty", "lengthPenalty is -1", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) {
         SetBeams(r, 4), r->sampling.set |= SAMPLING_LENGTH_PENALTY, r->sampling.length_penalty = -1;
       }},
      {"beam_diversity_rate", "beamDiversityRate is set; ", EXECUTOR_UNSUPPORTED,
       [](TestRequest* r) {
         SetBeams(r, 4), r->sampling.set |= SAMPLING_BEAM_DIVERSITY_RATE, r->sampling.beam_diversity_rate = 1;
       }},
      {"top_prompt_logprobs", "topPromptLogprobs is 102; expected at most the 101 tokens", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->output.top_prompt_logprobs = 102; }},
      {"priority", "priority is 2", EXECUTOR_INVALID_OPTION,
       [](TestRequest* r) { r->request.set |= REQUEST_PRIORITY, r->request.priority = 2; }},
      {"position_ids", "positionIds is set; ", EXECUTOR_UNSUPPORTED,
       [](TestRequest* r) { r->request.position_ids = position_ids; }},
      {"type", "type is set; ", EXECUTOR_UNSUPPORTED, [](TestRequest* r) { r->request.type = REQUEST_CONTEXT_ONLY; }},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.words);
    TestRequest request(7);
    bad.change(&request);
    EXPECT_EQ(client.Submit({&request}), bad.code) << client.message();
    EXPECT_EQ(client.message().rfind(bad.words, 0), 0u) << client.message();
    EXPECT_STREQ(client.error().field, bad.field);
    EXPECT_EQ(client.error().request_id, 7u);
  }
  EXPECT_EQ(client.Run(TestRequest(8)).tokens.size(), 8u) << "the executor goes on";
}

TEST(Refusals, ValuesThatChangeNothingMaySayWhatIsNotDone) {
  TableClient client(DefaultModel());
  TestRequest request(1);
  request.sampling.set |= SAMPLING_N | SAMPLING_BEAM_WIDTH;
  request.sampling.n = 1;
  request.sampling.beam_width = 1;
  EXPECT_EQ(client.Run(request).tokens.size(), 8u);
}

TEST(Refusals, AShorterStructOfAnOlderCallerHasItsLaterFieldsUnset) {
  TableClient client(DefaultModel());
  TestRequest request(1);
  request.sampling.set |= SAMPLING_TOP_P;
  request.sampling.top_p = 7;  // lies past the size: not read
  request.sampling.size = offsetof(ExecutorSampling, temperature) + sizeof(float);
  request.sampling.set &= ~SAMPLING_TOP_P;
  request.output.size = offsetof(ExecutorOutputConfig, flags) + sizeof(uint32_t);
  request.output.top_prompt_logprobs = 5;  // likewise
  EXPECT_EQ(client.Run(request).tokens.size(), 8u);
}

TEST(Refusals, EachBadOptionIsRefusedWithItsField) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  static const ExecutorParallelConfig parallel{};
  const struct {
    const char* field;
    ExecutorCode code;
    void (*change)(ExecutorConfig*);
  } cases[] = {
      {"threads", EXECUTOR_INVALID_OPTION, [](ExecutorConfig* c) { c->set |= CONFIG_THREADS; }},
      {"max_seq_len", EXECUTOR_INVALID_OPTION,
       [](ExecutorConfig* c) { c->set |= CONFIG_MAX_SEQ_LEN, c->max_seq_len = 257; }},
      {"max_batch_size", EXECUTOR_INVALID_OPTION, [](ExecutorConfig* c) { c->set |= CONFIG_MAX_BATCH_SIZE; }},
      {"max_num_tokens", EXECUTOR_INVALID_OPTION,
       [](ExecutorConfig* c) {
         c->set |= CONFIG_MAX_NUM_TOKENS | CONFIG_MAX_BATCH_SIZE;
         c->max_num_tokens = 4;
         c->max_batch_size = 8;
       }},
      {"tensor_parallel_size", EXECUTOR_INVALID_OPTION,
       [](ExecutorConfig* c) { c->set |= CONFIG_TENSOR_PARALLEL_SIZE, c->tensor_parallel_size = 2; }},
      {"max_beam_width", EXECUTOR_INVALID_OPTION,
       [](ExecutorConfig* c) { c->set |= CONFIG_MAX_BEAM_WIDTH, c->max_beam_width = 65; }},
      {"parallel", EXECUTOR_UNSUPPORTED, [](ExecutorConfig* c) { c->parallel = &parallel; }},
      {"kv_cache.sink_tokens", EXECUTOR_UNSUPPORTED,
       [](ExecutorConfig* c) { kv.set = KV_CACHE_SINK_TOKENS, c->kv_cache = &kv; }},
      {"kv_cache.host_bytes", EXECUTOR_UNSUPPORTED,
       [](ExecutorConfig* c) { kv.set = KV_CACHE_HOST_BYTES, kv.host_bytes = 1, c->kv_cache = &kv; }},
      {"kv_cache.free_memory_fraction", EXECUTOR_INVALID_OPTION,
       [](ExecutorConfig* c) {
         kv.set = KV_CACHE_FREE_MEMORY_FRACTION, kv.free_memory_fraction = 1.5, c->kv_cache = &kv;
       }},
      {"kv_cache", EXECUTOR_OUT_OF_MEMORY,
       [](ExecutorConfig* c) { kv.set = KV_CACHE_MAX_BYTES, kv.max_bytes = 10, c->kv_cache = &kv; }},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.field);
    const TableClient client(DefaultModel(), bad.change);
    EXPECT_EQ(client.code(), bad.code) << client.message();
    EXPECT_EQ(client.executor(), nullptr);
    EXPECT_STREQ(client.error().field, bad.field);
    EXPECT_NE(client.message().find(executor::OptionName(bad.field)), std::string::npos) << client.message();
  }
}

}  // namespace
}  // namespace embedded
